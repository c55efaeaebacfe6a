"""What do searches, writes, starts and memory cost as a catalogue grows?

Question   p50 and p99 of hybrid searches at each size, recall of the vector leg, time until a written document is found
           while searches go on, memory of service and nats-server after many searches, disk, time of a start.
Data       titles crossed over from a real catalogue's (benchmarks/generated.py), really encoded. Queries are seeded
           titles of the generated products and their first two words.
Baseline   the smallest size. Recall is measured against cosines of all vectors as the model gave them.
Command    searchsvc bench scale ../shared/data/electronics --vectors DIR
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from http.client import HTTPConnection
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks import report
from benchmarks.collection import documents_file, lines
from benchmarks.errors import BenchmarkFailed
from benchmarks.generated import COLOURS, SETTINGS, catalogue
from benchmarks.importing import saved
from benchmarks.queries import WARM_UP, sample_queries, warm_up_size
from benchmarks.recall import vector_recall
from benchmarks.running import RunningService, call
from benchmarks.searching import search
from searchsvc.cli.data import import_documents

INDEX: Final = "bench"
N_RECALL: Final = 200
CONCURRENT_SEARCHES_PER_S: Final = 20
FILTER: Final = "colour:Black AND price:[20 TO 200]"
FACETS: Final = ["supplier", "colour", "in_stock"]
# Kinds of searches, with what they request besides the query.
KINDS: Final[Mapping[str, dict[str, Any]]] = {
    "cold": {},
    "cached": {},
    "filtered": {"filters": FILTER},
    "faceted": {"facets": FACETS},
}
LARGEST: Final = 1_000_000


class Plan(msgspec.Struct, frozen=True):
    """What to measure.

    sizes: numbers of documents
    n_queries: distinct queries at each size, besides those that warm up
    n_searches: searches before memory is measured
    n_upserts: documents written while searching
    vectors: folder to read vectors from and to keep new ones in; None keeps none
    """

    sizes: Sequence[int]
    n_queries: int
    n_searches: int
    n_upserts: int
    vectors: Path | None = None


def measure(folder: Path, plan: Plan, say: Callable[[str], None]) -> dict[str, Any]:
    """Grow an index from size to size; return the result as it is written to JSON."""
    products = catalogue([msgspec.json.decode(line) for line in lines(documents_file(folder))], max(plan.sizes))
    table: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="searchsvc-bench-") as scratch:
        data_dir = Path(scratch) / "data"
        if plan.vectors is not None:
            data_dir.mkdir()
            plan.vectors.mkdir(parents=True, exist_ok=True)
            (data_dir / "vectors").symlink_to(plan.vectors.resolve())
        service = RunningService(data_dir)
        try:
            status, created = service.call("PUT", f"/v1/indexes/{INDEX}", SETTINGS)
            if status not in (200, 201):
                raise BenchmarkFailed(f"the index was not created: {created}")
            titles: list[Mapping[str, Any]] = []
            for size in sorted(plan.sizes):
                say(f"growing to {size:,} documents")
                service, growth = _grow(service, islice(products, size - len(titles)), titles)
                service, figures = _measure_size(service, titles, plan, say)
                table.append({"documents": size, **growth, **figures})
        finally:
            service.stop()
    return {
        "benchmark": "scale",
        "question": "what searches, writes, starts and memory cost as a catalogue grows",
        "collection": f"generated from {folder.name}",
        **report.environment(),
        "settings": SETTINGS,
        "n_searches_before_memory": plan.n_searches,
        "table": table,
        "checks": _checks(table, plan.n_searches),
    }


def _measure_size(
    service: RunningService, titles: Sequence[Mapping[str, Any]], plan: Plan, say: Callable[[str], None]
) -> tuple[RunningService, dict[str, Any]]:
    """Measure everything at the present size; return the service, which was restarted, and the figures."""
    data_dir = service.data_dir
    queries = sample_queries(titles, SETTINGS.title, plan.n_queries + WARM_UP)
    say("searching")
    searches, n_degraded = _search(service, queries)
    say("writing while searching")
    upserts = _upsert(service, queries, plan.n_upserts)
    say(f"searching {plan.n_searches} times")
    _search_varied(service, queries, plan.n_searches)
    memory = {"service": _resident_mb(service.process.pid)}
    memory["nats-server"] = sum(_resident_mb(child) for child in _children(service.process.pid))
    service.stop()
    disk = {name: _disk_mb(data_dir / name) for name in ("indexes", "nats", "vectors")}
    say("measuring recall")
    recall = vector_recall(data_dir, INDEX, SETTINGS, queries[:N_RECALL])
    say("starting again")
    service = RunningService(data_dir)
    status, answer = service.call("POST", f"/v1/indexes/{INDEX}/search", {"query": queries[0]})
    if status != 200 or not answer["hits"]:
        service.stop()
        raise BenchmarkFailed(f"after a restart the first search was answered {status}: {answer}")
    return service, {
        "degraded": n_degraded,
        "search_ms": {name: report.latency(values) for name, values in searches.items()},
        "upsert_to_searchable_ms": report.latency(upserts),
        "recall_at_100": recall,
        "resident_mb": memory,
        "disk_mb": disk,
        "start_s": round(service.start_s, 2),
    }


def _grow(
    service: RunningService, products: Iterator[dict[str, Any]], titles: list[Mapping[str, Any]]
) -> tuple[RunningService, dict[str, Any]]:
    """Import more products and wait until the index is tidied up and saved.

    titles: titles of the products are appended here

    Returns the service that runs then, and the figures.
    """

    def encoded() -> Iterator[bytes]:
        for product in products:
            titles.append({SETTINGS.title: product[SETTINGS.title]})
            yield msgspec.json.encode(product) + b"\n"

    n_before, started = len(titles), time.perf_counter()
    imported = import_documents(service.url, INDEX, encoded())
    seconds = time.perf_counter() - started
    if imported.refused:
        raise BenchmarkFailed(f"{imported.n_refused} products were refused, the first: {imported.refused[0]}")
    _, info = service.call("GET", f"/v1/indexes/{INDEX}")
    service = saved(service, INDEX, info["applied_catalog_seq"])
    return service, {
        "import_s": round(seconds, 1),
        "import_documents_per_s": round((len(titles) - n_before) / seconds, 1),
        "settled_after_s": round(time.perf_counter() - started - seconds, 1),
    }


def _search(service: RunningService, queries: Sequence[str]) -> tuple[dict[str, list[float]], int]:
    """Search for each query in every way.

    Returns milliseconds by kind (`took_ms`, its stages, and over HTTP), and how many answers were degraded because the
    vector leg was late.
    """
    times: defaultdict[str, list[float]] = defaultdict(list)
    n_degraded = 0
    n_warm_up = warm_up_size(len(queries))
    with closing(service.connection()) as connection:
        for i, query in enumerate(queries):
            for kind, members in KINDS.items():
                searched = search(connection, INDEX, {"query": query, **members})
                n_degraded += bool(searched.answer["degraded"])
                if i < n_warm_up:
                    continue
                times[kind].append(searched.took_ms)
                times[f"{kind} over HTTP"].append(searched.http_ms)
                if kind == "cold":
                    for stage, ms in searched.stages.items():
                        times[f"stage {stage}"].append(ms)
    return dict(times), n_degraded


def _search_varied(service: RunningService, queries: Sequence[str], n: int) -> None:
    """Make searches that differ in what they request, so that all of the index is touched."""
    with closing(service.connection()) as connection:
        for i in range(n):
            request: dict[str, Any] = {"query": queries[i % len(queries)], "offset": 10 * (i // len(queries) % 5)}
            if i % 3 == 1:
                request["filters"] = f"colour:{COLOURS[i % len(COLOURS)]}"
            if i % 3 == 2:
                request["facets"] = FACETS
            search(connection, INDEX, request)


def _upsert(service: RunningService, queries: Sequence[str], n: int) -> list[float]:
    """Return the milliseconds from sending each document until a search finds it, while other searches go on."""
    stop = threading.Event()
    failures: list[str] = []

    def keep_searching() -> None:
        with closing(service.connection()) as connection:
            for query in cycle(queries):
                if stop.wait(1 / CONCURRENT_SEARCHES_PER_S):
                    return
                status, _ = call(connection, "POST", f"/v1/indexes/{INDEX}/search", {"query": query})
                failures.extend([str(status)] if status != 200 else [])

    searching = threading.Thread(target=keep_searching)
    searching.start()
    try:
        with closing(service.connection()) as connection:
            times = [_upsert_one(connection, queries[i % len(queries)], f"UP{i:07}") for i in range(n)]
    finally:
        stop.set()
        searching.join()
    if failures:
        raise BenchmarkFailed(f"searches during the writes were answered {failures[:5]}")
    return times


def _upsert_one(connection: HTTPConnection, title: str, article_number: str) -> float:
    product = {"id": "upserted", "title": f"{title} edition", "article_number": article_number}
    started = time.perf_counter()
    status, answer = call(connection, "POST", f"/v1/indexes/{INDEX}/documents", product)
    if status not in (200, 202):
        raise BenchmarkFailed(f"the document was answered {status}: {answer}")
    while True:
        hits = search(connection, INDEX, {"query": article_number}).answer["hits"]
        if hits and hits[0]["document"].get("article_number") == article_number:
            return (time.perf_counter() - started) * 1e3


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in listed]


def _resident_mb(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6)


def _disk_mb(folder: Path) -> int:
    files = (file for file in folder.resolve().rglob("*") if file.is_file())
    return round(sum(file.stat().st_blocks * 512 for file in files) / 1e6)


def _checks(table: Sequence[Mapping[str, Any]], n_searches: int) -> list[report.Check]:
    checks = []
    for row in table:
        size = f"{row['documents']:,}"
        upsert = row["upsert_to_searchable_ms"].p99.value
        checks.append(
            report.Check(f"{size}: upsert to searchable, p99", "<= 1 s", f"{upsert / 1e3:.2f} s", upsert <= 1000)
        )
        recall = min(row["recall_at_100"].values())
        checks.append(
            report.Check(f"{size}: recall@100, with and without filters", ">= .98", f"{recall}", recall >= 0.98)
        )
        if row["documents"] >= LARGEST:
            cold = row["search_ms"]["cold"].p99.value
            checks.append(report.Check(f"{size}: hybrid p99", "<= 12 ms", f"{cold:.2f} ms", cold <= 12))
            memory = sum(row["resident_mb"].values()) / 1e3
            question = f"{size}: service and nats-server after {n_searches} searches"
            checks.append(report.Check(question, "<= 2.5 GB", f"{memory:.2f} GB", memory <= 2.5))
    return checks


def print_result(result: dict[str, Any]) -> None:
    for row in result["table"]:
        print(f"\n{row['documents']:,} documents, milliseconds")
        for name, figures in row["search_ms"].items():
            report.print_latency(name, figures)
        report.print_latency("upsert to searchable", row["upsert_to_searchable_ms"])
        print(f"{row['degraded']} answers without the vector leg, which was late")
        print(f"import {row['import_documents_per_s']} documents/s, settled after {row['settled_after_s']} s more")
        print(f"recall@100 {row['recall_at_100']}")
        print(f"resident MB {row['resident_mb']}, disk MB {row['disk_mb']}, start {row['start_s']} s")
    report.print_checks(result["checks"])
