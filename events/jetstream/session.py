"""One connection to a NATS server: signing in, calls that fail with the project's errors, and closing."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

import nats
import nats.errors
from nats.aio.client import Client
from nats.js import JetStreamContext

from events.jetstream.connection import Connection, close_quietly, translate

T = TypeVar("T")
Password = str | Callable[[], str]

TIMEOUT_S: Final = 5.0
CONNECT_TIMEOUT_S: Final = 5
# A server that does not answer two pings counts as lost.
PING_EVERY_S: Final = 5
# A refused sign-in is reported as its reason or as a closed connection: keep the first few distinct errors.
MAX_ERRORS: Final = 5


class Session:
    """A connection and what is called over it. Until `connect` has returned, every call raises Unavailable."""

    def __init__(self) -> None:
        self.client = Client()
        self.js: JetStreamContext = self.client.jetstream(timeout=TIMEOUT_S)
        self.connection = Connection()
        self._errors: list[str] = []

    async def connect(self, url: str, *, user: str = "", password: Password = "", role: str = "service") -> None:
        """Try until the server answers and accepts the credentials. Call it once; `connect_errors` says why it waits.

        password: or what gives it whenever the client signs in; an OSError from it ends that attempt
        role: prefix of this connection's reply subjects, so that no role can read another's replies
        """

        async def note_error(error: Exception) -> None:
            # nats-py also reports lost connections here; the calls that were pending then fail or are retried.
            self._errors[:] = dict.fromkeys([*self._errors, str(error) or type(error).__name__][:MAX_ERRORS])

        try:
            await self.client.connect(
                url,
                user=user or None,
                password=password or None,
                name=f"searchsvc-{role}",
                inbox_prefix=f"_INBOX_{role}".encode(),
                connect_timeout=CONNECT_TIMEOUT_S,
                ping_interval=PING_EVERY_S,
                reconnect_time_wait=0.05,  # type: ignore[arg-type]  # it sleeps for as long
                max_reconnect_attempts=-1,
                allow_reconnect=True,
                disconnected_cb=self.connection.on_disconnect,
                reconnected_cb=self.connection.on_connect,
                error_cb=note_error,
            )
        except (nats.errors.Error, OSError) as error:
            raise translate(error, f"connecting to NATS at {url}") from error
        await self.connection.on_connect()

    @property
    def connect_errors(self) -> str:
        """Why there is no connection yet; '' for no error so far."""
        return "; ".join(self._errors)

    @property
    def connected(self) -> bool:
        """Whether the server is reachable now. A lost connection is made again in the background."""
        return bool(self.client.is_connected)

    @property
    def default_replicas(self) -> int:
        """Replicas of a stream: 3 on a cluster, else 1, because a single server refuses more."""
        return 3 if len(self.client.discovered_servers) + len(self.client.servers) >= 3 else 1

    @property
    def is_closed(self) -> bool:
        """Whether the connection was closed for good."""
        return bool(self.client.is_closed)

    async def call(self, request: Coroutine[Any, Any, T], purpose: str) -> T:
        """Return the result of a request to the server. Raises the project's errors."""
        try:
            return await self.connection.call(request, purpose)
        except (TimeoutError, nats.errors.Error, OSError) as error:
            raise translate(error, purpose) from error

    async def close(self) -> None:
        if self.connection.n_reconnects:  # a client that never connected cannot be closed
            await close_quietly(self.client.close())
