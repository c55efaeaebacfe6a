"""How long does a search take, from question to answer, and what of that is ours?

Question   `took_ms` of hybrid searches, cold and with the query's vector cached, against the sum of the bare parts;
           a weight change to the first search that uses it; import; restart.
Data       a folder with docs.jsonl[.gz]; queries are seeded titles of its documents and their first two words.
Baseline   in alternation, query by query, in this process on one thread: tokenizer + onnxruntime session, one tantivy
           query over the searchable fields for 100 hits, one search of the FAISS index in use for 100. Then, over the
           same queries, `SentenceTransformer.encode` in place of the first: by itself, because torch's threads go on
           spinning after a call and would take a core from whatever is measured next. Import against
           `SentenceTransformer.encode`, batch 64.
Command    searchsvc bench latency ../shared/data/electronics
"""

from __future__ import annotations

import http.client
import itertools
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import faiss
import msgspec
import numpy as np

from benchmarks import inprocess, report
from benchmarks.bare import BareKeyword
from benchmarks.collection import documents_file, lines
from benchmarks.running import RunningService, Searched, await_snapshot, call, search, search_all
from events.settings import IndexSettings
from searchsvc.analysis.document_text import embedding_text
from searchsvc.cli.data import import_documents
from searchsvc.embedding.embedder import Embedder
from searchsvc.embedding.model import find_model
from searchsvc.engines.columnar.vectors import FEW, StoredVectors, build_base
from searchsvc.engines.embedded.storage import snapshots

INDEX: Final = "bench"
CANDIDATES: Final = 100
WARM_UP: Final = 50
CONNECTIONS: Final = 16
HEAD_WORDS: Final = 2


def measure(
    folder: Path,
    *,
    n_queries: int,
    n_load: int,
    n_changes: int,
    n_restarts: int,
    n_reference: int,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """The result as JSON would have it. n_load: searches over many connections at once. n_reference: texts for
    `SentenceTransformer.encode`; 0 leaves it out."""
    with tempfile.TemporaryDirectory(prefix="searchsvc-bench-") as scratch:
        data_dir = Path(scratch) / "data"
        service = RunningService(data_dir)
        try:
            reference = _Reference(n_reference)
            say("importing")
            imported, settings = _import(service, folder)
            await_snapshot(data_dir, INDEX)
            say("searching")
            documents = [msgspec.json.decode(line) for line in lines(documents_file(folder))]
            sampled = sample_queries(documents, settings.title, n_queries + n_load // 2)
            queries, fresh = sampled[:n_queries], sampled[n_queries:]
            bare = BareParts(data_dir, settings, documents)
            searches = _search(service, bare, queries)
            say(f"searching over {CONNECTIONS} connections")
            load = _load(service, queries, fresh)
            say("changing weights")
            changes = _change_weights(service, settings, queries, n_changes)
            say("restarting")
            restarts = {}
            for name, end in (("after SIGTERM", RunningService.stop), ("after kill -9", RunningService.kill)):
                times = []
                for _ in range(n_restarts):
                    end(service)
                    service, seconds = _restart(data_dir, service.port, queries[0])
                    times.append(round(seconds, 3))
                restarts[name] = times
        finally:
            service.stop()
        say("searching in process")
        cold = Embedder(bare.model)
        facets = inprocess.facet_fields(documents)
        again = queries[WARM_UP:]
        searches |= inprocess.measure(data_dir, settings, cold, bare, again, facets, Path(scratch) / "copy")
        say("calling SentenceTransformer")
        _search_reference(bare, reference, queries, searches)
        imported = _compare_import(imported, folder, settings, reference)
    figures = {
        "import": imported,
        "search_ms": {name: report.latency(values) for name, values in searches.items()},
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


def sample_queries(documents: Sequence[Mapping[str, Any]], title: str, n: int) -> list[str]:
    """At most n distinct queries: seeded titles, and the first two words of others, in turn."""
    titles = [str(document.get(title) or "") for document in documents]
    rng = np.random.default_rng(report.SEED)
    queries: dict[str, None] = {}
    for i in rng.permutation(len(titles)):
        whole = titles[i][:512].strip()
        query = whole if len(queries) % 2 == 0 else " ".join(whole.split()[:HEAD_WORDS])
        if query:
            queries.setdefault(query)
        if len(queries) == n:
            break
    return list(queries)


class BareParts:
    """The parts alone, as a script would call them: over the service's own vectors, and tantivy over its documents."""

    def __init__(self, data_dir: Path, settings: IndexSettings, documents: Sequence[Mapping[str, Any]]) -> None:
        faiss.omp_set_num_threads(1)
        snapshot = snapshots(next((data_dir / "indexes").glob(f"{INDEX}-*")))[0]
        self._keyword = BareKeyword(documents, settings)
        columns = (np.load(snapshot / f"{name}.npy") for name in ("vectors", "vector_scales", "vector_total"))
        vectors = StoredVectors(*columns)
        self._faiss: Any = _faiss_index(vectors)
        self.model = next((data_dir / "models").glob("*/"))
        self.embedder = Embedder(self.model, cache_size=0)

    def run(self, query: str) -> dict[str, float]:
        """Milliseconds of each part for one query."""
        vector, encode = _timed(lambda: self.embedder.encode_query(query))
        terms = self._keyword.terms(query)
        _, keyword = _timed(lambda: self._keyword.search(terms, CANDIDATES))
        _, nearest = _timed(lambda: self._faiss.search(vector[None, :], CANDIDATES))
        return {"encode": encode, "tantivy": keyword, "faiss": nearest, "sum": encode + keyword + nearest}


def _faiss_index(vectors: StoredVectors) -> Any:
    """The index that the service uses; an exhaustive one where it looks at each of few rows."""
    n, dimension = vectors.rows.shape
    if n >= FEW:
        return build_base(vectors)
    index: Any = faiss.IndexFlatIP(dimension)
    index.add(vectors.floats(slice(None)))
    return index


class _Reference:
    """sentence-transformers as a user would call it; nothing where it is not wanted or not installed.

    Loaded when it is first asked, so that its threads come to be after what they would disturb.
    """

    def __init__(self, n_texts: int) -> None:
        self.n_texts = n_texts
        self._model: Any = None

    def encode_query(self, query: str) -> float | None:
        model = self._loaded()
        return _timed(lambda: model.encode(query))[1] if model is not None else None

    def documents_per_s(self, texts: list[str]) -> float | None:
        model = self._loaded()
        if model is None:
            return None
        _, ms = _timed(lambda: model.encode(texts, batch_size=64))
        return len(texts) / ms * 1e3

    def _loaded(self) -> Any:
        if self._model is None and self.n_texts:
            try:
                from sentence_transformers import SentenceTransformer
            except ImportError:
                self.n_texts = 0
                return None
            self._model = SentenceTransformer(str(find_model("all-MiniLM-L6-v2").folder), device="cpu")
            self._model.encode(["warm up"] * 64, batch_size=64)
        return self._model


def _import(service: RunningService, folder: Path) -> tuple[dict[str, Any], IndexSettings]:
    """A whole import over HTTP, until every document is searchable."""
    started = time.perf_counter()
    import_documents(service.url, INDEX, documents_file(folder))
    seconds = time.perf_counter() - started
    _, info = service.call("GET", f"/v1/indexes/{INDEX}")
    figures = {
        "n_documents": info["n_documents"],
        "seconds": round(seconds, 2),
        "documents_per_s": round(info["n_documents"] / seconds, 1),
    }
    return figures, msgspec.convert(info["settings"], IndexSettings)


def _compare_import(
    imported: dict[str, Any], folder: Path, settings: IndexSettings, reference: _Reference
) -> dict[str, Any]:
    """The same texts through `SentenceTransformer.encode`, twice, so that a drift of the machine shows."""
    if settings.embedding is None or not reference.n_texts:
        return imported
    documents = [msgspec.json.decode(line) for line in lines(documents_file(folder))]
    rng = np.random.default_rng(report.SEED)
    chosen = rng.choice(len(documents), min(reference.n_texts, len(documents)), replace=False)
    texts = [embedding_text(documents[i], settings.embedding) for i in chosen]
    rates = [rate for rate in (reference.documents_per_s(texts) for _ in range(2)) if rate is not None]
    if not rates:
        return imported
    ratio = round(imported["documents_per_s"] / float(np.mean(rates)), 2)
    return {**imported, "SentenceTransformer_documents_per_s": [round(rate, 1) for rate in rates], "ratio": ratio}


def _search(service: RunningService, bare: BareParts, queries: list[str]) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        times.setdefault(name, []).append(value)

    with closing(service.connection()) as connection:
        for i, query in enumerate(queries):
            parts = bare.run(query)
            cold, warm = _one_search(connection, query), _one_search(connection, query)
            if i < WARM_UP:
                continue
            for name, ms in parts.items():
                note(f"bare {name}", ms)
            note("service cold", cold.took_ms)
            note("service cached", warm.took_ms)
            note("service cold over HTTP", cold.http_ms)
            note("service cached over HTTP", warm.http_ms)
            for stage, ms in cold.stages.items():
                note(f"stage {stage}", ms)
    return times


def _load(service: RunningService, known: Sequence[str], fresh: Sequence[str]) -> dict[str, Any]:
    """Searches as fast as they are answered over several connections; every other query is one that was made before."""
    todo = [query for pair in zip(itertools.cycle(known), fresh, strict=False) for query in pair]
    started = time.perf_counter()
    times, n_degraded = search_all(service.port, INDEX, todo, CONNECTIONS)
    seconds = time.perf_counter() - started
    return {
        "connections": CONNECTIONS,
        "searches": len(times),
        "searches_per_s": round(len(times) / seconds, 1),
        "degraded": n_degraded,
        "over_http_ms": report.latency(times),
    }


def _search_reference(
    bare: BareParts, reference: _Reference, queries: list[str], times: dict[str, list[float]]
) -> None:
    for query in queries[WARM_UP:]:
        encode = reference.encode_query(query)
        if encode is None:
            return
        parts = bare.run(query)
        whole = encode + parts["tantivy"] + parts["faiss"]
        times.setdefault("SentenceTransformer.encode", []).append(encode)
        times.setdefault("SentenceTransformer + bare retrieval", []).append(whole)


def _one_search(connection: http.client.HTTPConnection, query: str) -> Searched:
    searched = search(connection, INDEX, {"query": query})
    if searched.answer["degraded"]:
        raise AssertionError(f"{query!r} was answered without {searched.answer['degraded']}")
    return searched


def _change_weights(service: RunningService, settings: IndexSettings, queries: list[str], n: int) -> list[float]:
    """From sending the change to holding the first answer that was ranked with it."""
    times = []
    with closing(service.connection()) as connection:
        for i in range(n):
            change = {"weights": {f"bm25.{settings.title}": 3.0 + (i % 2)}, "reason": "bench"}
            started = time.perf_counter()
            status, changed = call(connection, "PUT", f"/v1/indexes/{INDEX}/weights", change)
            search = {"query": queries[i % len(queries)]}
            _, answer = call(connection, "POST", f"/v1/indexes/{INDEX}/search", search)
            times.append((time.perf_counter() - started) * 1e3)
            if status != 200 or answer["weights_version"] != changed["version"]:
                raise AssertionError(f"{changed} was set, but version {answer['weights_version']} ranked")
    return times


def _restart(data_dir: Path, port: int, query: str) -> tuple[RunningService, float]:
    started = time.perf_counter()
    service = RunningService(data_dir, port)
    status, answer = service.call("POST", f"/v1/indexes/{INDEX}/search", {"query": query})
    seconds = time.perf_counter() - started
    if status != 200 or not answer["hits"]:
        raise AssertionError(f"after a restart the first search answered {status}")
    return service, seconds


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    started = time.perf_counter()
    result = work()
    return result, (time.perf_counter() - started) * 1e3


def _checks(figures: dict[str, Any]) -> list[report.Check]:
    search: dict[str, report.Latency] = figures["search_ms"]
    cold, cached, bare = search["service cold"], search["service cached"], search["bare sum"]
    ratio = cold.p50.value / bare.p50.value
    changed = figures["weight_change_ms"].p99.value
    slowest = max(max(times) for times in figures["restart_to_first_answer_s"].values())
    checks = [
        report.Check("cold p50 / p50 of the bare parts' sum", "<= 1.5", f"{ratio:.2f}", ratio <= 1.5),
        report.Check("cold p99", "<= 8 ms", f"{cold.p99.value:.2f} ms", cold.p99.value <= 8),
        report.Check("cached p50", "<= 1.5 ms", f"{cached.p50.value:.2f} ms", cached.p50.value <= 1.5),
        report.Check("weight change to first search, p99", "<= 50 ms", f"{changed:.1f} ms", changed <= 50),
        report.Check("restart to first answer, slowest", "<= 5 s", f"{slowest:.2f} s", slowest <= 5),
    ]
    rate = figures["load"]["searches_per_s"]
    checks += inprocess.checks(search)
    checks.append(
        report.Check(f"searches/s, {CONNECTIONS} connections, half cached", ">= 500", f"{rate:.0f}", rate >= 500)
    )
    late = figures["load"]["degraded"]
    checks.append(report.Check("of these without the vector leg, because it was late", "0", str(late), late == 0))
    if "SentenceTransformer + bare retrieval" in search:
        gain = search["SentenceTransformer + bare retrieval"].p50.value / cold.p50.value
        checks.append(
            report.Check("SentenceTransformer + bare retrieval / cold, p50", ">= 2", f"{gain:.2f}", gain >= 2)
        )
    if "ratio" in figures["import"]:
        faster = figures["import"]["ratio"]
        checks.append(
            report.Check("import / SentenceTransformer.encode, documents a second", ">= 2", f"{faster}", faster >= 2)
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
