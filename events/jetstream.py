"""The log on NATS JetStream. See docs/decisions for why there is no other durable log.

Facts this relies on (nats-server 2.15): a wrong expectation answers error 10071; `Nats-Batch-*` headers make an
atomic batch whose only acknowledgement is that of its last message; an ordered consumer of a server that went away
is gone, so a follower subscribes anew, after its last sequence, whenever the connection came back.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
import time
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
    ConsumerInfo,
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
DUPLICATE_IN_BATCH: Final = 10201
TIMEOUT_S: Final = 5.0
READ_TIMEOUT_S: Final = 1.0
READ_ATTEMPTS: Final = 10
CONNECT_TIMEOUT_S: Final = 5
# A refused sign-in shows now as its reason, now as a closed connection: all that was said is worth telling.
MAX_SAID: Final = 5
# How often a quiet follower looks whether the connection was lost and regained under it.
FOLLOW_CHECK_S: Final = 0.25
# Of one subscription; an acknowledgement is for all before it. None is ever delivered twice.
MAX_ON_THE_WAY: Final = 1024
ACKNOWLEDGE_EVERY: Final = 256
ACK_WAIT_S: Final = 22 * 3600.0
# So many checks without a message, and the stream is looked at: whether there is one.
QUIET_CHECKS: Final = 8
# So long after it was lost a connection may come back under a caller's hands; later, callers are refused at once.
GRACE_S: Final = 2.0

log = logging.getLogger(__name__)


class JetStreamEventLog:
    """An `EventLog` on a NATS server. Until `connect` has returned, everything else raises Unavailable.

    before_append: called before anything is written; what it raises refuses the write.
    """

    def __init__(self) -> None:
        self._client = Client()
        self.before_append: Callable[[], None] = lambda: None
        self._js: JetStreamContext = self._client.jetstream(timeout=TIMEOUT_S)
        self._connection = _Connection()
        self._replicas = 1
        self._said: list[str] = []

    async def connect(self, url: str, *, user: str = "", password: str = "", role: str = "service") -> None:
        """Try until the server answers and lets us in; `said` tells why it has not so far. To be called once.

        role: the prefix of this connection's reply subjects, so that no role can read another's replies.
        """

        async def note(error: Exception) -> None:
            """While connecting, why it failed. Later, nats-py reports lost connections here; what was under way then
            fails or is retried where it was asked for."""
            self._said[:] = dict.fromkeys([*self._said, str(error) or type(error).__name__][:MAX_SAID])

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
                disconnected_cb=self._connection.went,
                reconnected_cb=self._connection.came_back,
                error_cb=note,
            )
        except (nats.errors.Error, OSError) as error:
            raise translate(error, f"connecting to NATS at {url}") from error
        await self._connection.came_back()

    @property
    def said(self) -> str:
        """Why there is no connection yet; '' where nothing was heard."""
        return "; ".join(self._said)

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
        self._replicas = replicas
        for name in STREAMS:
            await self._ensure(name)

    async def _ensure(self, stream: StreamName) -> None:
        """A stream that lost its metadata is adopted again, messages and all."""
        adding = self._js.add_stream(_stream_config(STREAMS[stream], self._replicas))
        await self._call(adding, f"creating stream {stream}")

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
                own = {**headers, "Nats-Batch-Sequence": str(i), **_identity(entry)}
                await self._client.publish(entry.subject, entry.data, headers=own)
            last = {**headers, "Nats-Batch-Sequence": str(len(entries)), "Nats-Batch-Commit": "1"}
            last |= _identity(entries[-1])
            committing = self._client.request(
                entries[-1].subject, entries[-1].data, timeout=2 * TIMEOUT_S, headers=last
            )
            reply = await self._connection.hold(committing, f"appending to {stream}")
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
        """Where the last message of a batch stands that is sent again, or what has taken its place since."""
        found = await self._call(self._js.get_last_msg(stream, last.subject), f"looking at {last.subject}")
        return int(found.seq or 0)

    async def position(self, stream: StreamName) -> Position:
        info = await self._call(self._js.stream_info(stream), f"looking at {stream}")
        created = info.created or datetime.fromtimestamp(0, UTC)
        return Position(info.state.last_seq, info.state.first_seq, info.state.messages, created)

    async def get(self, stream: StreamName, seq: int) -> Record | None:
        doing = f"looking at {stream} {seq}"
        try:
            found = await self._connection.hold(self._js.get_msg(stream, seq, direct=True), doing)
        except nats.js.errors.NotFoundError:
            return None
        except (TimeoutError, nats.errors.Error, OSError) as error:
            raise translate(error, doing) from error
        headers = found.headers or {}
        at = datetime.fromisoformat(headers.get("Nats-Time-Stamp", "1970-01-01T00:00:00Z"))
        return Record(stream, found.subject or "", seq, at, found.data or b"", headers.get("Nats-Msg-Id", ""))

    async def read(self, stream: StreamName, *, after: int = 0, subject: str | None = None) -> AsyncIterator[Record]:
        began = await self.position(stream)
        subscription = await self._subscribe(stream, after, subject)
        n_read = 0
        try:
            info = await self._call(subscription.info(), f"reading {stream}")
            n_delivered = info.delivered.consumer_seq if info.delivered else 0
            promised = remaining = (info.num_pending or 0) + n_delivered
            if subject is None and after < began.first_seq:
                promised = max(promised, began.count)  # a consumer stops counting what it found unreadable
            while remaining:
                message = await self._next(subscription, stream)
                if message is None:
                    break
                record = _record(stream, message)
                if record.seq > began.last_seq:  # appended since: compaction may have moved a subject's last there
                    break
                remaining = message.metadata.num_pending
                n_read += 1
                yield record
        finally:
            await subscription.end()
        if n_read < promised:
            await self._require_explained(stream, promised - n_read, began)

    async def follow(self, stream: StreamName, *, after: int = 0, subject: str | None = None) -> AsyncIterator[Record]:
        quiet, asked_up_to = 0, 0
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
                        quiet += 1
                        if quiet % QUIET_CHECKS:
                            continue
                        # Should deliveries have ceased: once for each end of the stream that was not reached, they are
                        # asked for again.
                        last_seq = (await self.position(stream)).last_seq
                        if last_seq <= max(after, asked_up_to):
                            continue
                        asked_up_to = last_seq
                        break
                    quiet = 0
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
                await subscription.end()

    async def consume(self, stream: StreamName, durable: str) -> AsyncIterator[_JetStreamDelivery]:
        config = ConsumerConfig(durable_name=durable, ack_policy=AckPolicy.EXPLICIT, ack_wait=30, max_ack_pending=1000)
        while True:
            try:
                # Made anew each round: a store that lost its metadata has lost its streams and durable consumers too.
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
        if self._connection.n_reconnects:  # one that was never connected has nothing to close, and cannot
            await _quietly(self._client.close())

    async def _subscribe(self, stream: StreamName, after: int, subject: str | None) -> _Subscription:
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=after + 1,
            ack_policy=AckPolicy.ALL,
            ack_wait=ACK_WAIT_S,
            max_ack_pending=MAX_ON_THE_WAY,
            mem_storage=True,
            num_replicas=1,
        )
        wanted = subject or STREAMS[stream].subjects[0]
        made = self._js.subscribe(wanted, stream=stream, config=config, manual_ack=True)
        return _Subscription(await self._call(made, f"reading {stream}"))

    async def _next(self, subscription: _Subscription, stream: StreamName) -> Msg | None:
        """The next message of those that were promised; None where the server has no more of them after all."""
        delivered = -1
        for _ in range(READ_ATTEMPTS):
            try:
                return await self._connection.hold(subscription.next(READ_TIMEOUT_S), f"reading {stream}")
            except nats.errors.TimeoutError:
                info = await self._call(subscription.info(), f"reading {stream}")
                before, delivered = delivered, info.delivered.consumer_seq if info.delivered else 0
                # It answers, and has sent nothing since we asked before: what it still counts, it cannot read.
                if subscription.n_waiting == 0 and (not info.num_pending or delivered == before):
                    return None
            except (nats.errors.Error, OSError) as error:
                raise translate(error, f"reading {stream}") from error
        raise Unavailable(f"reading {stream}: no message came for {READ_ATTEMPTS * READ_TIMEOUT_S:g} s")

    async def _adopt(self, stream: StreamName) -> None:
        """Where the server does not know a stream that was there, make it again over its messages; whoever follows it
        then sees whether they are all there."""
        log.error("%s is gone from the server; it is made again over what its store holds", stream)
        with contextlib.suppress(Unavailable):
            await self._ensure(stream)

    async def _require_explained(self, stream: StreamName, n_unread: int, began: Position) -> None:
        """Raise Corrupt where fewer messages could be read than were promised, and nothing that is meant to happen
        explains it: what came since is not read, nor what it replaced, and age takes the oldest."""
        now = await self.position(stream)
        if n_unread > 2 * (now.last_seq - began.last_seq) + (now.first_seq - began.first_seq):
            raise Corrupt(
                f"{n_unread} messages of {stream} are counted by the server but cannot be read: they are lost"
            )

    async def _acknowledge(self, message: Msg) -> None:
        await self._call(message.ack(), "acknowledging")

    async def _call(self, call: Coroutine[Any, Any, T], doing: str) -> T:
        """The result of a request to the server. Raises what `translate` makes of its failure."""
        try:
            return await self._connection.hold(call, doing)
        except (TimeoutError, nats.errors.Error, OSError) as error:
            raise translate(error, doing) from error

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
    def __init__(self, record: Record, acknowledge: Callable[[], Awaitable[None]]) -> None:
        self.record = record
        self._acknowledge = acknowledge

    async def ack(self) -> None:
        await self._acknowledge()


class _Connection:
    """Whether the server is reached. n_reconnects: how often it was."""

    def __init__(self) -> None:
        self.n_reconnects = 0
        self._up = asyncio.Event()
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lost_at = -math.inf

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
    """A connected log. Raises Unavailable where no server that runs JetStream answers in time or it turns us away."""
    event_log = JetStreamEventLog()
    try:
        # Endless attempts are for a connection that was lost; nats-py would make them for the first one too.
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await event_log.connect(url, user=user, password=password, role=role)
    except TimeoutError as error:
        raise Unavailable(f"no NATS answers at {url}: {event_log.said or 'timed out'}") from error
    return event_log


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


async def _quietly(call: Awaitable[None]) -> None:
    """Close something whose server may be gone already: then there is nothing left to close."""
    try:
        await call
    except (TimeoutError, nats.errors.Error, OSError):
        return


def _identity(entry: Entry) -> dict[str, str]:
    """The header by which the server knows a message that is sent again."""
    return {"Nats-Msg-Id": entry.msg_id} if entry.msg_id else {}


class _Subscription:
    """Messages of a stream in order, none missing, and never more than so many on the way.

    An ordered consumer of nats-py promises the first two, but takes in whatever the server sends: past half a million
    messages it drops some without a word, so flow is held back by acknowledgements, and sequences are checked here.
    """

    def __init__(self, subscription: JetStreamContext.PushSubscription) -> None:
        self._subscription = subscription
        self._n_received = 0

    @property
    def n_waiting(self) -> int:
        return self._subscription.pending_msgs

    async def next(self, timeout_s: float) -> Msg:
        """Raises nats.errors.TimeoutError where none comes in time, Unavailable where one was lost on its way."""
        message = await self._subscription.next_msg(timeout=timeout_s)
        self._n_received += 1
        if message.metadata.sequence.consumer != self._n_received:
            raise Unavailable(f"message {self._n_received} of a subscription was lost on its way")
        if self._n_received % ACKNOWLEDGE_EVERY == 0:
            await message.ack()
        return message

    async def info(self) -> ConsumerInfo:
        return await self._subscription.consumer_info()

    async def end(self) -> None:
        await _quietly(self._subscription.unsubscribe())


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
