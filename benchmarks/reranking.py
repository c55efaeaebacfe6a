"""How long does it take to rank a hundred candidates by twenty features, with rules?

Question   from found to ordered: features as a matrix, the weighted score, what rules boost and bury, the order, pins.
Data       the made-up catalogue (`searchsvc.cli.sample`), with numbers to make twenty features; rules for words of its
           titles; queries of two of those words, of which any is enough, those that find a hundred documents or more.
Baseline   the parts of the same search before and after.
Command    searchsvc bench rules (with it)
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
from events.settings import Signal
from events.types import ChangePublished
from searchsvc.cli.sample import sample_catalogue
from searchsvc.engines.embedded import storage
from searchsvc.engines.protocol import Upsert
from searchsvc.indexing.documents import AcceptedDocument, parse_documents
from searchsvc.indexing.inference import infer_settings
from searchsvc.search.request import SearchRequest
from searchsvc.search.searcher import Searcher
from tuning import compiled
from tuning.features import feature_names

N_DOCUMENTS: Final = 3000
N_CANDIDATES: Final = 100
N_FEATURES: Final = 20
N_RULES: Final = 300
NOW: Final = datetime(2026, 11, 26, tzinfo=UTC)
STAGES: Final = ("features", "rank")


class Measured(msgspec.Struct, frozen=True):
    """milliseconds: of each search, by what they went into. n_fired: rules, the mean over searches."""

    milliseconds: dict[str, list[float]]
    n_features: int
    n_fired: float


def measure(n_searches: int, rng: np.random.Generator) -> Measured:
    documents = [one for one in parse_documents(_catalogue(rng)) if isinstance(one, AcceptedDocument)]
    settings = msgspec.structs.replace(infer_settings([one.members for one in documents[:500]]), embedding=None)
    more = N_FEATURES - len(feature_names(settings))
    signals = (*settings.signals, *(Signal(f"number{at}") for at in range(max(more, 0))))
    settings = msgspec.structs.replace(settings, signals=signals)
    compiled.warm_up("searchsvc")
    with tempfile.TemporaryDirectory(prefix="searchsvc-bench-") as scratch:
        engine = storage.create(Path(scratch) / "index", settings, 0)
        engine.apply([Upsert(one.id, one.text, one.members, None) for one in documents], 1)
        engine.maintain()
        words = sorted({word for one in documents for word in str(one.members[settings.title]).lower().split()})
        state = serving(settings, engine.snapshot())
        rules = tuple(SetRule(f"r{n}", _rule(n, rng, words, documents)) for n in range(N_RULES))
        published = ChangePublished(id="rules", timestamp=NOW, index=INDEX, edits=rules)
        state = msgspec.structs.replace(state, control=control.fold(state.control, published, 2))
        searcher = Searcher(None, n_candidates=N_CANDIDATES)
        times: dict[str, list[float]] = {name: [] for name in (*STAGES, "the whole search")}
        fired: list[int] = []
        # The first ones prepare the rules.
        n_warming = 20
        while len(fired) < n_searches:
            request = SearchRequest(query=" ".join(rng.choice(words, 2)), operator="any")
            outcome = searcher.search(state, INDEX, request, query_id=f"{len(fired):032x}", now=NOW)
            n_warming -= 1
            if n_warming >= 0 or outcome.answer.total < N_CANDIDATES:
                # Of fewer candidates it says too little.
                continue
            for name in STAGES:
                times[name].append(float(getattr(outcome.timings, name)))
            times["the whole search"].append(outcome.answer.took_ms)
            fired.append(len(outcome.answer.applied_rules))
    times["re-ranked"] = [sum(one) for one in zip(*(times[name] for name in STAGES), strict=True)]
    return Measured(times, len(feature_names(settings)), float(np.mean(fired)))


def _catalogue(rng: np.random.Generator) -> bytes:
    lines = []
    for line in sample_catalogue(N_DOCUMENTS):
        document: dict[str, Any] = msgspec.json.decode(line)
        document |= {f"number{at}": float(rng.integers(1, 1000)) for at in range(N_FEATURES)}
        lines.append(msgspec.json.encode(document))
    return b"\n".join(lines)


def _rule(n: int, rng: np.random.Generator, words: list[str], documents: list[AcceptedDocument]) -> Rule:
    word, some = str(rng.choice(words)), documents[int(rng.integers(len(documents)))]
    brand: dict[str, object] = {"field": "brand", "is": str(some.members["brand"])}
    actions = (BoostAction(1.5, brand), BuryAction(0.5, brand), PinAction(some.id, 1 + n % 5))
    return Rule((actions[n % 3],), conditions=Conditions(query=QueryPattern("contains", word)))
