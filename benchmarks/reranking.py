"""How long does it take to rank a hundred candidates by twenty features, with rules?

Question   from candidates to a ranking: features as a matrix, the weighted score, boosts and buries of rules, the
           order, pins.
Data       the sample catalogue (`searchsvc.cli.sample`), with numbers that make twenty features; rules for words of its
           titles; queries of two of those words, either of which suffices, that match a hundred documents or more.
Baseline   the same search as a whole.
Command    searchsvc bench rules (part of it)
"""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from benchmarks.inprocess import INDEX, serving
from events import control
from events.edits import SetRule
from events.rules import BoostAction, BuryAction, Conditions, PinAction, QueryPattern, Rule
from events.settings import IndexSettings, Signal
from events.types import ChangePublished
from searchsvc.cli.sample import sample_catalogue
from searchsvc.engines.embedded import storage
from searchsvc.engines.protocol import Upsert
from searchsvc.indexing.documents import AcceptedDocument, parse_documents
from searchsvc.indexing.inference import infer_settings
from searchsvc.search.request import SearchRequest
from searchsvc.search.searcher import Searcher
from searchsvc.state.serving_state import ServingState
from tuning import compiled
from tuning.features import feature_names

N_DOCUMENTS: Final = 3000
N_INFERRED_FROM: Final = 500
N_CANDIDATES: Final = 100
N_FEATURES: Final = 20
N_RULES: Final = 300
# The first searches prepare the rules.
WARM_UP: Final = 20
NOW: Final = datetime(2026, 11, 26, tzinfo=UTC)
STAGES: Final = ("features", "rank")
WHOLE: Final = "the whole search"
RERANKED: Final = "re-ranked"


class Measured(msgspec.Struct, frozen=True):
    """What was measured.

    milliseconds: of each search, by stage, of the stages together, and of the whole search
    n_fired: mean number of rules that fired
    """

    milliseconds: dict[str, list[float]]
    n_features: int
    n_fired: float


def measure(n_searches: int, rng: np.random.Generator) -> Measured:
    """Search a catalogue with rules in this process."""
    parsed = parse_documents(_catalogue(rng))
    documents = [document for document in parsed if isinstance(document, AcceptedDocument)]
    settings = _settings(documents)
    compiled.warm_up("searchsvc")
    with tempfile.TemporaryDirectory(prefix="searchsvc-bench-") as scratch:
        engine = storage.create(Path(scratch) / "index", settings, 0)
        engine.apply([Upsert(document.id, document.text, document.members, None) for document in documents], 1)
        engine.maintain()
        titles = (str(document.members[settings.title]) for document in documents)
        words = sorted({word for title in titles for word in title.lower().split()})
        state = serving(settings, engine.snapshot(), None)
        rules = tuple(SetRule(f"r{n}", _rule(n, rng, words, documents)) for n in range(N_RULES))
        published = ChangePublished(id="rules", timestamp=NOW, index=INDEX, edits=rules)
        state = msgspec.structs.replace(state, control=control.fold(state.control, published, 2))
        times, n_fired = _search(Searcher(None, n_candidates=N_CANDIDATES), state, words, n_searches, rng)
    times[RERANKED] = [sum(stages) for stages in zip(*(times[name] for name in STAGES), strict=True)]
    return Measured(times, len(feature_names(settings)), float(np.mean(n_fired)))


def _search(
    searcher: Searcher, state: ServingState, words: list[str], n_searches: int, rng: np.random.Generator
) -> tuple[dict[str, list[float]], list[int]]:
    """Return the milliseconds by stage, and the number of rules that fired, of each search with enough candidates."""
    times: dict[str, list[float]] = {name: [] for name in (*STAGES, WHOLE)}
    n_fired: list[int] = []
    n_warm_up = WARM_UP
    while len(n_fired) < n_searches:
        request = SearchRequest(query=" ".join(rng.choice(words, 2)), operator="any")
        outcome = searcher.search(state, INDEX, request, query_id=f"{len(n_fired):032x}", now=NOW)
        n_warm_up -= 1
        if n_warm_up >= 0 or outcome.answer.total < N_CANDIDATES:
            continue
        for name in STAGES:
            times[name].append(float(getattr(outcome.timings, name)))
        times[WHOLE].append(outcome.answer.took_ms)
        n_fired.append(len(outcome.answer.applied_rules))
    return times, n_fired


def _settings(documents: list[AcceptedDocument]) -> IndexSettings:
    """Infer settings without vectors, and add signals until there are `N_FEATURES` features."""
    inferred = infer_settings([document.members for document in documents[:N_INFERRED_FROM]])
    settings = msgspec.structs.replace(inferred, embedding=None)
    n_missing = max(N_FEATURES - len(feature_names(settings)), 0)
    signals = (*settings.signals, *(Signal(f"number{n}") for n in range(n_missing)))
    return msgspec.structs.replace(settings, signals=signals)


def _catalogue(rng: np.random.Generator) -> bytes:
    lines = []
    for line in sample_catalogue(N_DOCUMENTS):
        document: dict[str, Any] = msgspec.json.decode(line)
        document |= {f"number{n}": float(rng.integers(1, 1000)) for n in range(N_FEATURES)}
        lines.append(msgspec.json.encode(document))
    return b"\n".join(lines)


def _rule(n: int, rng: np.random.Generator, words: list[str], documents: list[AcceptedDocument]) -> Rule:
    word, document = str(rng.choice(words)), documents[int(rng.integers(len(documents)))]
    brand: dict[str, object] = {"field": "brand", "is": str(document.members["brand"])}
    actions = (BoostAction(1.5, brand), BuryAction(0.5, brand), PinAction(document.id, 1 + n % 5))
    return Rule((actions[n % 3],), conditions=Conditions(query=QueryPattern("contains", word)))
