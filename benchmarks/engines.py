"""Do both engines rank alike, what does the service add to the node's answer, and how good is the node's own hybrid?

Question   nDCG@10 of the embedded and the OpenSearch engine with the same weights, queries and vectors, and how their
           first ten differ, next to the oracle, which looks at every document; a search through the service against
           the bare requests that it sends to the node, with the query's vector cached; OpenSearch's own hybrid query
           (min-max and RRF) on an index built as its manual describes.
Data       a judged folder (docs/how-to/measure-relevance.md)
Baseline   the other engine, and the oracle; the bare requests in alternation, through opensearch-py as it comes; the
           node's own hybrid
Command    make bench-engines     (needs an OpenSearch node: --opensearch URL)
"""

from __future__ import annotations

import asyncio
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from benchmarks import overhead, report
from benchmarks.bare import CANDIDATES
from benchmarks.causes import cause
from benchmarks.collection import JudgedQuery, documents_file, judged_queries, lines
from benchmarks.inprocess import INDEX, NOW, serving
from benchmarks.model import packaged_model
from benchmarks.oracle import OracleSnapshot
from benchmarks.overhead import BARE, OVER_HTTP, WARM_UP
from benchmarks.own_hybrid import OwnHybrid
from benchmarks.queries import MAX_QUERY_LENGTH
from benchmarks.running import RunningService
from benchmarks.searching import search_undegraded
from events.settings import IndexSettings
from searchsvc.analysis.document_text import embedding_text
from searchsvc.cli.data import import_documents
from searchsvc.embedding.embedder import Embedder
from searchsvc.engines.opensearch.client import client_of
from searchsvc.engines.protocol import Upsert
from searchsvc.indexing.documents import AcceptedDocument, parse_documents
from searchsvc.search.request import SearchRequest
from searchsvc.search.searcher import Searcher
from tuning import metrics
from tuning.arrays import ScoreArray

K: Final = 10
ATTEMPTS: Final = 3
# A query whose nDCG@10 differs by more is explained: see docs/how-to/opensearch.md.
LARGE: Final = 0.05
N_SHOWN: Final = 20


class _Measured(msgspec.Struct, frozen=True):
    """What was measured, by engine or way of searching.

    ranked: ids of each query, of both engines
    own: ids of each query and milliseconds, of OpenSearch's own hybrid
    oracle: ids of every n-th query
    causes: position of a query with a large difference -> its cause
    overhead_ms: see `overhead.measure`
    """

    ranked: dict[str, list[list[str]]]
    own: dict[str, tuple[list[list[str]], list[float]]]
    oracle: list[list[str]]
    causes: dict[int, str]
    overhead_ms: dict[str, list[float]]


def measure(
    folder: Path, *, url: str, n_queries: int, n_timed: int, n_exhaustive: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """Compare both engines; return the result as it is written to JSON.

    n_queries: size of a seeded sample of the judged queries
    n_timed: how many of them are timed
    n_exhaustive: how many of them the oracle is asked, which takes seconds for each
    """
    queries = judged_queries(folder)
    chosen = np.random.default_rng(report.SEED).choice(len(queries), min(n_queries, len(queries)), replace=False)
    queries = [queries[i] for i in sorted(chosen)]
    every = max(len(queries) // n_exhaustive, 1)
    measured = _measure_all(folder, url, queries, queries[:n_timed], queries[::every], say)
    values = {name: _ndcg(ids, queries) for name, ids in measured.ranked.items()}
    values |= {name: _ndcg(ids, queries) for name, (ids, _) in measured.own.items()}
    differences = values["opensearch"] - values["embedded"]
    part = {name: of_queries[::every] for name, of_queries in values.items()}
    part["exhaustive"] = _ndcg(measured.oracle, queries[::every])
    same = [a[:K] == b[:K] for a, b in zip(*measured.ranked.values(), strict=True)]
    return {
        "benchmark": "engines",
        "question": "both engines alike, the service's share of a search, the node's own hybrid beside",
        "collection": folder.name,
        **report.environment(),
        "opensearch": _version(url),
        "n_queries": len(queries),
        "ndcg@10": {name: report.mean_interval(of_queries) for name, of_queries in values.items()},
        "n_exhaustive": len(measured.oracle),
        "ndcg@10_beside_the_exhaustive": {
            name: report.mean_interval(part[name]) for name in ("exhaustive", "embedded", "opensearch")
        },
        "opensearch_minus_embedded": report.mean_interval(differences),
        "same_first_ten": round(float(np.mean(same)), 4),
        "n_large_differences": len(measured.causes),
        "large_differences_by_kind": dict(Counter(measured.causes.values()).most_common()),
        "largest_differences": _largest(queries, differences, measured),
        "search_ms": {name: report.latency(times) for name, times in measured.overhead_ms.items()}
        | {name: report.latency(times[WARM_UP:] or times) for name, (_, times) in measured.own.items()},
        "checks": _checks(values, measured.overhead_ms),
    }


def _measure_all(
    folder: Path,
    url: str,
    queries: Sequence[JudgedQuery],
    timed: Sequence[JudgedQuery],
    for_oracle: Sequence[JudgedQuery],
    say: Callable[[str], None],
) -> _Measured:
    """Fill both engines, rank all queries, explain large differences and time searches."""
    prefix = f"bench-{uuid.uuid4().hex[:12]}"
    with tempfile.TemporaryDirectory(prefix="searchsvc-bench-") as scratch, ExitStack() as cleanup:
        cleanup.callback(_drop, url, prefix)
        services: dict[str, RunningService] = {}
        for name, service in _services(Path(scratch), url, prefix):
            cleanup.callback(service.stop)
            services[name] = service
            say(f"importing into {name}")
            import_documents(service.url, INDEX, lines(documents_file(folder)))
        ranked = {}
        for name, service in services.items():
            say(f"searching {name}")
            ranked[name] = _rank(service, queries)
        difference = _ndcg(ranked["opensearch"], queries) - _ndcg(ranked["embedded"], queries)
        say("explaining large differences")
        large = np.flatnonzero(np.abs(difference) > LARGE).tolist()
        causes = {position: cause(services, queries[position].text) for position in large}
        _, info = services["opensearch"].call("GET", f"/v1/indexes/{INDEX}")
        settings = msgspec.convert(info["settings"], IndexSettings)
        embedder = Embedder(packaged_model(Path(scratch) / "opensearch"), cache_size=len(queries))
        say("the node's own hybrid")
        hybrid = OwnHybrid(url, f"{prefix}-own", settings, embedder)
        own = asyncio.run(hybrid.measure(folder, queries))
        say("the oracle")
        oracle = _oracle_ranking(folder, settings, embedder, for_oracle)
        say("overhead")
        overhead_ms = overhead.measure(services["opensearch"], url, prefix, settings, embedder, timed)
    return _Measured(ranked, own, oracle, causes, overhead_ms)


def _services(scratch: Path, url: str, prefix: str) -> Iterator[tuple[str, RunningService]]:
    """Start a service of each engine, one after the other. They share their vectors, so that those are equal."""
    vectors = scratch / "vectors"
    vectors.mkdir()
    address = {"SEARCHSVC_OPENSEARCH_URL": url, "SEARCHSVC_OPENSEARCH_PREFIX": prefix}
    for name, environment in (("embedded", {}), ("opensearch", address)):
        data = scratch / name
        data.mkdir()
        (data / "vectors").symlink_to(vectors)
        yield name, RunningService(data, environment=environment)


def _rank(service: RunningService, queries: Sequence[JudgedQuery]) -> list[list[str]]:
    """Return the ids of the first hits of each query. Raises BenchmarkFailed if an answer stays degraded."""
    ranked = []
    with closing(service.connection()) as connection:
        for query in queries:
            request = {"query": query.text[:MAX_QUERY_LENGTH], "limit": K}
            answer = search_undegraded(connection, INDEX, request, ATTEMPTS).answer
            ranked.append([hit["id"] for hit in answer["hits"]])
    return ranked


def _ndcg(ranked: Sequence[Sequence[str]], queries: Sequence[JudgedQuery]) -> ScoreArray:
    return np.array([metrics.ndcg(list(ids), query.grades) for ids, query in zip(ranked, queries, strict=True)])


def _oracle_ranking(
    folder: Path, settings: IndexSettings, embedder: Embedder, queries: Sequence[JudgedQuery]
) -> list[list[str]]:
    """Return the ids of the first hits of each query, by the oracle."""
    if settings.embedding is None:
        raise ValueError("inferred settings always embed")
    embedding = settings.embedding
    documents = [d for d in parse_documents(b"".join(lines(documents_file(folder)))) if isinstance(d, AcceptedDocument)]
    vectors = embedder.encode_documents([embedding_text(d.members, embedding) for d in documents])
    upserts = [Upsert(d.id, d.text, d.members, vector) for d, vector in zip(documents, vectors, strict=True)]
    state = serving(settings, OracleSnapshot(upserts, settings), embedder)
    searcher = Searcher(embedder, n_candidates=CANDIDATES)
    ranked = []
    for query in queries:
        request = SearchRequest(query=query.text[:MAX_QUERY_LENGTH], limit=K)
        answer = searcher.search(state, INDEX, request, query_id="bench", now=NOW).answer
        ranked.append([hit.id for hit in answer.hits])
    return ranked


def _drop(url: str, prefix: str) -> None:
    """Delete all indexes that were created."""

    async def delete() -> None:
        client = client_of([url])
        await client.indices.delete(index=f"{prefix}-*")
        await client.close()

    asyncio.run(delete())


def _version(url: str) -> str:
    async def info() -> str:
        client = client_of([url])
        answer = await client.info()
        await client.close()
        return str(answer["version"]["number"])

    return asyncio.run(info())


def _largest(queries: Sequence[JudgedQuery], differences: ScoreArray, measured: _Measured) -> list[dict[str, Any]]:
    """Describe the queries whose nDCG@10 differs most."""
    order = np.argsort(-np.abs(differences))[:N_SHOWN].tolist()
    return [
        {
            "query": queries[position].text,
            "difference": round(float(differences[position]), 4),
            "kind": measured.causes[position],
            **{name: ids[position] for name, ids in measured.ranked.items()},
        }
        for position in order
        if abs(differences[position]) > LARGE
    ]


def _checks(values: dict[str, ScoreArray], overhead_ms: dict[str, list[float]]) -> list[report.Check]:
    difference = float(values["opensearch"].mean() - values["embedded"].mean())
    checks = [report.Check("nDCG@10 of the two engines", "within .01", f"{difference:+.4f}", abs(difference) <= 0.01)]
    for percentile, limit in ((50, 1.3), (99, 1.5)):
        service_ms, bare_ms = (np.percentile(overhead_ms[name], percentile) for name in (OVER_HTTP, BARE))
        ratio = float(service_ms / bare_ms)
        question = f"service over bare requests, p{percentile}"
        checks.append(report.Check(question, f"<= {limit}x", f"{ratio:.2f}x", ratio <= limit))
    return checks


def print_result(result: dict[str, Any]) -> None:
    print(f"{result['collection']}, {result['n_queries']} queries, OpenSearch {result['opensearch']}: nDCG@10 [95 %]")
    _print_intervals(result["ndcg@10"])
    print(f"next to the oracle, which looks at every document, {result['n_exhaustive']} of the queries")
    _print_intervals(result["ndcg@10_beside_the_exhaustive"])
    difference = result["opensearch_minus_embedded"]
    spread = f"[{difference.low:+.4f}, {difference.high:+.4f}]"
    print(f"  opensearch minus embedded              {difference.value:+.4f} {spread}")
    print(f"  the same first ten: {result['same_first_ten']:.1%}; differing by more than {LARGE}: ", end="")
    print(f"{result['n_large_differences']} queries")
    for kind, n in result["large_differences_by_kind"].items():
        print(f"    {kind}: {n}")
    print("milliseconds")
    for name, figures in result["search_ms"].items():
        report.print_latency(name, figures)
    report.print_checks(result["checks"])


def _print_intervals(figures: dict[str, report.Interval]) -> None:
    for name, figure in figures.items():
        print(f"  {name:38} {figure.value:.4f} [{figure.low:.4f}, {figure.high:.4f}]")
