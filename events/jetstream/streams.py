"""The streams on the server: creating them, their format, their positions and single messages."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import nats
import nats.errors
import nats.js.errors
from nats.aio.subscription import Subscription
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)

from events.errors import Corrupt, Unavailable
from events.jetstream.connection import translate
from events.jetstream.session import TIMEOUT_S, Session
from events.log import Record, StreamState
from events.streams import FORMAT, FORMAT_KEY, STREAMS, StreamName, StreamSpec

T = TypeVar("T")

STREAM_DIFFERS: Final = 10058
SUBJECTS_A_COUNT: Final = 100
# A consumer that is only asked for its number of messages is removed by the server after this time.
COUNT_CONSUMER_S: Final = 1.0

log = logging.getLogger(__name__)


class ServerStreams:
    """The streams of a log on the server of a session.

    specs: how the streams store
    """

    def __init__(self, session: Session, specs: Mapping[StreamName, StreamSpec]) -> None:
        self._session = session
        self._specs = specs
        self._replicas = 1

    async def ensure_all(self, *, replicas: int = 1) -> None:
        """Create the streams that are missing, and give the others the limits of this version.

        Raises Unavailable, and Corrupt if a stream holds messages of another format.
        """
        self._replicas = replicas
        for name in STREAMS:
            await self.ensure(name)

    async def ensure(self, stream: StreamName) -> None:
        """Create a stream, or bring it up to date. One whose metadata was lost is adopted again with its messages.

        Raises Unavailable, and Corrupt if it holds messages of another format.
        """
        config, purpose = _stream_config(self._specs[stream], self._replicas), f"creating stream {stream}"
        try:
            await self._session.call(self._session.js.add_stream(config), purpose)
        except Unavailable as error:
            cause = error.__cause__
            if not (isinstance(cause, nats.js.errors.APIError) and cause.err_code == STREAM_DIFFERS):
                raise
            await self._require_format(stream)
            await self._update(stream, config)

    async def require_format(self) -> None:
        """Raise Corrupt if a stream holds messages of another format than this version reads. Changes nothing."""
        for name in STREAMS:
            await self._require_format(name)

    async def _update(self, stream: StreamName, config: StreamConfig) -> None:
        """Give a stream another configuration. Replicas are added, never taken away: a server may be missing now."""
        purpose = f"updating stream {stream}"
        before = await self._session.call(self._session.js.stream_info(stream), purpose)
        n_replicas = max(before.config.num_replicas or 1, config.num_replicas or 1)
        updating = self._session.js.update_stream(config.evolve(num_replicas=n_replicas))
        after = await self._session.call(updating, purpose)
        n_removed = before.state.messages - after.state.messages
        if n_removed > 0:
            log.warning("%s held more than its limits: its %d oldest messages were removed", stream, n_removed)

    async def _require_format(self, stream: StreamName) -> None:
        """Raise Corrupt if a stream names another format, or none and holds messages."""
        info = await self._existing(self._session.js.stream_info(stream), f"looking at {stream}")
        if info is None:
            return
        stored_format = (info.config.metadata or {}).get(FORMAT_KEY)
        if stored_format == str(FORMAT) or (stored_format is None and not info.state.messages):
            return
        origin = f"format {stored_format}" if stored_format is not None else "an earlier version"
        raise Corrupt(
            f"stream {stream} of this NATS server holds messages of {origin}; this version reads format {FORMAT}: "
            "export the documents with the version that wrote it and import them on a server without these streams: "
            "the steps are in docs/decisions/log-format.md"
        )

    async def adopt(self, stream: StreamName) -> None:
        """Create a stream again that the server has lost. Its followers then check whether all messages are there."""
        log.error("the server has lost stream %s; it is created again over the messages in its store", stream)
        with contextlib.suppress(Unavailable):
            await self.ensure(stream)

    async def stream_state(self, stream: StreamName) -> StreamState:
        info = await self._session.call(self._session.js.stream_info(stream), f"looking at {stream}")
        created = info.created or datetime.fromtimestamp(0, UTC)
        state = info.state
        return StreamState(state.last_seq, state.first_seq, state.messages, created, state.bytes)

    async def mean_bytes(self, stream: StreamName) -> float:
        """Return the mean size of a message of a stream; 0 for an empty one."""
        info = await self._session.call(self._session.js.stream_info(stream), f"looking at {stream}")
        return info.state.bytes / info.state.messages if info.state.messages else 0.0

    async def last_seq(self, stream: StreamName, subject: str) -> int:
        message = await self._existing(
            self._session.js.get_last_msg(stream, subject), f"looking for the newest {subject} of {stream}"
        )
        return (message.seq or 0) if message is not None else 0

    async def n_waiting(self, stream: StreamName, durable: str) -> int:
        consumer = await self._existing(
            self._session.js.consumer_info(stream, durable), f"looking at {durable} of {stream}"
        )
        return (consumer.num_pending or 0) if consumer is not None else 0

    async def counts(self, stream: StreamName, subjects: Sequence[str]) -> dict[str, int]:
        counts = dict[str, int]()
        for first in range(0, len(subjects), SUBJECTS_A_COUNT):
            some = subjects[first : first + SUBJECTS_A_COUNT]
            # Most are of indexes that are gone, and have none.
            if len(some) == 1 or await self._count(stream, some):
                counts |= {subject: n for subject in some if (n := await self._count(stream, [subject]))}
        return counts

    async def _count(self, stream: StreamName, subjects: Sequence[str]) -> int:
        """Return how many messages of these subjects are stored: as many as a consumer of them would be sent."""
        config = ConsumerConfig(
            filter_subjects=list(subjects),
            deliver_policy=DeliverPolicy.ALL,
            ack_policy=AckPolicy.NONE,
            mem_storage=True,
            num_replicas=1,
            inactive_threshold=COUNT_CONSUMER_S,
        )
        adding = self._session.js.add_consumer(stream, config)
        return (await self._session.call(adding, f"counting messages of {stream}")).num_pending or 0

    async def acknowledged(self, stream: StreamName, durable: str) -> int:
        consumer = await self._existing(
            self._session.js.consumer_info(stream, durable), f"looking at {durable} of {stream}"
        )
        return consumer.ack_floor.stream_seq if consumer is not None and consumer.ack_floor is not None else 0

    async def purge(self, stream: StreamName, *, through: int, subject: str | None = None) -> None:
        if through >= 1:  # a purge up to 1, and without it, is one of everything
            purging = self._session.js.purge_stream(stream, seq=through + 1, subject=subject)
            await self._session.call(purging, f"purging {stream}")

    async def get(self, stream: StreamName, seq: int) -> Record | None:
        message = await self._existing(self._session.js.get_msg(stream, seq, direct=True), f"looking at {stream} {seq}")
        if message is None:
            return None
        return _record(stream, message.subject or "", seq, message.headers or {}, message.data or b"")

    async def last(self, stream: StreamName, subjects: Sequence[str]) -> dict[str, Record]:
        """See `events.log.EventLog.last`: one request, which the server answers with a message a subject."""
        purpose = f"looking at {len(subjects)} subjects of {stream}"
        return await self._session.call(self._last(stream, subjects, purpose), purpose)

    async def _last(self, stream: StreamName, subjects: Sequence[str], purpose: str) -> dict[str, Record]:
        client = self._session.client
        inbox = client.new_inbox()
        replies = await client.subscribe(inbox)
        try:
            request = json.dumps({"multi_last": list(subjects)}).encode()
            await client.publish(f"$JS.API.DIRECT.GET.{stream}", request, reply=inbox)
            return await self._received(stream, replies, purpose)
        finally:
            await replies.unsubscribe()

    async def _existing(self, request: Coroutine[Any, Any, T], purpose: str) -> T | None:
        """Return the result of a request; None if what it asks for does not exist. Raises the project's errors."""
        try:
            return await self._session.connection.call(request, purpose)
        except nats.js.errors.NotFoundError:
            return None
        except (TimeoutError, nats.errors.Error, OSError) as error:
            raise translate(error, purpose) from error

    async def _received(self, stream: StreamName, replies: Subscription, purpose: str) -> dict[str, Record]:
        newest: dict[str, Record] = {}
        while True:
            reply = await replies.next_msg(TIMEOUT_S)
            headers = reply.headers or {}
            match headers.get("Status"):
                case None:
                    subject, seq = headers["Nats-Subject"], int(headers["Nats-Sequence"])
                    newest[subject] = _record(stream, subject, seq, headers, reply.data)
                case "204" | "404":
                    return newest
                case status:
                    raise Unavailable(f"{purpose}: the server answers {status} {headers.get('Description', '')}")


def _record(stream: StreamName, subject: str, seq: int, headers: Mapping[str, str], data: bytes) -> Record:
    timestamp = datetime.fromisoformat(headers.get("Nats-Time-Stamp", "1970-01-01T00:00:00Z"))
    return Record(stream, subject, seq, timestamp, data, headers.get("Nats-Msg-Id", ""))


def _stream_config(spec: StreamSpec, replicas: int) -> StreamConfig:
    return StreamConfig(
        name=spec.name,
        subjects=list(spec.subjects),
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        discard=DiscardPolicy.NEW if spec.refuses_when_full else DiscardPolicy.OLD,
        num_replicas=replicas,
        metadata={FORMAT_KEY: str(FORMAT)},
        max_age=spec.max_age_s,
        max_bytes=spec.max_bytes or -1,
        max_msgs=spec.max_messages or -1,
        max_msgs_per_subject=1 if spec.compacted else -1,
        max_msg_size=spec.max_message_bytes,
        duplicate_window=120,
        deny_delete=spec.append_only,
        deny_purge=spec.append_only,
        allow_direct=True,
        allow_atomic=spec.atomic or None,
    )
