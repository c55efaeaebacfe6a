"""Requests to an OpenSearch cluster, with typed replies and our errors.

Searches run on threads and the client on an event loop. The loop has a thread of its own: a call hands its request over
and waits for the reply.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec

from events.errors import Unavailable
from searchsvc.engines.opensearch.breaker import Breaker
from searchsvc.engines.opensearch.client import JSON, NDJSON, AsyncOpenSearch, close_client, raw_client_of
from searchsvc.engines.opensearch.failures import CLIENT_ERRORS, MAX_REASON_CHARS, translated
from searchsvc.engines.opensearch.replies import Searched
from searchsvc.runtime.config import OpenSearchConfig

T = TypeVar("T")
# How much longer than the node's limit we wait for its reply.
GRACE_S: Final = 1.0
# Limit of requests that are no searches.
REQUEST_TIMEOUT_S: Final = 30.0


class Node:
    """A connection to one cluster, for any thread.

    hosts: URLs of its nodes
    user: for basic authentication; '' without
    password: for basic authentication; '' without
    ca_file: certificates to trust; '' for those of the system
    timeout_s: limit of a search
    connections: at most this many to each host
    """

    def __init__(
        self,
        hosts: Sequence[str],
        *,
        user: str = "",
        password: str = "",
        ca_file: str = "",
        timeout_s: float = 10.0,
        connections: int = 16,
    ) -> None:
        self.hosts = list(hosts)
        self.timeout_s = timeout_s
        self._options: dict[str, Any] = {"maxsize": connections}
        if user:
            self._options["http_auth"] = (user, password)
        if ca_file:
            self._options["ca_certs"] = ca_file
        self._client: AsyncOpenSearch | None = None
        self._breaker = Breaker(time.monotonic)
        # Not the service's loop: a call from there would wait for a reply that its own loop has to receive.
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="opensearch", daemon=True)
        self._thread.start()

    @staticmethod
    def from_config(config: OpenSearchConfig) -> Node:
        """Connect as the configuration says."""
        return Node(
            config.hosts,
            user=config.user,
            password=config.password,
            ca_file=config.ca_file,
            timeout_s=config.timeout_ms / 1e3,
            connections=config.connections,
        )

    @property
    def longest_search_s(self) -> float:
        """How long a search may take: that of two slow requests. It sends up to three or four after one another."""
        return 2 * (self.timeout_s + GRACE_S)

    @property
    def trouble(self) -> str:
        """Why searches fail at once without being sent; '' while they are sent."""
        return self._breaker.trouble

    def call(
        self,
        method: str,
        path: str,
        reply: type[T],
        body: object = None,
        *,
        query: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> T:
        """Send one request and return its reply.

        reply: type of the reply
        body: encoded as JSON; bytes are sent unchanged as lines of JSON
        query: parameters of the URL
        timeout_s: None for `REQUEST_TIMEOUT_S`

        Raises NotFound for a 404, InvalidInput if the node refuses the request, and Unavailable if the node is away,
        busy or too slow, or its reply is of another type.
        """
        limit_s = timeout_s or REQUEST_TIMEOUT_S
        return self._wait_for(self._request(method, path, reply, body, query=query, timeout_s=limit_s), limit_s)

    def search(
        self, index: str, bodies: Sequence[object], *, n_shards: int = 1, timeout_s: float | None = None
    ) -> list[Searched]:
        """Send several searches at once and return their replies in order, with the scores of named clauses.

        `_msearch` would be one request, but does not report these scores.

        n_shards: of the index; with several, scores are computed by the counts of all of them

        Raises as `call` does, and at once while the cluster keeps failing.
        """
        limit_s = timeout_s or self.timeout_s

        async def search_all() -> list[Searched]:
            query = {"include_named_queries_score": "true"}
            if n_shards > 1:
                query["search_type"] = "dfs_query_then_fetch"
            path = f"/{index}/_search"
            requests = [self._request("POST", path, Searched, body, query=query, timeout_s=limit_s) for body in bodies]
            return await asyncio.gather(*requests)

        with self._breaker:
            return self._wait_for(search_all(), limit_s)

    def close(self) -> None:
        """End all requests and the thread. Call it last."""
        client, self._client = self._client, None
        if client is not None:
            asyncio.run_coroutine_threadsafe(close_client(client), self._loop).result(REQUEST_TIMEOUT_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait_for(self, request: Coroutine[Any, Any, T], timeout_s: float) -> T:
        future = asyncio.run_coroutine_threadsafe(request, self._loop)
        try:
            return future.result(timeout_s + GRACE_S)
        except TimeoutError:
            future.cancel()
            raise Unavailable(f"OpenSearch did not answer within {timeout_s:g} s") from None

    async def _request(
        self,
        method: str,
        path: str,
        reply: type[T],
        body: object = None,
        *,
        query: Mapping[str, str] | None = None,
        timeout_s: float,
    ) -> T:
        if self._client is None:
            self._client = raw_client_of(self.hosts, **self._options)
        is_lines = isinstance(body, bytes)
        encoded = body if is_lines or body is None else msgspec.json.encode(body)
        try:
            text = await self._client.transport.perform_request(
                method,
                path,
                params=dict(query or {}),
                body=encoded,
                timeout=timeout_s,
                headers={"content-type": NDJSON if is_lines else JSON},
            )
        except CLIENT_ERRORS as error:
            raise translated(error, f"{method} {path}") from error
        try:
            return msgspec.json.decode(text or "null", type=reply)
        except msgspec.MsgspecError as error:
            excerpt = str(text)[:MAX_REASON_CHARS]
            message = f"the reply to {method} {path} is not one of OpenSearch: {error}: {excerpt}"
            raise Unavailable(message) from error
