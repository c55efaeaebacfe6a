"""Do both engines rank alike, what does the service add to the node's answer, and how good is the node's own hybrid?

Question   nDCG@10 of the embedded and the OpenSearch engine with the same weights, queries and vectors, and how the
           first ten differ, beside an exhaustive engine that looks at every document; a search through the service
           against the bare requests that it sends to the node, the query's vector remembered; OpenSearch's own hybrid
           query (min-max and RRF) on an index made as its manual has it.
Data       a judged folder (docs/how-to/measure-relevance.md)
Baseline   the other engine, and the exhaustive one; the bare requests in alternation, through opensearch-py as it
           comes; the node's own hybrid
Command    make bench-engines     (needs an OpenSearch node: --opensearch URL)
"""

from __future__ import annotations

import asyncio
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from benchmarks import report
from benchmarks.bare import CANDIDATES
from benchmarks.collection import JudgedQuery, documents_file, judged_queries, lines
from benchmarks.inprocess import INDEX, NOW, serving
from benchmarks.oracle import OracleSnapshot
from benchmarks.running import RunningService
from benchmarks.searching import search
from events.settings import IndexSettings
from searchsvc.analysis.document_text import embedding_text, field_text
from searchsvc.cli.data import import_documents
from searchsvc.embedding.embedder import Embedder
from searchsvc.engines.opensearch.client import client_of
from searchsvc.engines.opensearch.engine import OpenSearchEngine
from searchsvc.engines.opensearch.node import Node
from searchsvc.engines.protocol import Upsert
from searchsvc.indexing.documents import AcceptedDocument, parse_documents
from searchsvc.search.request import SearchRequest
from searchsvc.search.searcher import Searcher
from tuning import metrics
from tuning.arrays import FloatArray, ScoreArray
from tuning.features import BM25_PREFIX, COSINE, OVERLOOKED, PHRASE, PROXIMITY, VECTOR_RANK

K: Final = 10
WARM_UP: Final = 200
BATCH: Final = 500
# A query that differs by more is looked at: see docs/how-to/opensearch.md.
LARGE: Final = 0.05
SHOWN: Final = 20
# So far down two rankings are compared; contributions nearer than this move nothing.
DEEP: Final = 30
SMALL: Final = 0.05


class _Recording(Node):
    """Keeps the bodies of the last search that went through."""

    bodies: Sequence[object] = ()

    def search(
        self, index: str, bodies: Sequence[object], *, n_shards: int = 1, timeout_s: float | None = None
    ) -> list[Any]:
        self.bodies = bodies
        return super().search(index, bodies, n_shards=n_shards, timeout_s=timeout_s)


def measure(
    folder: Path, *, url: str, n_queries: int, n_timed: int, n_exhaustive: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """The result as JSON would have it. n_queries: a seeded sample of the judged ones; n_timed of them for latency,
    n_exhaustive of them for the exhaustive engine, which takes seconds for each."""
    queries = judged_queries(folder)
    chosen = np.random.default_rng(report.SEED).choice(len(queries), min(n_queries, len(queries)), replace=False)
    queries = [queries[i] for i in sorted(chosen)]
    every = max(len(queries) // n_exhaustive, 1)
    prefix = f"bench-{uuid.uuid4().hex[:12]}"
    address = {"SEARCHSVC_OPENSEARCH_URL": url, "SEARCHSVC_OPENSEARCH_PREFIX": prefix}
    loop = asyncio.new_event_loop()
    with tempfile.TemporaryDirectory(prefix="searchsvc-bench-") as scratch:
        vectors = Path(scratch) / "vectors"
        vectors.mkdir()
        services = {}
        try:
            for name, environment in (("embedded", {}), ("opensearch", address)):
                data = Path(scratch) / name
                data.mkdir()
                (data / "vectors").symlink_to(vectors)
                services[name] = RunningService(data, environment=environment)
                say(f"importing into {name}")
                import_documents(services[name].url, INDEX, lines(documents_file(folder)))
            ranked = {}
            for name, service in services.items():
                say(f"searching {name}")
                ranked[name] = _ranked(service, queries)
            apart = _ndcg(ranked["opensearch"], queries) - _ndcg(ranked["embedded"], queries)
            say("why they differ")
            why = {at: _why(services, queries[at].text) for at in np.flatnonzero(np.abs(apart) > LARGE).tolist()}
            _, info = services["opensearch"].call("GET", f"/v1/indexes/{INDEX}")
            settings = msgspec.convert(info["settings"], IndexSettings)
            embedder = Embedder(next((Path(scratch) / "opensearch" / "models").glob("*/")), cache_size=len(queries))
            say("the node's own hybrid")
            own = loop.run_until_complete(_own_hybrid(url, f"{prefix}-own", folder, settings, embedder, queries))
            say("the exhaustive engine")
            exhaustive = _exhaustive(folder, settings, embedder, queries[::every])
            say("overhead")
            overhead = _overhead(services["opensearch"], url, prefix, settings, embedder, queries[:n_timed])
        finally:
            for service in services.values():
                service.stop()
            loop.run_until_complete(_dropped(url, prefix))
            loop.close()
    values = {name: _ndcg(ids, queries) for name, ids in ranked.items()}
    values |= {name: _ndcg(ids, queries) for name, (ids, _) in own.items()}
    differences = values["opensearch"] - values["embedded"]
    part = {name: one[::every] for name, one in values.items()}
    part["exhaustive"] = _ndcg(exhaustive, queries[::every])
    return {
        "benchmark": "engines",
        "question": "both engines alike, the service's share of a search, the node's own hybrid beside",
        "collection": folder.name,
        **report.environment(),
        "opensearch": _version(url),
        "n_queries": len(queries),
        "ndcg@10": {name: report.mean_interval(one) for name, one in values.items()},
        "n_exhaustive": len(exhaustive),
        "ndcg@10_beside_the_exhaustive": {
            name: report.mean_interval(part[name]) for name in ("exhaustive", "embedded", "opensearch")
        },
        "opensearch_minus_embedded": report.mean_interval(differences),
        "same_first_ten": round(float(np.mean([a[:K] == b[:K] for a, b in zip(*ranked.values(), strict=True)])), 4),
        "n_large_differences": len(why),
        "large_differences_by_kind": dict(Counter(why.values()).most_common()),
        "largest_differences": _largest(queries, differences, ranked, why),
        "search_ms": {name: report.latency(one) for name, one in overhead.items()}
        | {name: report.latency(times[WARM_UP:] or times) for name, (_, times) in own.items()},
        "checks": _checks(values, overhead),
    }


def _ranked(service: RunningService, queries: Sequence[JudgedQuery]) -> list[list[str]]:
    """Ids of the first hits of each query. Raises AssertionError where an answer stays without its vectors."""
    ranked = []
    with closing(service.connection()) as connection:
        for query in queries:
            asked = {"query": query.text[:512], "limit": K}
            # Right after an import a vector may be late; the second time it is remembered.
            answer = next(
                (one for _ in range(3) if not (one := search(connection, INDEX, asked).answer)["degraded"]), None
            )
            if answer is None:
                raise AssertionError(f"{query.text!r} was answered without its vectors three times")
            ranked.append([hit["id"] for hit in answer["hits"]])
    return ranked


def _why(services: dict[str, RunningService], query: str) -> str:
    """What makes two rankings of a query differ most: the kind of feature whose contributions to the scores of what
    both found are the furthest apart, or else that each found something that the other did not."""
    asked = {"query": query[:512], "limit": DEEP, "explain": True}
    answers = []
    for service in services.values():
        with closing(service.connection()) as connection:
            answers.append(search(connection, INDEX, asked).answer)
    one, other = ({hit["id"]: hit["explanation"]["features"] for hit in answer["hits"]} for answer in answers)
    both = sorted({*one} & {*other})
    alternatives = any(len(term.get("alternatives", [])) for term in answers[0]["terms"])
    apart: dict[str, float] = {}
    for name in one[both[0]] if both else ():
        values = [one[hit][name]["contribution"] - other[hit][name]["contribution"] for hit in both]
        # What all hits gain alike changes no ranking.
        kind = _kind(name, alternatives)
        apart[kind] = apart.get(kind, 0.0) + float(np.abs(values - np.median(values)).max())
    most = max(apart.values(), default=0.0)
    if most < SMALL:
        return "nearly equal scores" if len(both) > len(one) * 0.8 else "candidates"
    return max(apart, key=apart.__getitem__)


def _kind(feature: str, alternatives: bool) -> str:
    if feature.startswith(BM25_PREFIX):
        return "BM25 of words with alternatives" if alternatives else "BM25 of long fields"
    if feature in (PHRASE, PROXIMITY):
        return "neighbours"
    return "vectors" if feature in (COSINE, VECTOR_RANK, OVERLOOKED) else "terms held, ranks, signals"


def _ndcg(ranked: Sequence[Sequence[str]], queries: Sequence[JudgedQuery]) -> ScoreArray:
    return np.array([metrics.ndcg(list(ids), query.grades) for ids, query in zip(ranked, queries, strict=True)])


def _exhaustive(
    folder: Path, settings: IndexSettings, embedder: Embedder, queries: Sequence[JudgedQuery]
) -> list[list[str]]:
    """What an engine ranks that looks at every document."""
    if settings.embedding is None:
        raise ValueError("inferred settings always embed")
    embedding = settings.embedding
    documents = [d for d in parse_documents(b"".join(lines(documents_file(folder)))) if isinstance(d, AcceptedDocument)]
    vectors = embedder.encode_documents([embedding_text(d.members, embedding) for d in documents])
    upserts = [Upsert(d.id, d.text, d.members, vector) for d, vector in zip(documents, vectors, strict=True)]
    state = serving(settings, OracleSnapshot(upserts, settings))
    searcher = Searcher(embedder, n_candidates=CANDIDATES)
    ranked = []
    for query in queries:
        asked = SearchRequest(query=query.text[:512], limit=K)
        answer = searcher.search(state, INDEX, asked, query_id="bench", now=NOW).answer
        ranked.append([hit.id for hit in answer.hits])
    return ranked


def _overhead(
    service: RunningService,
    url: str,
    prefix: str,
    settings: IndexSettings,
    embedder: Embedder,
    queries: Sequence[JudgedQuery],
) -> dict[str, list[float]]:
    """Milliseconds of a search over HTTP, its `took_ms`, and of what it sends to the node, in turn."""
    times: dict[str, list[float]] = {"service over HTTP": [], "service, took_ms": [], "bare requests": []}
    node = _Recording([url], timeout_s=30.0)
    with asyncio.Runner() as runner, closing(node), closing(service.connection()) as connection:
        found = node.call("GET", f"/{prefix}-*-r/_alias", dict[str, msgspec.Raw])
        engine = OpenSearchEngine(node, next(iter(found)), settings, embedder.dimension)
        engine.restore()
        state, searcher = serving(settings, engine.snapshot()), Searcher(embedder, n_candidates=CANDIDATES)
        bare = client_of([url])
        for at, query in enumerate(queries):
            asked = SearchRequest(query=query.text[:512], limit=K)
            searcher.search(state, INDEX, asked, query_id="bench", now=NOW)
            bodies = [msgspec.json.decode(msgspec.json.encode(body)) for body in node.bodies]
            search(connection, INDEX, {"query": asked.query, "limit": K})
            through = search(connection, INDEX, {"query": asked.query, "limit": K})
            bare_ms = runner.run(_bare(bare, engine.name, bodies))
            if at >= min(WARM_UP, len(queries) // 2):
                times["service over HTTP"].append(through.http_ms)
                times["service, took_ms"].append(through.took_ms)
                times["bare requests"].append(bare_ms)
        runner.run(bare.close())
    return times


async def _bare(client: Any, index: str, bodies: Sequence[object]) -> float:
    started = time.perf_counter()
    params = {"include_named_queries_score": "true"}
    await asyncio.gather(*(client.search(index=index, body=body, params=params) for body in bodies))
    return (time.perf_counter() - started) * 1e3


async def _own_hybrid(
    url: str, index: str, folder: Path, settings: IndexSettings, embedder: Embedder, queries: Sequence[JudgedQuery]
) -> dict[str, tuple[list[list[str]], list[float]]]:
    """What OpenSearch's own hybrid query ranks, and how long it takes (ms), by the way it joins its legs."""
    client = client_of([url], timeout=60)
    text = {"type": "text", "analyzer": "english"}
    vector = {
        "type": "knn_vector",
        "dimension": embedder.dimension,
        "method": {"name": "hnsw", "engine": "lucene", "space_type": "innerproduct"},
    }
    body = {
        "settings": {"index": {"knn": True, "number_of_shards": 1, "number_of_replicas": 0}},
        "mappings": {"properties": {"title": text, "body": text, "vector": vector}},
    }
    await client.indices.create(index=index, body=body)
    documents = [d for d in parse_documents(b"".join(lines(documents_file(folder)))) if isinstance(d, AcceptedDocument)]
    for part in _parts(documents, BATCH):
        await client.bulk(body=_plain(index, part, settings, embedder))
    await client.indices.forcemerge(index=index, params={"max_num_segments": "1"})
    await client.indices.refresh(index=index)
    normalised = {
        "normalization-processor": {
            "normalization": {"technique": "min_max"},
            "combination": {"technique": "arithmetic_mean", "parameters": {"weights": [0.5, 0.5]}},
        }
    }
    fused = {"score-ranker-processor": {"combination": {"technique": "rrf", "rank_constant": 60}}}
    found = {}
    for name, processor in (("OpenSearch hybrid, min-max", normalised), ("OpenSearch hybrid, RRF", fused)):
        ranked, times = [], []
        for query in queries:
            nearest = [float(value) for value in embedder.encode_query(query.text[:512])]
            words = {"multi_match": {"query": query.text[:512], "fields": ["title^3", "body"]}}
            asked = {
                "size": K,
                "_source": False,
                "query": {"hybrid": {"queries": [words, {"knn": {"vector": {"vector": nearest, "k": CANDIDATES}}}]}},
                "search_pipeline": {"phase_results_processors": [processor]},
            }
            started = time.perf_counter()
            answer = await client.search(index=index, body=asked)
            times.append((time.perf_counter() - started) * 1e3)
            ranked.append([hit["_id"] for hit in answer["hits"]["hits"]])
        found[name] = ranked, times
    await client.close()
    return found


def _plain(index: str, documents: Sequence[AcceptedDocument], settings: IndexSettings, embedder: Embedder) -> str:
    """Documents as OpenSearch's manual would have them, for `_bulk`."""
    if settings.embedding is None:
        raise ValueError("inferred settings always embed")
    embedding = settings.embedding
    vectors: FloatArray = embedder.encode_documents([embedding_text(d.members, embedding) for d in documents])
    said = []
    for document, vector in zip(documents, vectors, strict=True):
        texts = {field.name: field_text(document.members, field) for field in settings.searchable}
        title = texts.pop(settings.title)
        row = {"title": title, "body": " ".join(texts.values()), "vector": [float(value) for value in vector]}
        said += [msgspec.json.encode({"index": {"_index": index, "_id": document.id}}), msgspec.json.encode(row)]
    return b"\n".join(said).decode() + "\n"


def _parts(documents: Sequence[AcceptedDocument], size: int) -> Iterator[Sequence[AcceptedDocument]]:
    for start in range(0, len(documents), size):
        yield documents[start : start + size]


async def _dropped(url: str, prefix: str) -> None:
    client = client_of([url])
    await client.indices.delete(index=f"{prefix}-*")
    await client.close()


def _version(url: str) -> str:
    async def asked() -> str:
        client = client_of([url])
        said = await client.info()
        await client.close()
        return str(said["version"]["number"])

    return asyncio.run(asked())


def _largest(
    queries: Sequence[JudgedQuery], differences: ScoreArray, ranked: dict[str, list[list[str]]], why: dict[int, str]
) -> list[dict[str, Any]]:
    order = np.argsort(-np.abs(differences))[:SHOWN].tolist()
    return [
        {
            "query": queries[at].text,
            "difference": round(float(differences[at]), 4),
            "kind": why[at],
            **{name: ids[at] for name, ids in ranked.items()},
        }
        for at in order
        if abs(differences[at]) > LARGE
    ]


def _checks(values: dict[str, ScoreArray], overhead: dict[str, list[float]]) -> list[report.Check]:
    apart = float(values["opensearch"].mean() - values["embedded"].mean())
    checks = [report.Check("nDCG@10 of the two engines", "within .01", f"{apart:+.4f}", abs(apart) <= 0.01)]
    for quantile, most in ((50, 1.3), (99, 1.5)):
        through, bare = (np.percentile(overhead[name], quantile) for name in ("service over HTTP", "bare requests"))
        ratio = float(through / bare)
        checks.append(
            report.Check(f"service over bare requests, p{quantile}", f"<= {most}x", f"{ratio:.2f}x", ratio <= most)
        )
    return checks


def print_result(result: dict[str, Any]) -> None:
    print(f"{result['collection']}, {result['n_queries']} queries, OpenSearch {result['opensearch']}: nDCG@10 [95 %]")
    for name, figure in result["ndcg@10"].items():
        print(f"  {name:38} {figure.value:.4f} [{figure.low:.4f}, {figure.high:.4f}]")
    print(f"beside an engine that looks at every document, {result['n_exhaustive']} of the queries")
    for name, figure in result["ndcg@10_beside_the_exhaustive"].items():
        print(f"  {name:38} {figure.value:.4f} [{figure.low:.4f}, {figure.high:.4f}]")
    apart = result["opensearch_minus_embedded"]
    print(f"  opensearch minus embedded              {apart.value:+.4f} [{apart.low:+.4f}, {apart.high:+.4f}]")
    print(f"  the same first ten: {result['same_first_ten']:.1%}; apart by more than {LARGE}: ", end="")
    print(f"{result['n_large_differences']} queries")
    for kind, n in result["large_differences_by_kind"].items():
        print(f"    {kind}: {n}")
    print("milliseconds")
    for name, figures in result["search_ms"].items():
        report.print_latency(name, figures)
    report.print_checks(result["checks"])
