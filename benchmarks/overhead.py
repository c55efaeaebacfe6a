"""What a service adds to the requests that it sends to an OpenSearch node."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import closing
from typing import Any, Final

import msgspec

from benchmarks.bare import CANDIDATES
from benchmarks.collection import JudgedQuery
from benchmarks.inprocess import INDEX, NOW, serving
from benchmarks.queries import MAX_QUERY_LENGTH
from benchmarks.running import RunningService
from benchmarks.searching import search
from events.settings import IndexSettings
from searchsvc.embedding.embedder import Embedder
from searchsvc.engines.opensearch.client import client_of
from searchsvc.engines.opensearch.engine import OpenSearchEngine
from searchsvc.engines.opensearch.node import Node
from searchsvc.search.request import SearchRequest
from searchsvc.search.searcher import Searcher

LIMIT: Final = 10
WARM_UP: Final = 200
NODE_TIMEOUT_S: Final = 30.0
BARE: Final = "bare requests"
OVER_HTTP: Final = "service over HTTP"
TOOK: Final = "service, took_ms"


class _RecordingNode(Node):
    """A node that keeps the bodies of its last search."""

    bodies: Sequence[object] = ()

    def search(
        self, index: str, bodies: Sequence[object], *, n_shards: int = 1, timeout_s: float | None = None
    ) -> list[Any]:
        self.bodies = bodies
        return super().search(index, bodies, n_shards=n_shards, timeout_s=timeout_s)


def measure(
    service: RunningService,
    url: str,
    prefix: str,
    settings: IndexSettings,
    embedder: Embedder,
    queries: Sequence[JudgedQuery],
) -> dict[str, list[float]]:
    """Search for each query through the service, and send its bare requests to the node, in alternation.

    url, prefix: of the node and of the service's indexes on it

    Returns milliseconds over HTTP, `took_ms`, and of the bare requests.
    """
    times: dict[str, list[float]] = {OVER_HTTP: [], TOOK: [], BARE: []}
    node = _RecordingNode([url], timeout_s=NODE_TIMEOUT_S)
    with asyncio.Runner() as runner, closing(node), closing(service.connection()) as connection:
        names = node.call("GET", f"/{prefix}-*-r/_alias", dict[str, msgspec.Raw])
        engine = OpenSearchEngine(node, next(iter(names)), settings, embedder.dimension)
        engine.restore()
        state, searcher = serving(settings, engine.snapshot(), embedder), Searcher(embedder, n_candidates=CANDIDATES)
        client = client_of([url])
        for number, query in enumerate(queries):
            request = SearchRequest(query=query.text[:MAX_QUERY_LENGTH], limit=LIMIT)
            searcher.search(state, INDEX, request, query_id="bench", now=NOW)
            bodies = [msgspec.json.decode(msgspec.json.encode(body)) for body in node.bodies]
            # The first search caches the query's vector.
            search(connection, INDEX, {"query": request.query, "limit": LIMIT})
            searched = search(connection, INDEX, {"query": request.query, "limit": LIMIT})
            bare_ms = runner.run(_send_bare(client, engine.name, bodies))
            if number >= min(WARM_UP, len(queries) // 2):
                times[OVER_HTTP].append(searched.http_ms)
                times[TOOK].append(searched.took_ms)
                times[BARE].append(bare_ms)
        runner.run(client.close())
    return times


async def _send_bare(client: Any, index: str, bodies: Sequence[object]) -> float:
    """Send the requests of one search at once; return how long all took (ms)."""
    started = time.perf_counter()
    params = {"include_named_queries_score": "true"}
    await asyncio.gather(*(client.search(index=index, body=body, params=params) for body in bodies))
    return (time.perf_counter() - started) * 1e3
