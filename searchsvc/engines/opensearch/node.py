"""Requests to an OpenSearch cluster: typed replies, and its failures as ours.

Searches come from threads and the client lives on an event loop, which has a thread of its own: a call hands over and
waits.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec

import events
from events.errors import InvalidInput, NotFound, SearchsvcError, Unavailable

# opensearch-py counts requests, if asked to, with a class of the package `Events`, whose module is called as our own
# package is. Nobody asks it to; it only has to find a name.
if not hasattr(events, "Events"):
    events.Events = object  # type: ignore[attr-defined]

from opensearchpy import AsyncOpenSearch
from opensearchpy import exceptions as foreign
from opensearchpy.serializer import Serializer

from searchsvc.engines.opensearch.breaker import Breaker
from searchsvc.engines.opensearch.replies import Searched
from searchsvc.runtime.config import OpenSearchConfig

T = TypeVar("T")
# It logs a line a request, with the address; what fails is said by who asked.
logging.getLogger("opensearch").setLevel(logging.ERROR)

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
BUSY: Final = 429
MAX_SAID_CHARS: Final = 300
# How long a reply may take beyond what the node was given for it.
GRACE_S: Final = 1.0
PATIENCE_S: Final = 30.0


class _Raw(Serializer):
    """Bodies come encoded and replies go out as they came: msgspec reads them, into what is expected."""

    mimetype = JSON

    def loads(self, s: str) -> str:
        return s

    def dumps(self, data: Any) -> Any:
        return data


class Node:
    """One cluster, for any thread. hosts: addresses, each a URL.

    user, password: where it asks for them. ca_file: certificates to trust. timeout_s: of a search; all else may take
    `PATIENCE_S`. connections: to each host.
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
        # A loop of its own: whoever waits for an answer, on the service's loop, too, does not keep it from coming.
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="opensearch", daemon=True)
        self._thread.start()

    @staticmethod
    def of(config: OpenSearchConfig) -> Node:
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
        """How long a search may take that has to find, and then to read."""
        return 2 * (self.timeout_s + GRACE_S)

    @property
    def trouble(self) -> str:
        """Why searches are not tried; '' while they are."""
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
        """One request. body: encoded as JSON; bytes go as they are, lines of JSON.

        Raises NotFound where the node answers 404, InvalidInput where it refuses what was asked, Unavailable where it
        is away, busy or too slow, and where its reply is not what it should be.
        """
        wanted_s = timeout_s or PATIENCE_S
        return self._waited(self._request(method, path, reply, body, query=query, timeout_s=wanted_s), wanted_s)

    def search(
        self, index: str, bodies: Sequence[object], *, n_shards: int = 1, timeout_s: float | None = None
    ) -> list[Searched]:
        """Several searches, all at once, each with the scores of its named clauses: which `_msearch` does
        not give. n_shards: of several, none scores by its own counts alone. Raises as `call` does, at once while the
        cluster keeps failing."""

        wanted_s = timeout_s or self.timeout_s

        async def each() -> list[Searched]:
            query = {"include_named_queries_score": "true"}
            if n_shards > 1:
                query["search_type"] = "dfs_query_then_fetch"
            path = f"/{index}/_search"
            asking = [self._request("POST", path, Searched, body, query=query, timeout_s=wanted_s) for body in bodies]
            return await asyncio.gather(*asking)

        with self._breaker:
            return self._waited(each(), wanted_s)

    def _waited(self, asking: Coroutine[Any, Any, T], timeout_s: float) -> T:
        asked = asyncio.run_coroutine_threadsafe(asking, self._loop)
        try:
            return asked.result(timeout_s + GRACE_S)
        except TimeoutError:
            asked.cancel()
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
        client = self._connected()
        lines = isinstance(body, bytes)
        encoded = body if lines or body is None else msgspec.json.encode(body)
        try:
            said = await client.transport.perform_request(
                method,
                path,
                params=dict(query or {}),
                body=encoded,
                timeout=timeout_s,
                headers={"content-type": NDJSON if lines else JSON},
            )
        except (foreign.OpenSearchException, foreign.ImproperlyConfigured) as error:
            raise translated(error, f"{method} {path}") from error
        try:
            return msgspec.json.decode(said or "null", type=reply)
        except msgspec.MsgspecError as error:
            excerpt = str(said)[:MAX_SAID_CHARS]
            raise Unavailable(
                f"{method} {path} was answered with no reply of OpenSearch's: {error}: {excerpt}"
            ) from error

    def close(self) -> None:
        """End what is under way. Nothing is asked of it afterwards."""
        client, self._client = self._client, None
        if client is not None:
            asyncio.run_coroutine_threadsafe(_closed(client), self._loop).result(PATIENCE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _connected(self) -> AsyncOpenSearch:
        if self._client is None:
            raw = _Raw()
            # All that is asked may be asked twice: where a host is away, or has closed a connection, of another.
            options = {"serializer": raw, "serializers": {JSON: raw}, "max_retries": len(self.hosts), **self._options}
            self._client = client_of(self.hosts, **options)
        return self._client


async def _closed(client: AsyncOpenSearch) -> None:
    """With the connections to hosts that were away, which the client forgets."""
    pool = client.transport.connection_pool
    for connection in getattr(pool, "orig_connections", ()):
        await connection.close()
    await client.close()


def client_of(hosts: Sequence[str], **options: Any) -> AsyncOpenSearch:
    """The client itself, as it comes where there are no options."""
    return AsyncOpenSearch(hosts=list(hosts), **options)


def translated(error: Exception, what: str) -> SearchsvcError:
    """A failure of the client as one of ours. what: was asked."""
    said = _said(error)
    match error:
        case foreign.SerializationError():
            # Whatever stands between us and the node may answer in its place.
            return Unavailable(f"{what} was answered with no reply of OpenSearch's: {said}")
        case foreign.ConnectionTimeout():
            return Unavailable(f"OpenSearch did not answer {what} in time")
        case foreign.ConnectionError():
            return Unavailable(f"OpenSearch cannot be reached for {what}: {said}")
        case foreign.NotFoundError():
            return NotFound(f"OpenSearch has nothing for {what}: {said}")
        case foreign.RequestError():
            return InvalidInput(f"OpenSearch refused {what}: {said}")
        case foreign.AuthenticationException() | foreign.AuthorizationException():
            return Unavailable(f"OpenSearch does not let us {what}: {said}", retry_after_s=30.0)
        case foreign.TransportError(status_code=status) if status == BUSY:
            return Unavailable(f"OpenSearch is too busy for {what}: {said}")
        case _:
            return Unavailable(f"OpenSearch failed {what}: {said}")


def _said(error: Exception) -> str:
    """What the node gave as its reason, shortened."""
    reason: object = error
    if isinstance(error, foreign.TransportError) and len(error.args) > 1:
        reason = error.args[1]
        info = error.args[2] if len(error.args) > 2 else None
        cause = info.get("error") if isinstance(info, dict) else None
        if isinstance(cause, dict):
            roots = cause.get("root_cause") or [cause]
            reason = f"{roots[0].get('type')}: {roots[0].get('reason')}"
    return str(reason)[:MAX_SAID_CHARS]
