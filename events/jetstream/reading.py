"""Reading, following and consuming streams, across lost connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC
from functools import partial
from typing import Final

import nats
import nats.errors
import nats.js.errors
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from events.errors import Corrupt, Unavailable
from events.jetstream.connection import Subscription, translate
from events.jetstream.session import Session
from events.jetstream.streams import ServerStreams
from events.log import Record, StreamState, require_reached
from events.sizes import MIB
from events.streams import STREAMS, StreamName

READ_TIMEOUT_S: Final = 1.0
READ_ATTEMPTS: Final = 10
# How often an idle follower checks whether the connection was lost and made again.
FOLLOW_CHECK_S: Final = 0.25
# Limits of the messages in flight to one subscription, in number, and in bytes by their average. An acknowledgement
# covers all earlier messages. The wait is so long that no message is delivered twice.
MAX_IN_FLIGHT: Final = 1024
MIN_IN_FLIGHT: Final = 8
IN_FLIGHT_BYTES: Final = 16 * MIB
SUBSCRIPTION_ACK_WAIT_S: Final = 22 * 3600.0
# After this many checks without a message a follower asks the server whether it has missed one.
IDLE_CHECKS: Final = 8


class Delivery:
    """One message handed to a durable consumer: see `events.log.Delivery`."""

    def __init__(self, record: Record, acknowledge: Callable[[], Awaitable[None]]) -> None:
        self.record = record
        self._acknowledge = acknowledge

    async def ack(self) -> None:
        await self._acknowledge()


class Reader:
    """Reads the streams of a session: see `events.log.EventLog`.

    redeliver_after_s: after this time `consume` hands out an unacknowledged message again
    """

    def __init__(self, session: Session, streams: ServerStreams, redeliver_after_s: float) -> None:
        self._session = session
        self._streams = streams
        self._redeliver_after_s = redeliver_after_s

    async def read(self, stream: StreamName, *, after: int = 0, subject: str | None = None) -> AsyncIterator[Record]:
        start = await self._streams.stream_state(stream)
        n_read, n_promised = 0, 0
        while True:
            subscription, n_read_before = await self._subscribe(stream, after, subject), n_read
            try:
                info = await self._session.call(subscription.info(), f"reading {stream}")
                remaining = (info.num_pending or 0) + (info.delivered.consumer_seq if info.delivered else 0)
                n_promised = n_promised or remaining
                if subject is None and after < start.first_seq:
                    n_promised = max(n_promised, start.count)  # a consumer does not count messages that are unreadable
                while remaining:
                    message = await self._next(subscription, stream)
                    if message is None:
                        break
                    record = _record(stream, message)
                    if record.seq > start.last_seq:  # appended since; compaction may have moved a newest there
                        remaining = 0
                        break
                    remaining, after, n_read = message.metadata.num_pending, record.seq, n_read + 1
                    yield record
            finally:
                await subscription.close()
            # A consumer stops in front of messages that were purged meanwhile; another one goes on behind them.
            if not remaining or n_read == n_read_before:
                break
        if n_read < n_promised:
            await self._require_explained(stream, n_promised - n_read, start)

    async def follow(self, stream: StreamName, *, after: int = 0, subject: str | None = None) -> AsyncIterator[Record]:
        n_idle, checked_up_to = 0, 0
        while True:
            epoch = self._session.connection.n_reconnects
            try:
                require_reached(stream, (await self._streams.stream_state(stream)).last_seq, after)
                subscription = await self._subscribe(stream, after, subject)
            except Unavailable as error:
                if self._session.is_closed:
                    raise
                if isinstance(error.__cause__, nats.js.errors.NotFoundError):
                    await self._streams.adopt(stream)
                await asyncio.sleep(FOLLOW_CHECK_S)
                continue
            try:
                while epoch == self._session.connection.n_reconnects:
                    try:
                        message = await subscription.next(FOLLOW_CHECK_S)
                    except nats.errors.TimeoutError:
                        n_idle += 1
                        if n_idle % IDLE_CHECKS:
                            continue
                        # Deliveries may have stopped: subscribe again, once for each end of the stream not reached.
                        last_seq = (await self._streams.stream_state(stream)).last_seq
                        if last_seq <= max(after, checked_up_to):
                            continue
                        checked_up_to = last_seq
                        break
                    n_idle = 0
                    record = _record(stream, message)
                    if record.seq > after:
                        after = record.seq
                        yield record
            except Unavailable:
                if self._session.is_closed:
                    raise
            except (nats.errors.Error, OSError) as error:
                if self._session.is_closed:
                    raise translate(error, f"following {stream}") from error
            finally:
                await subscription.close()

    async def consume(self, stream: StreamName, durable: str) -> AsyncIterator[Delivery]:
        config = ConsumerConfig(
            durable_name=durable,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=self._redeliver_after_s,
            max_ack_pending=1000,
        )
        while True:
            try:
                # Each round again: a store that lost its metadata has lost its streams and durable consumers too.
                for name in STREAMS:
                    await self._streams.ensure(name)
                await self._session.call(self._session.js.add_consumer(stream, config), f"consuming {stream}")
                subscription = await self._session.js.pull_subscribe_bind(durable, stream)
            except (Unavailable, nats.errors.Error, OSError) as error:
                if self._session.is_closed:
                    raise translate(error, f"consuming {stream}") from error
                await asyncio.sleep(FOLLOW_CHECK_S)
                continue
            epoch = self._session.connection.n_reconnects
            while epoch == self._session.connection.n_reconnects:
                try:
                    messages = await subscription.fetch(256, timeout=FOLLOW_CHECK_S * 4)
                except nats.errors.TimeoutError:
                    continue
                except (nats.errors.Error, OSError) as error:
                    if self._session.is_closed:
                        raise translate(error, f"consuming {stream}") from error
                    break
                for message in messages:
                    yield Delivery(_record(stream, message), partial(self._acknowledge, message))

    async def _subscribe(self, stream: StreamName, after: int, subject: str | None) -> Subscription:
        mean_bytes = await self._streams.mean_bytes(stream)
        n_in_flight = int(min(max(IN_FLIGHT_BYTES / max(mean_bytes, 1.0), MIN_IN_FLIGHT), MAX_IN_FLIGHT))
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=after + 1,
            ack_policy=AckPolicy.ALL,
            ack_wait=SUBSCRIPTION_ACK_WAIT_S,
            max_ack_pending=n_in_flight,
            mem_storage=True,
            num_replicas=1,
        )
        filter_subject = subject or STREAMS[stream].subjects[0]
        subscribing = self._session.js.subscribe(filter_subject, stream=stream, config=config, manual_ack=True)
        return Subscription(await self._session.call(subscribing, f"reading {stream}"), n_in_flight)

    async def _next(self, subscription: Subscription, stream: StreamName) -> Msg | None:
        """Return the next of the promised messages; None if the server has no more of them."""
        n_delivered = -1
        for _ in range(READ_ATTEMPTS):
            try:
                return await self._session.connection.call(subscription.next(READ_TIMEOUT_S), f"reading {stream}")
            except nats.errors.TimeoutError:
                info = await self._session.call(subscription.info(), f"reading {stream}")
                n_before, n_delivered = n_delivered, info.delivered.consumer_seq if info.delivered else 0
                # The server answers and has sent nothing since the last look: it cannot read what it still counts.
                if subscription.n_buffered == 0 and (not info.num_pending or n_delivered == n_before):
                    return None
            except (nats.errors.Error, OSError) as error:
                raise translate(error, f"reading {stream}") from error
        raise Unavailable(f"reading {stream}: no message came for {READ_ATTEMPTS * READ_TIMEOUT_S:g} s")

    async def _require_explained(self, stream: StreamName, n_unread: int, start: StreamState) -> None:
        """Raise Corrupt if fewer messages could be read than were promised and nothing normal explains it.

        Normal: newer messages are not read, nor those they replaced, and limits and purges remove some.
        """
        now = await self._streams.stream_state(stream)
        n_removed = max(now.first_seq - start.first_seq, start.count - now.count)
        if n_unread > 2 * (now.last_seq - start.last_seq) + n_removed:
            raise Corrupt(
                f"{n_unread} messages of {stream} are counted by the server but cannot be read: they are lost"
            )

    async def _acknowledge(self, message: Msg) -> None:
        await self._session.call(message.ack(), "acknowledging")


def _record(stream: StreamName, message: Msg) -> Record:
    meta = message.metadata
    timestamp = meta.timestamp.replace(tzinfo=UTC) if meta.timestamp.tzinfo is None else meta.timestamp
    msg_id = (message.headers or {}).get("Nats-Msg-Id", "")
    return Record(stream, message.subject, meta.sequence.stream, timestamp, message.data, msg_id)
