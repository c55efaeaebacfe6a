"""A search without HTTP and without pauses: `Searcher.search` in this process, in turn with its bare parts."""

from __future__ import annotations

import gc
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Protocol

from benchmarks import report
from events import control
from events.settings import IndexSettings
from events.types import IndexConfigured
from searchsvc.embedding.embedder import Embedder
from searchsvc.engines.embedded import storage
from searchsvc.engines.protocol import EngineSnapshot
from searchsvc.search.answer import SearchRequest
from searchsvc.search.searcher import Searcher
from searchsvc.state.serving import ServingState
from tuning.features import default_weights

INDEX: Final = "bench"
CANDIDATES: Final = 100
N_FACETS: Final = 10
# A facet has values that several documents share; more than so many are no list to choose from.
MAX_FACET_VALUES: Final = 2000
NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)


class Parts(Protocol):
    """See `benchmarks.latency.BareParts`."""

    def run(self, query: str) -> dict[str, float]: ...


def serving(settings: IndexSettings, snapshot: EngineSnapshot) -> ServingState:
    """A state that serves a snapshot as index `INDEX`, with the weights that its settings give."""
    event = IndexConfigured(
        id="bench", timestamp=NOW, index=INDEX, settings=settings, default_weights=default_weights(settings)
    )
    return ServingState(control.fold(control.ControlState(), event, 1), MappingProxyType({INDEX: snapshot}))


def facet_fields(documents: Sequence[Mapping[str, Any]], n: int = N_FACETS) -> list[str]:
    """The n members that most documents have a short, shared value in."""
    held: Counter[str] = Counter()
    values: defaultdict[str, set[str]] = defaultdict(set)
    for document in documents:
        for name, value in document.items():
            if isinstance(value, str | int | float) and len(str(value)) <= 40:
                held[name] += 1
                values[name].add(str(value))
    shared = [name for name in held if 1 < len(values[name]) <= min(MAX_FACET_VALUES, held[name] / 2)]
    return sorted(shared, key=lambda name: (-held[name], name))[:n]


def measure(
    data_dir: Path,
    settings: IndexSettings,
    embedder: Embedder,
    parts: Parts,
    queries: Sequence[str],
    facets: Sequence[str],
    scratch: Path,
) -> dict[str, list[float]]:
    """Milliseconds by contender, one figure a query.

    data_dir: of a service that has stopped. embedder: remembers nothing yet. scratch: where a copy of the index goes.
    """
    folder = next((data_dir / "indexes").glob(f"{INDEX}-*"))
    shutil.copytree(folder, scratch)
    model = storage.model_of(storage.snapshots(scratch)[0])
    engine = storage.load(storage.snapshots(scratch)[0], scratch, settings, model)
    if engine is None:
        raise AssertionError(f"the index in {folder} does not open")
    engine.maintain()
    state = serving(settings, engine.snapshot())
    searcher = Searcher(embedder, n_candidates=CANDIDATES)

    def search(query: str, facets: Sequence[str] = ()) -> float:
        request = SearchRequest(query=query, facets=list(facets))
        return _timed(lambda: searcher.search(state, INDEX, request, query_id="q", now=NOW))

    times: defaultdict[str, list[float]] = defaultdict(list)
    gc.collect()
    gc.freeze()
    for query in queries:
        for name, ms in parts.run(query).items():
            times[f"in process: bare {name}"].append(ms)
        times["in process: cold"].append(search(query))
        plain, counted = search(query), search(query, facets)
        times["in process: cached"].append(plain)
        times[f"in process: cached, {len(facets)} facets"].append(counted)
        times["in process: what facets add"].append(counted - plain)
    gc.unfreeze()
    return dict(times)


def checks(figures: Mapping[str, report.Latency]) -> list[report.Check]:
    cold, adds, bare = (figures[f"in process: {name}"] for name in ("cold", "what facets add", "bare sum"))
    of_bare = f"(bare parts {bare.p50.value:.2f} and {bare.p99.value:.2f})"
    half, late, added = cold.p50.value, cold.p99.value, adds.p99.value
    return [
        report.Check("in process, cold, p50", "<= 2 ms", f"{half:.2f} ms {of_bare}", half <= 2),
        report.Check("in process, cold, p99", "<= 5 ms", f"{late:.2f} ms {of_bare}", late <= 5),
        report.Check("ten facets add, p99", "<= 2 ms", f"{added:.2f} ms (p50 {adds.p50.value:.2f})", added <= 2),
    ]


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1e3
