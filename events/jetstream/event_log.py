"""The adapter: an `EventLog` on a NATS server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Final

from events.errors import Unavailable
from events.jetstream.appending import Appender
from events.jetstream.reading import Delivery, Reader
from events.jetstream.session import CONNECT_TIMEOUT_S, Password, Session
from events.jetstream.streams import ServerStreams
from events.log import Entry, Record, StreamState
from events.streams import STREAMS, StreamName, StreamSpec
from events.tasks import end

# After this time a durable consumer is handed an unacknowledged message again.
REDELIVER_AFTER_S: Final = 30.0


class JetStreamEventLog:
    """An `EventLog` on a NATS server. Until `connect` has returned, every other method raises Unavailable.

    before_append: called before each write; an exception from it refuses the write
    redeliver_after_s: after this time `consume` hands out an unacknowledged message again
    specs: how the streams store
    """

    def __init__(
        self,
        *,
        before_append: Callable[[], None] = lambda: None,
        redeliver_after_s: float = REDELIVER_AFTER_S,
        specs: Mapping[StreamName, StreamSpec] = STREAMS,
    ) -> None:
        self._session = Session()
        self._streams = ServerStreams(self._session, specs)
        self._appender = Appender(self._session, self._streams, before_append)
        self._reader = Reader(self._session, self._streams, redeliver_after_s)

    async def connect(self, url: str, *, user: str = "", password: Password = "", role: str = "service") -> None:
        """Try until the server answers and accepts the credentials: see `Session.connect`."""
        await self._session.connect(url, user=user, password=password, role=role)

    @property
    def connect_errors(self) -> str:
        """Why there is no connection yet; '' for no error so far."""
        return self._session.connect_errors

    @property
    def connected(self) -> bool:
        """Whether the server is reachable now. A lost connection is made again in the background."""
        return self._session.connected

    @property
    def default_replicas(self) -> int:
        """Replicas of a stream: 3 on a cluster, else 1, because a single server refuses more."""
        return self._session.default_replicas

    async def ensure_streams(self, *, replicas: int = 1) -> None:
        """Create the streams that are missing, and give the others the limits of this version.

        Raises Unavailable, and Corrupt if a stream holds messages of another format.
        """
        await self._streams.ensure_all(replicas=replicas)

    async def require_format(self) -> None:
        """Raise Corrupt if a stream holds messages of another format than this version reads. Changes nothing."""
        await self._streams.require_format()

    async def append(self, stream: StreamName, entry: Entry, *, expected_last_seq: int | None = None) -> int:
        return await self._appender.append(stream, entry, expected_last_seq=expected_last_seq)

    async def append_batch(self, stream: StreamName, entries: Sequence[Entry]) -> int:
        return await self._appender.append_batch(stream, entries)

    async def stream_state(self, stream: StreamName) -> StreamState:
        return await self._streams.stream_state(stream)

    async def last_seq(self, stream: StreamName, subject: str) -> int:
        return await self._streams.last_seq(stream, subject)

    async def n_waiting(self, stream: StreamName, durable: str) -> int:
        return await self._streams.n_waiting(stream, durable)

    async def counts(self, stream: StreamName, subjects: Sequence[str]) -> dict[str, int]:
        return await self._streams.counts(stream, subjects)

    async def acknowledged(self, stream: StreamName, durable: str) -> int:
        return await self._streams.acknowledged(stream, durable)

    async def purge(self, stream: StreamName, *, through: int, subject: str | None = None) -> None:
        await self._streams.purge(stream, through=through, subject=subject)

    async def get(self, stream: StreamName, seq: int) -> Record | None:
        return await self._streams.get(stream, seq)

    async def last(self, stream: StreamName, subjects: Sequence[str]) -> dict[str, Record]:
        return await self._streams.last(stream, subjects)

    def read(self, stream: StreamName, *, after: int = 0, subject: str | None = None) -> AsyncIterator[Record]:
        return self._reader.read(stream, after=after, subject=subject)

    def follow(self, stream: StreamName, *, after: int = 0, subject: str | None = None) -> AsyncIterator[Record]:
        return self._reader.follow(stream, after=after, subject=subject)

    def consume(self, stream: StreamName, durable: str) -> AsyncIterator[Delivery]:
        return self._reader.consume(stream, durable)

    async def close(self) -> None:
        await self._session.close()


async def connect(
    url: str,
    *,
    user: str = "",
    password: Password = "",
    role: str = "service",
    redeliver_after_s: float = REDELIVER_AFTER_S,
    specs: Mapping[StreamName, StreamSpec] = STREAMS,
) -> JetStreamEventLog:
    """Return a connected log.

    Raises Unavailable if no server with JetStream answers in time, or it refuses the credentials.
    """
    event_log = JetStreamEventLog(redeliver_after_s=redeliver_after_s, specs=specs)
    connecting = asyncio.ensure_future(event_log.connect(url, user=user, password=password, role=role))
    try:
        # nats-py would try for ever, as it should for a lost connection, but not for the first one.
        await asyncio.wait([connecting], timeout=CONNECT_TIMEOUT_S)
    finally:
        await end([connecting])
    if connecting.cancelled():
        raise Unavailable(f"no NATS answers at {url}: {event_log.connect_errors or 'timed out'}")
    connecting.result()
    return event_log
