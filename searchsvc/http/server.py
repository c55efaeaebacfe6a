"""The HTTP server: uvicorn's protocol on a socket of ours, with limits and timeouts for everything a client may delay.

Decision: docs/decisions/http-server.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import socket
import time
from collections.abc import Sequence
from typing import Final

import msgspec
from litestar.types import ASGIApp
from uvicorn.config import Config as UvicornConfig
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from events.errors import Unavailable
from events.sizes import GIB, KIB
from searchsvc.http.client_address import Network, is_within
from searchsvc.http.connections import Connections, Limits, Timeouts, Waiting
from searchsvc.http.problems import MEDIA_TYPE, Problem
from searchsvc.http.unpacked_bodies import COUNT_BODY

SWEEP_EVERY_S: Final = 1.0
MAX_HEADER_BYTES: Final = 64 * KIB
BACKLOG: Final = 1024
# Files that are not connections: indexes, the log, the model.
OTHER_FILES: Final = 1024
LINGER_S: Final = 1.0

log = logging.getLogger(__name__)


class HttpServer:
    """Serves an application on a socket, until it is stopped.

    proxies: networks of reverse proxies, which may have any number of connections
    """

    def __init__(
        self, app: ASGIApp, limits: Limits, proxies: Sequence[Network] = (), timeouts: Timeouts | None = None
    ) -> None:
        timeouts = timeouts or Timeouts()
        limits = msgspec.structs.replace(limits, connections=min(limits.connections, _raise_file_limit()))
        self._config = UvicornConfig(
            app=app,
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=int(timeouts.idle),
        )
        self._config.load()
        self._state = ServerState()
        self._connections = Connections(limits, timeouts)
        self._proxies = proxies
        self._server: asyncio.Server | None = None
        self._sweeping: asyncio.Task[None] | None = None

    async def start(self, bound: socket.socket) -> None:
        """Accept connections on a bound socket from now on. Raises Unavailable if the socket cannot listen."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(self._connection, sock=bound, backlog=BACKLOG)
        except OSError as error:
            raise Unavailable(
                f"cannot listen: {error.strerror}; if the port is taken, choose another --port"
            ) from error
        self._sweeping = asyncio.create_task(self._sweep(), name="http connections")

    async def stop(self, timeout_s: float) -> None:
        """Accept nothing more, finish the requests under way, and close every connection."""
        if self._server is None or self._sweeping is None:
            return
        self._server.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        if self._state.tasks:
            await asyncio.wait(self._state.tasks, timeout=timeout_s)
        self._sweeping.cancel()
        for connection in list(self._state.connections):
            connection.transport.close()

    def _connection(self) -> Connection:
        return Connection(self._config, self._state, self._connections, self._proxies)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_EVERY_S)
            for connection in list(self._state.connections):
                if isinstance(connection, Connection):
                    connection.update_wait()
            self._connections.sweep(time.monotonic())


class Connection(HttpToolsProtocol):
    """One connection: see `searchsvc.http.connections.HeldConnection`."""

    def __init__(
        self, config: UvicornConfig, state: ServerState, connections: Connections, proxies: Sequence[Network]
    ) -> None:
        super().__init__(config, state, {}, asyncio.get_running_loop())
        self._connections = connections
        self._proxies = proxies
        self.address = ""
        self.has_served = False
        self.waits_for: Waiting = "request"
        self.waits_since = self.request_since = time.monotonic()
        self.n_body_bytes = 0
        self._n_header_bytes = 0
        self._n_unsent = 0
        self._in_header = False
        self._is_refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.address = self.client[0] if self.client is not None else ""
        if not self._connections.admit(self, is_exempt=is_within(self.address, self._proxies)):
            self._refuse(503, "unavailable", "all connections are in use")

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._connections.release(self)

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        if self.waits_for == "body":
            self.waits_since = time.monotonic()
        super().data_received(data)
        # A header that is not complete yet, or what follows a chunked body.
        if self._in_header:
            self._count_header(len(data))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {COUNT_BODY: self._count_unpacked}  # type: ignore[dict-item]  # one of our own
        self._in_header, self._n_header_bytes = True, 0
        self._update_wait()

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        if not self._in_header:
            self._count_header(len(name) + len(value))

    def on_headers_complete(self) -> None:
        self._in_header, self._n_header_bytes = False, 0
        super().on_headers_complete()
        self._update_wait()

    def on_body(self, body: bytes) -> None:
        if self._is_refused:
            return
        if not self.cycle.response_complete and not self._connections.count_body(self, len(body)):
            self._refuse(503, "unavailable", "the service holds too many requests that are not answered yet")
            return
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._update_wait()

    def on_response_complete(self) -> None:
        if not self.pipeline:
            self._connections.count_body(self, -self.n_body_bytes)
        self.has_served = True
        super().on_response_complete()
        self._update_wait()

    def update_wait(self) -> None:
        """Update what no callback reports: whether the client takes what was sent, and whether reading is paused."""
        n_unsent = self.transport.get_write_buffer_size() if self.flow.write_paused else 0
        if n_unsent and (self.waits_for != "reader" or n_unsent != self._n_unsent):
            self._wait_for("reader")
        elif not n_unsent and self.waits_for == "reader":
            self._wait_for(self._next_wait())
        elif self.waits_for == "body" and self.flow.read_paused:
            self._wait_for("body")
        self._n_unsent = n_unsent

    def drop(self, reason: str) -> None:
        """See `searchsvc.http.connections.HeldConnection`."""
        log.info("a connection of %s is closed: %s", self.address, reason)
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        self._refuse(400, "invalid-input", msg)

    def _count_unpacked(self, n_bytes: int) -> bool:
        """Count bytes of a body that were made from those that came. See `searchsvc.http.unpacked_bodies.Counting`."""
        return not self.transport.is_closing() and self._connections.count_body(self, n_bytes)

    @property
    def _is_answering(self) -> bool:
        # None before the first request, which uvicorn's annotation leaves out.
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _next_wait(self) -> Waiting:
        """Return what the connection waits for, apart from a client that reads too slowly."""
        if self._is_answering:
            return "body" if self.cycle.more_body else ""
        return "header" if self._in_header else "request"

    def _update_wait(self) -> None:
        waits_for = self._next_wait()
        if waits_for != self.waits_for:
            self._wait_for(waits_for)

    def _wait_for(self, waits_for: Waiting) -> None:
        now = time.monotonic()
        if waits_for in ("header", "body") and waits_for != self.waits_for:
            self.request_since = now
        self.waits_for, self.waits_since = waits_for, now

    def _count_header(self, n_bytes: int) -> None:
        self._n_header_bytes += n_bytes
        if self._n_header_bytes > MAX_HEADER_BYTES:
            self._refuse(431, "too-large", f"the header is too long; allowed: {MAX_HEADER_BYTES} bytes")

    def _refuse(self, status: int, name: str, detail: str) -> None:
        """Answer a problem, and close the connection. If an earlier answer is not complete, only close it."""
        if self._is_refused or self.transport.is_closing():
            return
        self._is_refused = True
        if self._is_answering:
            is_first = not self.pipeline and not self.cycle.response_started and self.cycle.more_body
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if not is_first:
                self.transport.abort()
                return
        content = msgspec.json.encode(Problem(f"urn:searchsvc:{name}", name.replace("-", " "), status, detail))
        retry = b"retry-after: 1\r\n" if status == 503 else b""
        head = b"%scontent-type: %s\r\ncontent-length: %d\r\n%sconnection: close\r\n\r\n"
        self.transport.write(head % (STATUS_LINE[status], MEDIA_TYPE.encode(), len(content), retry) + content)
        # What still comes is read and dropped for a moment: closed at once, the client might not see the answer.
        self.transport.write_eof()
        self.flow.resume_reading()
        self.loop.call_later(LINGER_S, self.transport.abort)


def _raise_file_limit() -> int:
    """Raise the limit of open files as far as it may be; return how many connections it allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return GIB if soft == resource.RLIM_INFINITY else max(soft - OTHER_FILES, soft // 2)
