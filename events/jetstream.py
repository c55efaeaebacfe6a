"""The log on NATS JetStream. `docs/decisions/log-on-jetstream.md` says why there is no other durable log.

Facts this relies on (nats-server 2.15): a wrong expected sequence answers error 10071. `Nats-Batch-*` headers make an
atomic batch, and only its last message is acknowledged. A consumer does not survive a restart of the server, so a
follower subscribes again after its last sequence whenever the connection is back.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TypeVar

import nats
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)

from events.errors import Conflict, Corrupt, Unavailable
from events.log import Entry, Position, Record, check_batch, require_reached
from events.nats_connection import Connection, Subscription, close_quietly, translate
from events.streams import FORMAT, FORMAT_KEY, STREAMS, StreamName, StreamSpec

T = TypeVar("T")

WRONG_LAST_SEQUENCE: Final = 10071
STREAM_DIFFERS: Final = 10058
DUPLICATE_IN_BATCH: Final = 10201
TIMEOUT_S: Final = 5.0
READ_TIMEOUT_S: Final = 1.0
READ_ATTEMPTS: Final = 10
CONNECT_TIMEOUT_S: Final = 5
# A refused sign-in is reported as its reason or as a closed connection: keep the first few distinct errors.
MAX_ERRORS: Final = 5
# How often an idle follower checks whether the connection was lost and made again.
FOLLOW_CHECK_S: Final = 0.25
# Limits the messages in flight to one subscription. An acknowledgement covers all earlier messages. The wait is so long
# that no message is delivered twice.
MAX_IN_FLIGHT: Final = 1024
SUBSCRIPTION_ACK_WAIT_S: Final = 22 * 3600.0
# After this time a durable consumer is handed an unacknowledged message again.
REDELIVER_AFTER_S: Final = 30.0
# After this many checks without a message a follower asks the server whether it has missed one.
IDLE_CHECKS: Final = 8

log = logging.getLogger(__name__)


class JetStreamEventLog:
    """An `EventLog` on a NATS server. Until `connect` has returned, every other method raises Unavailable.

    before_append: called before each write; an exception from it refuses the write
    redeliver_after_s: after this time `consume` hands out an unacknowledged message again
    """

    def __init__(self, *, redeliver_after_s: float = REDELIVER_AFTER_S) -> None:
        self._redeliver_after_s = redeliver_after_s
        self._client = Client()
        self.before_append: Callable[[], None] = lambda: None
        self._js: JetStreamContext = self._client.jetstream(timeout=TIMEOUT_S)
        self._connection = Connection()
        self._replicas = 1
        self._errors: list[str] = []

    async def connect(self, url: str, *, user: str = "", password: str = "", role: str = "service") -> None:
        """Try until the server answers and accepts the credentials. Call it once; `connect_errors` says why it waits.

        role: prefix of this connection's reply subjects, so that no role can read another's replies
        """

        async def note_error(error: Exception) -> None:
            # nats-py also reports lost connections here; the calls that were pending then fail or are retried.
            self._errors[:] = dict.fromkeys([*self._errors, str(error) or type(error).__name__][:MAX_ERRORS])

        try:
            await self._client.connect(
                url,
                user=user or None,
                password=password or None,
                name=f"searchsvc-{role}",
                inbox_prefix=f"_INBOX_{role}".encode(),
                connect_timeout=CONNECT_TIMEOUT_S,
                reconnect_time_wait=0.05,  # type: ignore[arg-type]  # it sleeps for as long
                max_reconnect_attempts=-1,
                allow_reconnect=True,
                disconnected_cb=self._connection.on_disconnect,
                reconnected_cb=self._connection.on_connect,
                error_cb=note_error,
            )
        except (nats.errors.Error, OSError) as error:
            raise translate(error, f"connecting to NATS at {url}") from error
        await self._connection.on_connect()

    @property
    def connect_errors(self) -> str:
        """Why there is no connection yet; '' for no error so far."""
        return "; ".join(self._errors)

    @property
    def connected(self) -> bool:
        """Whether the server is reachable now. A lost connection is made again in the background."""
        return bool(self._client.is_connected)

    @property
    def default_replicas(self) -> int:
        """Replicas of a stream: 3 on a cluster, else 1, because a single server refuses more."""
        return 3 if len(self._client.discovered_servers) + len(self._client.servers) >= 3 else 1

    async def ensure_streams(self, *, replicas: int = 1) -> None:
        """Create the streams that are missing; leave the others unchanged.

        Raises Unavailable, and Corrupt if a stream holds messages of another format.
        """
        self._replicas = replicas
        for name in STREAMS:
            await self._ensure(name)

    async def _ensure(self, stream: StreamName) -> None:
        """Create a stream. One whose metadata was lost is adopted again with its messages."""
        config, purpose = _stream_config(STREAMS[stream], self._replicas), f"creating stream {stream}"
        try:
            await self._call(self._js.add_stream(config), purpose)
        except Unavailable as error:
            cause = error.__cause__
            if not (isinstance(cause, nats.js.errors.APIError) and cause.err_code == STREAM_DIFFERS):
                raise
            if not await self._is_unmarked(stream):
                raise
            # Made by an earlier version, and empty.
            await self._call(self._js.update_stream(config), purpose)

    async def require_format(self) -> None:
        """Raise Corrupt if a stream holds messages of another format than this version reads. Changes nothing."""
        for name in STREAMS:
            await self._is_unmarked(name)

    async def _is_unmarked(self, stream: StreamName) -> bool:
        """Whether a stream names no format. Raises Corrupt if it names another one, or none and holds messages."""
        try:
            info = await self._connection.call(self._js.stream_info(stream), f"looking at {stream}")
        except nats.js.errors.NotFoundError:
            return False
        except (TimeoutError, nats.errors.Error, OSError) as error:
            raise translate(error, f"looking at {stream}") from error
        found = (info.config.metadata or {}).get(FORMAT_KEY)
        if found == str(FORMAT):
            return False
        if found is None and not info.state.messages:
            return True
        held = f"format {found}" if found is not None else "an earlier version"
        raise Corrupt(
            f"stream {stream} of this NATS server holds messages of {held}; this version reads format {FORMAT}: export "
            "the documents with the version that wrote it and import them on a server without these streams: the "
            "steps are in docs/decisions/log-format.md"
        )

    async def append(
        self,
        stream: StreamName,
        entry: Entry,
        *,
        expected_last_seq: int | None = None,
        expected_subject_seq: int | None = None,
    ) -> int:
        check_batch(stream, [entry])
        self.before_append()
        headers = _identity(entry)
        if expected_last_seq is not None:
            headers["Nats-Expected-Last-Sequence"] = str(expected_last_seq)
        if expected_subject_seq is not None:
            headers["Nats-Expected-Last-Subject-Sequence"] = str(expected_subject_seq)
        try:
            publishing = self._js.publish(entry.subject, entry.data, stream=stream, headers=headers or None)
            ack = await self._connection.call(publishing, f"appending to {stream}")
        except nats.js.errors.APIError as error:
            if error.err_code == WRONG_LAST_SEQUENCE:
                return await self._resolve_conflict(stream, entry, expected_last_seq, expected_subject_seq)
            raise translate(error, f"appending to {stream}") from error
        except (nats.errors.Error, OSError) as error:
            raise translate(error, f"appending to {stream}") from error
        return int(ack.seq)

    async def append_batch(self, stream: StreamName, entries: Sequence[Entry]) -> int:
        check_batch(stream, entries)
        if len(entries) == 1:
            return await self.append(stream, entries[0])
        self.before_append()
        batch_id = uuid.uuid4().hex
        headers = {"Nats-Batch-Id": batch_id}
        try:
            for i, entry in enumerate(entries[:-1], start=1):
                own = {**headers, "Nats-Batch-Sequence": str(i), **_identity(entry)}
                await self._client.publish(entry.subject, entry.data, headers=own)
            last = {**headers, "Nats-Batch-Sequence": str(len(entries)), "Nats-Batch-Commit": "1"}
            last |= _identity(entries[-1])
            committing = self._client.request(
                entries[-1].subject, entries[-1].data, timeout=2 * TIMEOUT_S, headers=last
            )
            reply = await self._connection.call(committing, f"appending to {stream}")
        except (nats.errors.Error, OSError) as error:
            raise translate(error, f"appending {len(entries)} messages to {stream}") from error
        answer = json.loads(reply.data)
        if "error" in answer and answer["error"].get("err_code") == DUPLICATE_IN_BATCH:
            return await self._stored_before(stream, entries[-1])
        if "error" in answer:
            raise Unavailable(f"{stream} refused a batch: {answer['error'].get('description')}")
        if answer.get("count") != len(entries):
            raise Corrupt(f"{stream} stored {answer.get('count')} of a batch of {len(entries)}")
        return int(answer["seq"])

    async def _stored_before(self, stream: StreamName, last: Entry) -> int:
        """Return the sequence of the last message of a batch that was stored before, or of the one that replaced it."""
        newest = await self._call(self._js.get_last_msg(stream, last.subject), f"looking at {last.subject}")
        return int(newest.seq or 0)

    async def position(self, stream: StreamName) -> Position:
        info = await self._call(self._js.stream_info(stream), f"looking at {stream}")
        created = info.created or datetime.fromtimestamp(0, UTC)
        return Position(info.state.last_seq, info.state.first_seq, info.state.messages, created)

    async def get(self, stream: StreamName, seq: int) -> Record | None:
        purpose = f"looking at {stream} {seq}"
        try:
            message = await self._connection.call(self._js.get_msg(stream, seq, direct=True), purpose)
        except nats.js.errors.NotFoundError:
            return None
        except (TimeoutError, nats.errors.Error, OSError) as error:
            raise translate(error, purpose) from error
        headers = message.headers or {}
        timestamp = datetime.fromisoformat(headers.get("Nats-Time-Stamp", "1970-01-01T00:00:00Z"))
        msg_id = headers.get("Nats-Msg-Id", "")
        return Record(stream, message.subject or "", seq, timestamp, message.data or b"", msg_id)

    async def read(self, stream: StreamName, *, after: int = 0, subject: str | None = None) -> AsyncIterator[Record]:
        start = await self.position(stream)
        subscription = await self._subscribe(stream, after, subject)
        n_read = 0
        try:
            info = await self._call(subscription.info(), f"reading {stream}")
            n_delivered = info.delivered.consumer_seq if info.delivered else 0
            n_promised = remaining = (info.num_pending or 0) + n_delivered
            if subject is None and after < start.first_seq:
                n_promised = max(n_promised, start.count)  # a consumer does not count messages that are unreadable
            while remaining:
                message = await self._next(subscription, stream)
                if message is None:
                    break
                record = _record(stream, message)
                if record.seq > start.last_seq:  # appended since; compaction may have moved a subject's newest there
                    break
                remaining = message.metadata.num_pending
                n_read += 1
                yield record
        finally:
            await subscription.close()
        if n_read < n_promised:
            await self._require_explained(stream, n_promised - n_read, start)

    async def follow(self, stream: StreamName, *, after: int = 0, subject: str | None = None) -> AsyncIterator[Record]:
        n_idle, checked_up_to = 0, 0
        while True:
            epoch = self._connection.n_reconnects
            try:
                require_reached(stream, (await self.position(stream)).last_seq, after)
                subscription = await self._subscribe(stream, after, subject)
            except Unavailable as error:
                if self._client.is_closed:
                    raise
                if isinstance(error.__cause__, nats.js.errors.NotFoundError):
                    await self._adopt(stream)
                await asyncio.sleep(FOLLOW_CHECK_S)
                continue
            try:
                while epoch == self._connection.n_reconnects:
                    try:
                        message = await subscription.next(FOLLOW_CHECK_S)
                    except nats.errors.TimeoutError:
                        n_idle += 1
                        if n_idle % IDLE_CHECKS:
                            continue
                        # Deliveries may have stopped: subscribe again, once for each end of the stream not reached.
                        last_seq = (await self.position(stream)).last_seq
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
                if self._client.is_closed:
                    raise
            except (nats.errors.Error, OSError) as error:
                if self._client.is_closed:
                    raise translate(error, f"following {stream}") from error
            finally:
                await subscription.close()

    async def consume(self, stream: StreamName, durable: str) -> AsyncIterator[_JetStreamDelivery]:
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
                    await self._ensure(name)
                await self._call(self._js.add_consumer(stream, config), f"consuming {stream}")
                subscription = await self._js.pull_subscribe_bind(durable, stream)
            except (Unavailable, nats.errors.Error, OSError) as error:
                if self._client.is_closed:
                    raise translate(error, f"consuming {stream}") from error
                await asyncio.sleep(FOLLOW_CHECK_S)
                continue
            epoch = self._connection.n_reconnects
            while epoch == self._connection.n_reconnects:
                try:
                    messages = await subscription.fetch(256, timeout=FOLLOW_CHECK_S * 4)
                except nats.errors.TimeoutError:
                    continue
                except (nats.errors.Error, OSError) as error:
                    if self._client.is_closed:
                        raise translate(error, f"consuming {stream}") from error
                    break
                for message in messages:
                    yield _JetStreamDelivery(_record(stream, message), partial(self._acknowledge, message))

    async def close(self) -> None:
        if self._connection.n_reconnects:  # a client that never connected cannot be closed
            await close_quietly(self._client.close())

    async def _subscribe(self, stream: StreamName, after: int, subject: str | None) -> Subscription:
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=after + 1,
            ack_policy=AckPolicy.ALL,
            ack_wait=SUBSCRIPTION_ACK_WAIT_S,
            max_ack_pending=MAX_IN_FLIGHT,
            mem_storage=True,
            num_replicas=1,
        )
        filter_subject = subject or STREAMS[stream].subjects[0]
        subscribing = self._js.subscribe(filter_subject, stream=stream, config=config, manual_ack=True)
        return Subscription(await self._call(subscribing, f"reading {stream}"))

    async def _next(self, subscription: Subscription, stream: StreamName) -> Msg | None:
        """Return the next of the promised messages; None where the server has no more of them."""
        n_delivered = -1
        for _ in range(READ_ATTEMPTS):
            try:
                return await self._connection.call(subscription.next(READ_TIMEOUT_S), f"reading {stream}")
            except nats.errors.TimeoutError:
                info = await self._call(subscription.info(), f"reading {stream}")
                n_before, n_delivered = n_delivered, info.delivered.consumer_seq if info.delivered else 0
                # The server answers and has sent nothing since the last look: it cannot read what it still counts.
                if subscription.n_buffered == 0 and (not info.num_pending or n_delivered == n_before):
                    return None
            except (nats.errors.Error, OSError) as error:
                raise translate(error, f"reading {stream}") from error
        raise Unavailable(f"reading {stream}: no message came for {READ_ATTEMPTS * READ_TIMEOUT_S:g} s")

    async def _adopt(self, stream: StreamName) -> None:
        """Create a stream again that the server has lost. Its followers then check whether all messages are there."""
        log.error("the server has lost stream %s; it is created again over the messages in its store", stream)
        with contextlib.suppress(Unavailable):
            await self._ensure(stream)

    async def _require_explained(self, stream: StreamName, n_unread: int, start: Position) -> None:
        """Raise Corrupt where fewer messages could be read than were promised and nothing normal explains it.

        Normal: newer messages are not read, nor those they replaced, and the age limit removes the oldest.
        """
        now = await self.position(stream)
        if n_unread > 2 * (now.last_seq - start.last_seq) + (now.first_seq - start.first_seq):
            raise Corrupt(
                f"{n_unread} messages of {stream} are counted by the server but cannot be read: they are lost"
            )

    async def _acknowledge(self, message: Msg) -> None:
        await self._call(message.ack(), "acknowledging")

    async def _call(self, request: Coroutine[Any, Any, T], purpose: str) -> T:
        """Return the result of a request to the server. Raises the project's errors."""
        try:
            return await self._connection.call(request, purpose)
        except (TimeoutError, nats.errors.Error, OSError) as error:
            raise translate(error, purpose) from error

    async def _resolve_conflict(
        self, stream: StreamName, entry: Entry, expected_last: int | None, expected_subject: int | None
    ) -> int:
        """Tell a retry of a stored message from a conflict: its id is then that of the subject's last message."""
        try:
            last = await self._js.get_last_msg(stream, entry.subject)
        except nats.js.errors.NotFoundError:
            last = None
        except (nats.errors.Error, OSError) as error:
            raise translate(error, f"looking at {entry.subject}") from error
        if last is not None and entry.msg_id and (last.headers or {}).get("Nats-Msg-Id") == entry.msg_id:
            return int(last.seq or 0)
        if expected_last is not None:
            actual = (await self.position(stream)).last_seq
            raise Conflict(f"{stream} moved on", field="expected_last_seq", value=expected_last, actual=actual)
        actual = int(last.seq or 0) if last is not None else 0
        raise Conflict(f"{entry.subject} moved on", field="expected_subject_seq", value=expected_subject, actual=actual)


class _JetStreamDelivery:
    def __init__(self, record: Record, acknowledge: Callable[[], Awaitable[None]]) -> None:
        self.record = record
        self._acknowledge = acknowledge

    async def ack(self) -> None:
        await self._acknowledge()


async def connect(
    url: str,
    *,
    user: str = "",
    password: str = "",
    role: str = "service",
    redeliver_after_s: float = REDELIVER_AFTER_S,
) -> JetStreamEventLog:
    """Return a connected log.

    Raises Unavailable where no server with JetStream answers in time, or it refuses the credentials.
    """
    event_log = JetStreamEventLog(redeliver_after_s=redeliver_after_s)
    try:
        # nats-py would try for ever, as it should for a lost connection, but not for the first one.
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await event_log.connect(url, user=user, password=password, role=role)
    except TimeoutError as error:
        raise Unavailable(f"no NATS answers at {url}: {event_log.connect_errors or 'timed out'}") from error
    return event_log


def _identity(entry: Entry) -> dict[str, str]:
    """Return the header by which the server recognises a retry."""
    return {"Nats-Msg-Id": entry.msg_id} if entry.msg_id else {}


def _record(stream: StreamName, message: Msg) -> Record:
    meta = message.metadata
    timestamp = meta.timestamp.replace(tzinfo=UTC) if meta.timestamp.tzinfo is None else meta.timestamp
    msg_id = (message.headers or {}).get("Nats-Msg-Id", "")
    return Record(stream, message.subject, meta.sequence.stream, timestamp, message.data, msg_id)


def _stream_config(spec: StreamSpec, replicas: int) -> StreamConfig:
    return StreamConfig(
        name=spec.name,
        subjects=list(spec.subjects),
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        discard=DiscardPolicy.OLD,
        num_replicas=replicas,
        metadata={FORMAT_KEY: str(FORMAT)},
        max_age=spec.max_age_s,
        max_msgs_per_subject=1 if spec.compacted else -1,
        max_msg_size=spec.max_message_bytes,
        duplicate_window=120,
        deny_delete=spec.append_only,
        deny_purge=spec.append_only,
        allow_direct=True,
        allow_atomic=spec.atomic or None,
    )
