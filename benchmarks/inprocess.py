"""A search without HTTP and without pauses: `Searcher.search` in this process, in alternation with its bare parts."""

from __future__ import annotations

import gc
import shutil
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import msgspec

from benchmarks import report
from benchmarks.bare import CANDIDATES, BareParts, timed
from benchmarks.errors import BenchmarkFailed
from events import control
from events.settings import IndexSettings
from events.types import IndexConfigured
from searchsvc.embedding.embedder import Embedder
from searchsvc.engines.embedded import storage
from searchsvc.engines.protocol import EngineSnapshot
from searchsvc.indexing.measuring import measure as measure_catalogue
from searchsvc.indexing.neighbour_cut import probe_texts
from searchsvc.search.request import SearchRequest
from searchsvc.search.searcher import Searcher
from searchsvc.state.serving_state import ServingState
from tuning import compiled
from tuning.features import default_weights

INDEX: Final = "bench"
N_FACETS: Final = 10
MAX_FACET_TEXT: Final = 40
# A list with more values than this is not one to choose from.
MAX_FACET_VALUES: Final = 2000
NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)


class Target(msgspec.Struct, frozen=True):
    """What to search.

    data_dir: of a service that has stopped
    embedder: with an empty cache
    scratch: folder that does not exist yet, for a copy of the index
    """

    data_dir: Path
    settings: IndexSettings
    embedder: Embedder
    scratch: Path


def serving(settings: IndexSettings, snapshot: EngineSnapshot, embedder: Embedder | None) -> ServingState:
    """Make a state that serves a snapshot as index `INDEX`, with the default weights of its settings.

    embedder: None for an index without vectors
    """
    event = IndexConfigured(
        id="bench", timestamp=NOW, index=INDEX, settings=settings, default_weights=default_weights(settings)
    )
    probes = [*embedder.encode_documents(probe_texts())] if embedder is not None else []
    return ServingState(
        control.fold(control.ControlState(), event, 1),
        snapshots=MappingProxyType({INDEX: snapshot}),
        measurements=MappingProxyType({INDEX: measure_catalogue(snapshot, probes)}),
    )


def facet_fields(documents: Sequence[Mapping[str, Any]], n: int = N_FACETS) -> list[str]:
    """Return the n members that most documents have a short value in which other documents share."""
    counts: Counter[str] = Counter()
    values: defaultdict[str, set[str]] = defaultdict(set)
    for document in documents:
        for name, value in document.items():
            if isinstance(value, str | int | float) and len(str(value)) <= MAX_FACET_TEXT:
                counts[name] += 1
                values[name].add(str(value))
    shared = [name for name in counts if 1 < len(values[name]) <= min(MAX_FACET_VALUES, counts[name] / 2)]
    return sorted(shared, key=lambda name: (-counts[name], name))[:n]


def measure(target: Target, parts: BareParts, queries: Sequence[str], facets: Sequence[str]) -> dict[str, list[float]]:
    """Return milliseconds by what was measured, one figure a query."""
    folder = next((target.data_dir / "indexes").glob(f"{INDEX}-*"))
    shutil.copytree(folder, target.scratch)
    snapshot = storage.snapshots(target.scratch)[0]
    engine = storage.load(snapshot, target.scratch, target.settings, storage.model_of(snapshot))
    if engine is None:
        raise BenchmarkFailed(f"the index in {folder} does not open")
    engine.maintain()
    state = serving(target.settings, engine.snapshot(), target.embedder)
    searcher = Searcher(target.embedder, n_candidates=CANDIDATES)

    def search(query: str, facets: Sequence[str] = ()) -> float:
        request = SearchRequest(query=query, facets=list(facets))
        return timed(lambda: searcher.search(state, INDEX, request, query_id="q", now=NOW))[1]

    times: defaultdict[str, list[float]] = defaultdict(list)
    compiled.warm_up("searchsvc")
    gc.collect()
    gc.freeze()
    for query in queries:
        for name, ms in parts.run(query).items():
            times[f"in process: bare {name}"].append(ms)
        times["in process: cold"].append(search(query))
        plain, faceted = search(query), search(query, facets)
        times["in process: cached"].append(plain)
        times[f"in process: cached, {len(facets)} facets"].append(faceted)
        times["in process: what facets add"].append(faceted - plain)
    gc.unfreeze()
    return dict(times)


def checks(figures: Mapping[str, report.Latency], n_facets: int) -> list[report.Check]:
    cold, added, bare = (figures[f"in process: {name}"] for name in ("cold", "what facets add", "bare sum"))
    bare_times = f"(bare parts {bare.p50.value:.2f} and {bare.p99.value:.2f})"
    p50, p99, added_p99 = cold.p50.value, cold.p99.value, added.p99.value
    return [
        report.Check("in process, cold, p50", "<= 2 ms", f"{p50:.2f} ms {bare_times}", p50 <= 2),
        report.Check("in process, cold, p99", "<= 5 ms", f"{p99:.2f} ms {bare_times}", p99 <= 5),
        report.Check(
            f"{n_facets} facets add, p99",
            "<= 2 ms",
            f"{added_p99:.2f} ms (p50 {added.p50.value:.2f})",
            added_p99 <= 2,
        ),
    ]
