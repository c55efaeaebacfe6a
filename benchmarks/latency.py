"""How long does a search take, and how much of that is ours?

Question   `took_ms` of hybrid searches, without ("cold") and with the query's vector cached, against the sum of the
           bare parts; time from a weight change to the first search that uses it; import; restart.
Data       a folder with docs.jsonl[.gz]; queries are seeded titles of its documents and their first two words.
Baseline   in alternation, query by query, in this process on one thread: tokenizer + onnxruntime session, one tantivy
           query over the searchable fields for 100 hits, one search of the FAISS index in use for 100. Then, over the
           same queries, `SentenceTransformer.encode` in place of the first: after everything else, because torch's
           threads spin after a call and would take a core from what is measured next. Import against
           `SentenceTransformer.encode`, batch 64.
Command    searchsvc bench latency ../shared/data/electronics
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from benchmarks import inprocess, report
from benchmarks.bare import BareParts
from benchmarks.collection import documents_file
from benchmarks.errors import BenchmarkFailed
from benchmarks.importing import Imported, import_collection, saved
from benchmarks.queries import WARM_UP, sample_queries, warm_up_size
from benchmarks.reference import Reference
from benchmarks.running import RunningService, call
from benchmarks.searching import search, search_all
from events.errors import require
from events.settings import IndexSettings
from searchsvc.analysis.document_text import embedding_text
from searchsvc.embedding.embedder import Embedder

INDEX: Final = inprocess.INDEX
CONNECTIONS: Final = 16
ENDINGS: Final = {"after SIGTERM": RunningService.stop, "after kill -9": RunningService.kill}
REFERENCE_SEARCHES: Final = "SentenceTransformer + bare retrieval"

Times = dict[str, list[float]]


class Plan(msgspec.Struct, frozen=True):
    """How much to measure.

    n_queries: distinct queries, besides those that warm up
    n_load: searches over many connections
    n_changes: weight changes
    n_restarts: restarts of each kind
    n_reference: texts for `SentenceTransformer.encode`; 0 leaves it out
    """

    n_queries: int = 1000
    n_load: int = 4000
    n_changes: int = 200
    n_restarts: int = 3
    n_reference: int = 512


def measure(folder: Path, plan: Plan, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure a service on a collection; return the result as it is written to JSON.

    Raises InvalidInput if no document of the folder is accepted.
    """
    for name in ("n_queries", "n_load", "n_changes", "n_restarts"):
        require(getattr(plan, name) >= 1, name.removeprefix("n_"), getattr(plan, name), "1 or more")
    documents_file(folder)  # before a service is started
    with tempfile.TemporaryDirectory(prefix="searchsvc-bench-") as scratch:
        data_dir = Path(scratch) / "data"
        service = RunningService(data_dir)
        try:
            say("importing")
            imported = import_collection(service, INDEX, folder)
            settings = msgspec.convert(imported.settings, IndexSettings)
            service = saved(service, INDEX, imported.catalog_seq)
            queries, fresh = _queries(imported, settings, plan)
            bare = BareParts(data_dir, INDEX, settings, imported.documents)
            say("searching")
            searches, n_degraded = _search(service, bare, queries)
            say(f"searching over {CONNECTIONS} connections")
            load = _load(service, queries, fresh, plan.n_load)
            say("changing weights")
            changes = _change_weights(service, settings, queries, plan.n_changes)
            say("restarting")
            restarts: dict[str, list[float]] = {name: [] for name in ENDINGS}
            for name in [name for name in ENDINGS for _ in range(plan.n_restarts)]:
                ENDINGS[name](service)
                service, seconds = _start(data_dir, service.port, queries[0])
                restarts[name].append(round(seconds, 3))
        finally:
            service.stop()
        say("searching in process")
        facets = inprocess.facet_fields(imported.documents)
        measured = queries[warm_up_size(len(queries)) :]
        embedder = Embedder(bare.model)
        target = inprocess.Target(data_dir, settings, embedder, Path(scratch) / "copy")
        searches |= inprocess.measure(target, bare, measured, facets)
        say("calling SentenceTransformer")
        reference = Reference(plan.n_reference)
        searches |= _search_reference(bare, reference, measured)
    figures = {
        "import": _import_figures(imported, settings, reference),
        "search_ms": {name: report.latency(values) for name, values in searches.items()},
        "degraded": n_degraded,
        "facets": facets,
        "load": load,
        "weight_change_ms": report.latency(changes),
        "restart_to_first_answer_s": restarts,
    }
    return {
        "benchmark": "latency",
        "question": "took_ms of hybrid searches against the sum of their bare parts; weight change, import, restart",
        "collection": folder.name,
        **report.environment(),
        "settings": settings,
        "n_queries": len(queries),
        **figures,
        "checks": _checks(figures),
    }


def _queries(imported: Imported, settings: IndexSettings, plan: Plan) -> tuple[list[str], list[str]]:
    """Return the queries to search for one by one, and fresh ones for the load. Few queries are shared between both."""
    n_queries, n_fresh = plan.n_queries + WARM_UP, plan.n_load // 2
    sampled = sample_queries(imported.documents, settings.title, n_queries + n_fresh)
    if len(sampled) < n_queries + n_fresh:
        n_queries = max(len(sampled) * n_queries // (n_queries + n_fresh), 1)
    return sampled[:n_queries], sampled[n_queries:]


def _search(service: RunningService, bare: BareParts, queries: Sequence[str]) -> tuple[Times, int]:
    """Search for every query uncached and cached, in alternation with its bare parts.

    Returns the times, and how many answers were degraded because the vector was late.
    """
    n_degraded = 0
    times: defaultdict[str, list[float]] = defaultdict(list)
    n_warm_up = warm_up_size(len(queries))
    with closing(service.connection()) as connection:
        for i, query in enumerate(queries):
            parts = bare.run(query)
            cold, cached = (search(connection, INDEX, {"query": query}) for _ in range(2))
            n_degraded += sum(bool(searched.answer["degraded"]) for searched in (cold, cached))
            if i < n_warm_up:
                continue
            for name, ms in parts.items():
                times[f"bare {name}"].append(ms)
            times["service cold"].append(cold.took_ms)
            times["service cached"].append(cached.took_ms)
            times["service cold over HTTP"].append(cold.http_ms)
            times["service cached over HTTP"].append(cached.http_ms)
            for stage, ms in cold.stages.items():
                times[f"stage {stage}"].append(ms)
    return dict(times), n_degraded


def _load(service: RunningService, cached: Sequence[str], fresh: Sequence[str], n: int) -> dict[str, Any]:
    """Search as fast as possible over several connections, in turn for cached and fresh queries.

    n: searches for cached queries if there are no fresh ones
    """
    queries = [query for pair in zip(itertools.cycle(cached), fresh, strict=False) for query in pair]
    queries = queries or list(itertools.islice(itertools.cycle(cached), n))
    started = time.perf_counter()
    times, n_degraded = search_all(service.port, INDEX, queries, CONNECTIONS)
    seconds = time.perf_counter() - started
    return {
        "connections": CONNECTIONS,
        "searches": len(times),
        "uncached": len(fresh),
        "searches_per_s": round(len(times) / seconds, 1),
        "degraded": n_degraded,
        "over_http_ms": report.latency(times),
    }


def _change_weights(service: RunningService, settings: IndexSettings, queries: Sequence[str], n: int) -> list[float]:
    """Return the milliseconds from sending each change to receiving the first answer that was ranked with it."""
    times = []
    with closing(service.connection()) as connection:
        for i in range(n):
            change = {"weights": {f"bm25.{settings.title}": 3.0 + (i % 2)}, "reason": "bench"}
            started = time.perf_counter()
            status, changed = call(connection, "PUT", f"/v1/indexes/{INDEX}/weights", change)
            request = {"query": queries[i % len(queries)]}
            _, answer = call(connection, "POST", f"/v1/indexes/{INDEX}/search", request)
            times.append((time.perf_counter() - started) * 1e3)
            if status != 200 or answer["weights_version"] != changed["version"]:
                raise BenchmarkFailed(f"{changed} was set, but version {answer['weights_version']} ranked")
    return times


def _start(data_dir: Path, port: int, query: str) -> tuple[RunningService, float]:
    """Start the service again; return it and the seconds until its first answer."""
    started = time.perf_counter()
    service = RunningService(data_dir, port)
    status, answer = service.call("POST", f"/v1/indexes/{INDEX}/search", {"query": query})
    seconds = time.perf_counter() - started
    if status != 200 or not answer["hits"]:
        service.stop()
        raise BenchmarkFailed(f"after a restart the first search was answered {status}: {answer}")
    return service, seconds


def _search_reference(bare: BareParts, reference: Reference, queries: Sequence[str]) -> Times:
    """Encode every query with sentence-transformers, and add the bare retrieval."""
    times: defaultdict[str, list[float]] = defaultdict(list)
    for query in queries:
        encode = reference.encode_query(query)
        if encode is None:
            break
        parts = bare.run(query)
        times["SentenceTransformer.encode"].append(encode)
        times[REFERENCE_SEARCHES].append(encode + parts["tantivy"] + parts["faiss"])
    return dict(times)


def _import_figures(imported: Imported, settings: IndexSettings, reference: Reference) -> dict[str, Any]:
    """Compare the import with `SentenceTransformer.encode` on the same texts, twice, so that a drift shows."""
    documents = imported.documents
    rate = len(documents) / imported.seconds
    figures: dict[str, Any] = {
        "n_documents": len(documents),
        "n_refused": len(imported.refused),
        "seconds": round(imported.seconds, 2),
        "documents_per_s": round(rate, 1),
    }
    if settings.embedding is None or not reference.n_texts:
        return figures
    rng = np.random.default_rng(report.SEED)
    chosen = rng.choice(len(documents), min(reference.n_texts, len(documents)), replace=False)
    texts = [embedding_text(documents[i], settings.embedding) for i in chosen]
    rates = [rate for rate in (reference.documents_per_s(texts) for _ in range(2)) if rate is not None]
    if rates:
        figures["SentenceTransformer_documents_per_s"] = [round(rate, 1) for rate in rates]
        figures["ratio"] = round(figures["documents_per_s"] / float(np.mean(rates)), 2)
    return figures


def _checks(figures: dict[str, Any]) -> list[report.Check]:
    searches: dict[str, report.Latency] = figures["search_ms"]
    load = figures["load"]
    cold, cached, bare = searches["service cold"], searches["service cached"], searches["bare sum"]
    ratio = cold.p50.value / bare.p50.value
    change_p99 = figures["weight_change_ms"].p99.value
    slowest = max(max(times) for times in figures["restart_to_first_answer_s"].values())
    rate, degraded = load["searches_per_s"], load["degraded"]
    one_by_one = figures["degraded"]
    share = f"{1 - load['uncached'] / load['searches']:.0%} cached"
    checks = [
        report.Check("cold p50 / p50 of the bare parts' sum", "<= 1.5", f"{ratio:.2f}", ratio <= 1.5),
        report.Check("cold p99", "<= 8 ms", f"{cold.p99.value:.2f} ms", cold.p99.value <= 8),
        report.Check("cached p50", "<= 1.5 ms", f"{cached.p50.value:.2f} ms", cached.p50.value <= 1.5),
        report.Check("searches without the vector leg, which was late", "0", str(one_by_one), one_by_one == 0),
        report.Check("weight change to first search, p99", "<= 50 ms", f"{change_p99:.1f} ms", change_p99 <= 50),
        report.Check("restart to first answer, slowest", "<= 5 s", f"{slowest:.2f} s", slowest <= 5),
        *inprocess.checks(searches, len(figures["facets"])),
        report.Check(f"searches/s, {CONNECTIONS} connections, {share}", ">= 500", f"{rate:.0f}", rate >= 500),
        report.Check("of these without the vector leg, which was late", "0", str(degraded), degraded == 0),
    ]
    if REFERENCE_SEARCHES in searches:
        gain = searches[REFERENCE_SEARCHES].p50.value / cold.p50.value
        checks.append(report.Check(f"{REFERENCE_SEARCHES} / cold, p50", ">= 2", f"{gain:.2f}", gain >= 2))
    if "ratio" in figures["import"]:
        gain = figures["import"]["ratio"]
        checks.append(
            report.Check("import / SentenceTransformer.encode, documents a second", ">= 2", f"{gain}", gain >= 2)
        )
    return checks


def print_result(result: dict[str, Any]) -> None:
    print(f"{result['collection']}, {result['n_queries']} queries, milliseconds")
    for name, figures in result["search_ms"].items():
        report.print_latency(name, figures)
    report.print_latency("weight change to first search", result["weight_change_ms"])
    load = result["load"]
    report.print_latency(f"over HTTP, {load['connections']} connections", load["over_http_ms"])
    print(f"{load['searches_per_s']} searches a second over {load['connections']} connections")
    print(f"facets counted: {', '.join(result['facets'])}")
    print(f"import: {result['import']}")
    print(f"restart to first answer (s): {result['restart_to_first_answer_s']}")
    report.print_checks(result["checks"])
