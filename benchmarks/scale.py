"""What do searches, writes, starts and memory cost as a catalogue grows?

Question   p50 and p99 of hybrid searches at each size, recall of the vector leg, time until a written document is found
           while searches go on, memory of service and nats-server after many searches, disk, time of a start.
Data       titles crossed over from a real catalogue's (benchmarks/generated.py), really encoded. Queries are seeded
           titles of the generated products and their first two words.
Baseline   the smallest size. Recall is held against cosines of all vectors as the model gave them.
Command    searchsvc bench scale ../shared/data/electronics --vectors DIR
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from benchmarks import report
from benchmarks.collection import documents_file, lines
from benchmarks.generated import COLOURS, SETTINGS, catalogue
from benchmarks.queries import sample_queries
from benchmarks.running import RunningService, call
from benchmarks.searching import search
from searchsvc.analysis.document_text import embedding_text
from searchsvc.cli.data import import_documents
from searchsvc.embedding.cache import VectorCache
from searchsvc.embedding.embedder import Embedder
from searchsvc.engines.columnar.vectors import StoredVectors, VectorIndex
from searchsvc.engines.embedded import storage
from tuning.arrays import AnyArray, BoolArray, FloatArray

INDEX: Final = "bench"
K: Final = 100
N_RECALL: Final = 200
BLOCK: Final = 16_384
WARM_UP: Final = 50
SEARCHES_BESIDE_A_S: Final = 20
FILTER: Final = "colour:Black AND price:[20 TO 200]"
FACETS: Final = ["supplier", "colour", "in_stock"]
SETTLE_TIMEOUT_S: Final = 600.0
LARGEST: Final = 1_000_000


def measure(
    folder: Path,
    *,
    sizes: Sequence[int],
    n_queries: int,
    n_searches: int,
    n_upserts: int,
    vectors: Path | None,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """The result as JSON would have it. vectors: a folder of vectors to take from and to add to; None keeps none."""
    real = [msgspec.json.decode(line) for line in lines(documents_file(folder))]
    products = catalogue(real, max(sizes))
    table: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="searchsvc-bench-") as scratch:
        data_dir = Path(scratch) / "data"
        if vectors is not None:
            data_dir.mkdir()
            vectors.mkdir(parents=True, exist_ok=True)
            (data_dir / "vectors").symlink_to(vectors.resolve())
        service = RunningService(data_dir)
        try:
            status, created = service.call("PUT", f"/v1/indexes/{INDEX}", SETTINGS)
            if status not in (200, 201):
                raise AssertionError(f"the index was not made: {created}")
            titles: list[Mapping[str, Any]] = []
            for size in sorted(sizes):
                say(f"growing to {size:,} documents")
                imported = _grow(service, data_dir, islice(products, size - len(titles)), titles)
                queries = sample_queries(titles, SETTINGS.title, n_queries + WARM_UP)
                say("searching")
                searches, n_degraded = _search(service, queries)
                say("writing while searching")
                upserts = _upsert(service, queries, n_upserts)
                say(f"searching {n_searches} times")
                _many(service, queries, n_searches)
                memory = {"service": _resident_mb(service.process.pid)}
                memory["nats-server"] = sum(_resident_mb(child) for child in _children(service.process.pid))
                service.stop()
                disk = {name: _disk_mb(data_dir / name) for name in ("indexes", "nats", "vectors")}
                say("measuring recall")
                recall = _recall(data_dir, queries[:N_RECALL])
                say("starting again")
                service = RunningService(data_dir)
                status, answer = service.call("POST", f"/v1/indexes/{INDEX}/search", {"query": queries[0]})
                if status != 200 or not answer["hits"]:
                    raise AssertionError(f"after a restart the first search answered {status}")
                table.append(
                    {
                        "documents": size,
                        **imported,
                        "degraded": n_degraded,
                        "search_ms": {name: report.latency(values) for name, values in searches.items()},
                        "upsert_to_searchable_ms": report.latency(upserts),
                        "recall_at_100": recall,
                        "resident_mb": memory,
                        "disk_mb": disk,
                        "start_s": round(service.start_s, 2),
                    }
                )
        finally:
            service.stop()
    return {
        "benchmark": "scale",
        "question": "what searches, writes, starts and memory cost as a catalogue grows",
        "collection": f"generated from {folder.name}",
        **report.environment(),
        "settings": SETTINGS,
        "n_searches_before_memory": n_searches,
        "table": table,
        "checks": _checks(table, n_searches),
    }


def _grow(
    service: RunningService, data_dir: Path, products: Iterator[dict[str, Any]], titles: list[Mapping[str, Any]]
) -> dict[str, Any]:
    """Import more products and wait until the index is tidied up and saved. titles: gets theirs."""

    def said() -> Iterator[bytes]:
        for product in products:
            titles.append({SETTINGS.title: product[SETTINGS.title]})
            yield msgspec.json.encode(product) + b"\n"

    n_before, started = len(titles), time.perf_counter()
    imported = import_documents(service.url, INDEX, said())
    seconds = time.perf_counter() - started
    if imported.refused:
        raise AssertionError(f"{imported.n_refused} products were refused, the first: {imported.refused[0]}")
    _, info = service.call("GET", f"/v1/indexes/{INDEX}")
    folder = next((data_dir / "indexes").glob(f"{INDEX}-*"))
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    while not any(int(one.name) >= info["applied_catalog_seq"] for one in storage.snapshots(folder)):
        if time.monotonic() > deadline:
            raise AssertionError(f"the index was not saved within {SETTLE_TIMEOUT_S:.0f} s")
        time.sleep(0.2)
    return {
        "import_s": round(seconds, 1),
        "import_documents_per_s": round((len(titles) - n_before) / seconds, 1),
        "settled_after_s": round(time.perf_counter() - started - seconds, 1),
    }


def _search(service: RunningService, queries: Sequence[str]) -> tuple[dict[str, list[float]], int]:
    """Milliseconds by kind: `took_ms`, its stages, and over HTTP; each query not cached, cached, filtered, faceted. And
    how many answers came without the vector leg, because it was late."""
    times: dict[str, list[float]] = {}
    n_degraded = 0
    kinds: dict[str, dict[str, Any]] = {
        "cold": {},
        "cached": {},
        "filtered": {"filters": FILTER},
        "faceted": {"facets": FACETS},
    }
    with closing(service.connection()) as connection:
        for i, query in enumerate(queries):
            for kind, asked in kinds.items():
                searched = search(connection, INDEX, {"query": query, **asked})
                n_degraded += bool(searched.answer["degraded"])
                if i < WARM_UP:
                    continue
                times.setdefault(kind, []).append(searched.took_ms)
                times.setdefault(f"{kind} over HTTP", []).append(searched.http_ms)
                if kind == "cold":
                    for stage, ms in searched.stages.items():
                        times.setdefault(f"stage {stage}", []).append(ms)
    return times, n_degraded


def _many(service: RunningService, queries: Sequence[str], n: int) -> None:
    """Searches that differ in what they ask for, so that all of the index is touched."""
    with closing(service.connection()) as connection:
        for i in range(n):
            query = queries[i % len(queries)]
            asked: dict[str, Any] = {"query": query, "offset": 10 * (i // len(queries) % 5)}
            if i % 3 == 1:
                asked["filters"] = f"colour:{COLOURS[i % len(COLOURS)]}"
            if i % 3 == 2:
                asked["facets"] = FACETS
            search(connection, INDEX, asked)


def _upsert(service: RunningService, queries: Sequence[str], n: int) -> list[float]:
    """Milliseconds from sending a document until a search finds it, while other searches go on."""
    stop = threading.Event()
    failed: list[str] = []

    def beside() -> None:
        with closing(service.connection()) as connection:
            at = 0
            while not stop.wait(1 / SEARCHES_BESIDE_A_S):
                status, _ = call(
                    connection, "POST", f"/v1/indexes/{INDEX}/search", {"query": queries[at % len(queries)]}
                )
                failed.extend([str(status)] if status != 200 else [])
                at += 1

    searching = threading.Thread(target=beside)
    searching.start()
    times = []
    try:
        with closing(service.connection()) as connection:
            for i in range(n):
                number = f"UP{i:07}"
                product = {"id": "upserted", "title": f"{queries[i % len(queries)]} edition", "article_number": number}
                started = time.perf_counter()
                status, said = call(connection, "POST", f"/v1/indexes/{INDEX}/documents", product)
                if status not in (200, 202):
                    raise AssertionError(f"the document was answered {status}: {said}")
                while True:
                    _, answer = call(connection, "POST", f"/v1/indexes/{INDEX}/search", {"query": number})
                    if answer["hits"] and answer["hits"][0]["document"].get("article_number") == number:
                        break
                times.append((time.perf_counter() - started) * 1e3)
    finally:
        stop.set()
        searching.join()
    if failed:
        raise AssertionError(f"searches beside were answered {failed[:5]}")
    return times


def _recall(data_dir: Path, queries: Sequence[str]) -> dict[str, float]:
    """The share of the true 100 nearest that the vector leg finds, among all and among a random part of all.

    The truth is worked out from the vectors as the model gave them (the cache holds them in half precision).
    """
    folder = next((data_dir / "indexes").glob(f"{INDEX}-*"))
    snapshot = storage.snapshots(folder)[0]
    names = ("vectors", "vector_scales", "vector_total")
    vectors = StoredVectors(*(np.asarray(np.load(snapshot / f"{name}.npy", mmap_mode="r")) for name in names))
    live = np.load(snapshot / "live.npy")
    index = VectorIndex(vectors.rows.shape[1], vectors, storage.vector_base(snapshot))
    index.settle()
    view = index.view()
    embedder = Embedder(next((data_dir / "models").glob("*/")))
    asked = np.stack([embedder.encode_query(query) for query in queries])
    rng = np.random.default_rng(report.SEED)
    parts: dict[str, BoolArray] = {"all": live}
    parts |= {f"{share:.0%} allowed": live & (rng.random(len(live)) < share) for share in (0.5, 0.1, 0.02)}
    cache = VectorCache(data_dir / "vectors" / f"{embedder.digest[:16]}.sqlite", embedder.dimension)
    products = np.concatenate([asked @ block.T for block in _encoded(folder, snapshot, cache)], axis=1)
    cache.close()
    found: dict[str, float] = {}
    for name, allowed in parts.items():
        slots: AnyArray = np.flatnonzero(allowed)
        k = min(K, len(slots))
        shares = []
        for vector, row in zip(asked, products, strict=True):
            wanted = set(slots[np.argpartition(-row[slots], k - 1)[:k]].tolist())
            offered, cosines = view.nearest(vector, K, allowed)
            best = offered[np.argsort(-cosines, kind="stable")[:K]]
            shares.append(len(set(best.tolist()) & wanted) / max(k, 1))
        found[name] = round(float(np.mean(shares)), 4)
    return found


def _encoded(folder: Path, snapshot: Path, cache: VectorCache) -> Iterator[FloatArray]:
    """(n, dimension) the vectors of all slots' texts, in order, some at a time."""
    embedding = SETTINGS.embedding
    ends = np.load(snapshot / "document_ends.npy").tolist()
    documents = next(folder.glob("work-*/documents")).read_bytes()
    if embedding is None:
        raise AssertionError("the generated catalogue is embedded")
    for at in range(0, len(ends) - 1, BLOCK):
        cuts = list(pairwise(ends[at : at + BLOCK + 1]))
        texts = [embedding_text(msgspec.json.decode(documents[start:end]), embedding) for start, end in cuts]
        known = cache.get(list(dict.fromkeys(texts)))
        yield np.stack([known[text] for text in texts])


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
            what = f"{size}: service and nats-server after {n_searches} searches"
            checks.append(report.Check(what, "<= 2.5 GB", f"{memory:.2f} GB", memory <= 2.5))
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
