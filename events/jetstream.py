"""The log on NATS JetStream. See docs/decisions for why there is no other durable log.

Facts this relies on (nats-server 2.15): a wrong expectation answers error 10071; `Nats-Batch-*` headers make an
atomic batch whose only acknowledgement is that of its last message; an ordered consumer of a server that went away
is gone, so a follower subscribes anew, after its last sequence, whenever the connection came back.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from datetime import UTC, datetime
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

from events.errors import Conflict, Corrupt, InvalidInput, SearchsvcError, Unavailable
from events.log import Entry, Position, Record, check_batch, require_reached
from events.streams import STREAMS, StreamName, StreamSpec

T = TypeVar("T")

WRONG_LAST_SEQUENCE: Final = 10071
MESSAGE_TOO_LARGE: Final = 10054
TIMEOUT_S: Final = 5.0
CONNECT_TIMEOUT_S: Final = 5
# A refused sign-in shows now as its reason, now as a closed connection: all that was said is worth telling.
MAX_SAID: Final = 5
# How often a quiet follower looks whether the connection was lost and regained under it.
FOLLOW_CHECK_S: Final = 0.25
# So long after it was lost a connection may come back under a caller's hands; later, callers are refused at once.
GRACE_S: Final = 2.0


class JetStreamEventLog:
    """An `EventLog` on a connected client. Make one with `connect`.

    before_append: called before anything is written; what it raises refuses the write.
    """

    def __init__(self, client: Client, *, connection: _Connection) -> None:
        self._client = client
        self.before_append: Callable[[], None] = lambda: None
        self._js: JetStreamContext = client.jetstream(timeout=TIMEOUT_S)
        self._connection = connection

    @property
    def connected(self) -> bool:
        """Whether the server answers now; a lost connection is being regained."""
        return bool(self._client.is_connected)

    @property
    def default_replicas(self) -> int:
        """3 on a cluster, else 1: a single server refuses more."""
        return 3 if len(self._client.discovered_servers) + len(self._client.servers) >= 3 else 1

    async def ensure_streams(self, *, replicas: int = 1) -> None:
        """Create what is missing; leave what is there. Raises Unavailable."""
        for spec in STREAMS.values():
            await _translated(self._js.add_stream(_stream_config(spec, replicas)), f"creating stream {spec.name}")

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
        headers: dict[str, str] = {}
        if entry.msg_id:
            headers["Nats-Msg-Id"] = entry.msg_id
        if expected_last_seq is not None:
            headers["Nats-Expected-Last-Sequence"] = str(expected_last_seq)
        if expected_subject_seq is not None:
            headers["Nats-Expected-Last-Subject-Sequence"] = str(expected_subject_seq)
        try:
            publishing = self._js.publish(entry.subject, entry.data, stream=stream, headers=headers or None)
            ack = await self._connection.hold(publishing, f"appending to {stream}")
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
                await self._client.publish(
                    entry.subject, entry.data, headers={**headers, "Nats-Batch-Sequence": str(i)}
                )
            last = {**headers, "Nats-Batch-Sequence": str(len(entries)), "Nats-Batch-Commit": "1"}
            committing = self._client.request(
                entries[-1].subject, entries[-1].data, timeout=2 * TIMEOUT_S, headers=last
            )
            reply = await self._connection.hold(committing, f"appending to {stream}")
        except (nats.errors.Error, OSError) as error:
            raise translate(error, f"appending {len(entries)} messages to {stream}") from error
        answer = json.loads(reply.data)
        if "error" in answer:
            raise Unavailable(f"{stream} refused a batch: {answer['error'].get('description')}")
        if answer.get("count") != len(entries):
            raise Corrupt(f"{stream} stored {answer.get('count')} of a batch of {len(entries)}")
        return int(answer["seq"])

    async def position(self, stream: StreamName) -> Position:
        info = await _translated(self._js.stream_info(stream), f"looking at {stream}")
        created = info.created or datetime.fromtimestamp(0, UTC)
        return Position(info.state.last_seq, info.state.first_seq, info.state.messages, created)

    async def get(self, stream: StreamName, seq: int) -> Record | None:
        try:
            found = await self._js.get_msg(stream, seq, direct=True)
        except nats.js.errors.NotFoundError:
            return None
        except (TimeoutError, nats.errors.Error, OSError) as error:
            raise translate(error, f"looking at {stream} {seq}") from error
        headers = found.headers or {}
        at = datetime.fromisoformat(headers.get("Nats-Time-Stamp", "1970-01-01T00:00:00Z"))
        return Record(stream, found.subject or "", seq, at, found.data or b"", headers.get("Nats-Msg-Id", ""))

    async def read(self, stream: StreamName, *, after: int = 0, subject: str | None = None) -> AsyncIterator[Record]:
        last_seq = (await self.position(stream)).last_seq
        subscription = await self._subscribe(stream, after, subject)
        try:
            info = await _translated(subscription.consumer_info(), f"reading {stream}")
            n_delivered = info.delivered.consumer_seq if info.delivered else 0
            remaining = (info.num_pending or 0) + n_delivered
            while remaining:
                message = await _translated(subscription.next_msg(timeout=TIMEOUT_S), f"reading {stream}")
                record = _record(stream, message)
                if record.seq > last_seq:  # appended since the call: compaction may have moved a subject's last there
                    return
                remaining = message.metadata.num_pending
                yield record
        finally:
            await _quietly(subscription.unsubscribe())

    async def follow(self, stream: StreamName, *, after: int = 0, subject: str | None = None) -> AsyncIterator[Record]:
        while True:
            epoch = self._connection.n_reconnects
            try:
                require_reached(stream, (await self.position(stream)).last_seq, after)
                subscription = await self._subscribe(stream, after, subject)
            except Unavailable:
                if self._client.is_closed:
                    raise
                await asyncio.sleep(FOLLOW_CHECK_S)
                continue
            try:
                while epoch == self._connection.n_reconnects:
                    try:
                        message = await subscription.next_msg(timeout=FOLLOW_CHECK_S)
                    except nats.errors.TimeoutError:
                        continue
                    record = _record(stream, message)
                    if record.seq > after:
                        after = record.seq
                        yield record
            except (nats.errors.Error, OSError) as error:
                if self._client.is_closed:
                    raise translate(error, f"following {stream}") from error
            finally:
                await _quietly(subscription.unsubscribe())

    async def consume(self, stream: StreamName, durable: str) -> AsyncIterator[_JetStreamDelivery]:
        config = ConsumerConfig(durable_name=durable, ack_policy=AckPolicy.EXPLICIT, ack_wait=30, max_ack_pending=1000)
        while True:
            try:
                # Made anew each round: a store that lost its metadata has lost its durable consumers too.
                await self._js.add_consumer(stream, config)
                subscription = await self._js.pull_subscribe_bind(durable, stream)
            except (nats.errors.Error, OSError) as error:
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
                    yield _JetStreamDelivery(_record(stream, message), message)

    async def close(self) -> None:
        await _quietly(self._client.close())

    async def _subscribe(
        self, stream: StreamName, after: int, subject: str | None
    ) -> JetStreamContext.PushSubscription:
        config = ConsumerConfig(deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=after + 1)
        wanted = subject or STREAMS[stream].subjects[0]
        return await _translated(
            self._js.subscribe(wanted, stream=stream, config=config, ordered_consumer=True, idle_heartbeat=1.0),
            f"reading {stream}",
        )

    async def _resolve_conflict(
        self, stream: StreamName, entry: Entry, expected_last: int | None, expected_subject: int | None
    ) -> int:
        """A retry of a stored message answers 'wrong sequence' too: its own id on the subject's last message tells."""
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
    def __init__(self, record: Record, message: Msg) -> None:
        self.record = record
        self._message = message

    async def ack(self) -> None:
        await _translated(self._message.ack(), "acknowledging")


class _Connection:
    """Whether the server is reached. n_reconnects: how often it was, again."""

    def __init__(self) -> None:
        self.n_reconnects = 0
        self._up = asyncio.Event()
        self._up.set()
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lost_at = 0.0

    async def went(self) -> None:
        if self._up.is_set():
            self._up.clear()
            self._lost_at = time.monotonic()
            self._lost.set_result(None)

    async def came_back(self) -> None:
        self.n_reconnects += 1
        self._lost = asyncio.get_running_loop().create_future()
        self._up.set()

    async def hold(self, call: Coroutine[Any, Any, T], doing: str) -> T:
        """The result of a call that waits for a reply. Raises Unavailable as soon as the connection is lost under it,
        because the reply will not come then; and before it is begun where the connection does not come back in time."""
        if not self._up.is_set():
            try:
                async with asyncio.timeout(max(self._lost_at + GRACE_S - time.monotonic(), 0.0)):
                    await self._up.wait()
            except TimeoutError:
                call.close()
                raise Unavailable(f"{doing}: the connection to NATS is lost") from None
        under_way = asyncio.ensure_future(call)
        try:
            waited_for: list[asyncio.Future[Any]] = [under_way, self._lost]
            await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not under_way.done():
                under_way.cancel()
        if under_way.cancelled() or not under_way.done():
            raise Unavailable(f"{doing}: the connection to NATS was lost meanwhile")
        return under_way.result()


async def connect(url: str, *, user: str = "", password: str = "", role: str = "service") -> JetStreamEventLog:
    """Connect to a NATS server that runs JetStream. Raises Unavailable where none answers or it turns us away.

    role: the prefix of this connection's reply subjects, so that no role can read another's replies.
    """
    connection = _Connection()
    said: list[str] = []

    async def note(error: Exception) -> None:
        """While connecting, why it failed. Later, nats-py reports lost connections here; what was under way then fails
        or is retried where it was asked for."""
        said[:] = dict.fromkeys([*said, str(error) or type(error).__name__][:MAX_SAID])

    try:
        # Endless attempts are for a connection that was lost; nats-py would make them for the first one too.
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            client = await nats.connect(
                url,
                user=user or None,
                password=password or None,
                name=f"searchsvc-{role}",
                inbox_prefix=f"_INBOX_{role}".encode(),
                connect_timeout=CONNECT_TIMEOUT_S,
                reconnect_time_wait=0.05,
                max_reconnect_attempts=-1,
                allow_reconnect=True,
                disconnected_cb=connection.went,
                reconnected_cb=connection.came_back,
                error_cb=note,
            )
    except TimeoutError as error:
        raise Unavailable(f"no NATS answers at {url}: {'; '.join(said) or 'timed out'}") from error
    except (nats.errors.Error, OSError) as error:
        raise translate(error, f"connecting to NATS at {url}") from error
    return JetStreamEventLog(client, connection=connection)


def translate(error: BaseException, doing: str) -> SearchsvcError:
    """The project's error for one of nats-py's. A test holds this against every exception class of the client."""
    detail = str(error) or type(error).__name__
    if isinstance(error, nats.js.errors.APIError) and error.err_code == MESSAGE_TOO_LARGE:
        return InvalidInput(f"{doing}: {error.description}")
    if isinstance(error, nats.errors.MaxPayloadError | nats.errors.BadSubjectError | nats.errors.BadHeaderError):
        return InvalidInput(f"{doing}: {detail}")
    if isinstance(error, nats.js.errors.ConsumerSequenceMismatchError | nats.js.errors.DigestMismatchError):
        return Corrupt(f"{doing}: {detail}")
    return Unavailable(f"{doing}: {detail}")


async def _translated(call: Awaitable[T], doing: str) -> T:
    try:
        return await call
    except (TimeoutError, nats.errors.Error, OSError) as error:
        raise translate(error, doing) from error


async def _quietly(call: Awaitable[None]) -> None:
    """Close something whose server may be gone already: then there is nothing left to close."""
    try:
        await call
    except (TimeoutError, nats.errors.Error, OSError):
        return


def _record(stream: StreamName, message: Msg) -> Record:
    meta = message.metadata
    at = meta.timestamp.replace(tzinfo=UTC) if meta.timestamp.tzinfo is None else meta.timestamp
    msg_id = (message.headers or {}).get("Nats-Msg-Id", "")
    return Record(stream, message.subject, meta.sequence.stream, at, message.data, msg_id)


def _stream_config(spec: StreamSpec, replicas: int) -> StreamConfig:
    return StreamConfig(
        name=spec.name,
        subjects=list(spec.subjects),
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        discard=DiscardPolicy.OLD,
        num_replicas=replicas,
        max_age=spec.max_age_s,
        max_msgs_per_subject=1 if spec.compacted else -1,
        max_msg_size=spec.max_message_bytes,
        duplicate_window=120,
        deny_delete=spec.append_only,
        deny_purge=spec.append_only,
        allow_direct=True,
        allow_atomic=spec.atomic or None,
    )
