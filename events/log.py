"""The protocol of the log: append, read, follow, consume. Adapters: `jetstream` and `memory`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Final, Protocol

import msgspec

from events.errors import Corrupt, InvalidInput, Unavailable
from events.streams import STREAMS, StreamName

MAX_BATCH: Final = 1000
# Reads of `read_newest` before it gives up; each needs a stream that is written between two calls.
NEWEST_ATTEMPTS: Final = 100


class Entry(msgspec.Struct, frozen=True):
    """One message to append.

    msg_id: a retry with the same id, within two minutes, is stored once
    expected_subject_seq: last sequence that the subject must have, 0 for none yet; None for any
    """

    subject: str
    data: bytes
    msg_id: str = ""
    expected_subject_seq: int | None = None


class Record(msgspec.Struct, frozen=True):
    """One stored message.

    seq: 1-based within its stream, never reused
    timestamp: when the log stored it (UTC)
    """

    stream: StreamName
    subject: str
    seq: int
    timestamp: datetime
    data: bytes
    msg_id: str = ""


class StreamState(msgspec.Struct, frozen=True):
    """The state of a stream.

    last_seq: 0 before the first append
    count: messages that are still stored
    created: when the stream was created
    size_bytes: what the stored messages take, with subjects and headers
    """

    last_seq: int
    first_seq: int
    count: int
    created: datetime
    size_bytes: int = 0


class Delivery(Protocol):
    """One message handed to a durable consumer. It is handed out again until `ack` was called."""

    @property
    def record(self) -> Record: ...

    async def ack(self) -> None: ...


class EventLog(Protocol):
    """An ordered, durable record of events in the streams of `events.streams`.

    Every method raises Unavailable if the log cannot be reached. An append that raised it may be stored or not:
    repeat it with the same msg_id.
    """

    async def append(self, stream: StreamName, entry: Entry, *, expected_last_seq: int | None = None) -> int:
        """Store one message and return its sequence once it is on disk.

        expected_last_seq: last sequence that the stream must have

        Raises Conflict if the stream or the subject has another last sequence than is expected, and StorageFull if the
        stream is full and refuses more.
        """
        ...

    async def append_batch(self, stream: StreamName, entries: Sequence[Entry]) -> int:
        """Store 1 to 1,000 messages, all or none, on consecutive sequences; return the last sequence.

        A retry with the same message ids is stored once. Raises Conflict if a subject has another last sequence than
        an entry expects; a subject may have one such entry in a batch.
        """
        ...

    async def stream_state(self, stream: StreamName) -> StreamState: ...

    async def last_seq(self, stream: StreamName, subject: str) -> int:
        """Return the sequence of the newest message of a subject, wildcards allowed; 0 if there is none."""
        ...

    async def n_waiting(self, stream: StreamName, durable: str) -> int:
        """Return how many messages of a stream a durable consumer has not been handed yet; 0 if there is none."""
        ...

    async def counts(self, stream: StreamName, subjects: Sequence[str]) -> dict[str, int]:
        """Return how many messages are stored of each subject, wildcards allowed; those without any are left out.

        subjects: no two of them match the same message
        """
        ...

    async def acknowledged(self, stream: StreamName, durable: str) -> int:
        """Return the sequence up to which a durable consumer has acknowledged every message; 0 if there is none."""
        ...

    async def purge(self, stream: StreamName, *, through: int, subject: str | None = None) -> None:
        """Remove the messages up to sequence `through`, for good. Does nothing where there are none.

        subject: only messages of this subject; wildcards are allowed
        """
        ...

    async def get(self, stream: StreamName, seq: int) -> Record | None:
        """Return the message at `seq`; None if there is none, or none any more."""
        ...

    async def last(self, stream: StreamName, subjects: Sequence[str]) -> dict[str, Record]:
        """Return the last message of each of 1 to 1,000 subjects, by subject; those without one are left out."""
        ...

    def read(self, stream: StreamName, *, after: int = 0, subject: str | None = None) -> AsyncIterator[Record]:
        """Yield the messages after sequence `after` that are stored at the time of the call, in order.

        subject: only messages of this subject; wildcards are allowed
        """
        ...

    def follow(self, stream: StreamName, *, after: int = 0, subject: str | None = None) -> AsyncIterator[Record]:
        """Yield as `read` does, then every new message, without end.

        Raises Corrupt if the stream ends before `after`: messages that were read once are lost.
        """
        ...

    def consume(self, stream: StreamName, durable: str) -> AsyncIterator[Delivery]:
        """Yield a stream's messages, shared among the consumers of one `durable` name.

        Acknowledgements are remembered.
        """
        ...

    async def close(self) -> None: ...


def check_batch(stream: StreamName, entries: Sequence[Entry]) -> None:
    """Raise InvalidInput if a batch is empty or too long, or a message is larger than the stream allows."""
    if not 1 <= len(entries) <= MAX_BATCH:
        raise InvalidInput(f"a batch of {len(entries)}; allowed: 1 to {MAX_BATCH}", value=len(entries))
    limit = STREAMS[stream].max_message_bytes
    for entry in entries:
        if len(entry.data) > limit:
            raise InvalidInput(f"a message of {len(entry.data)} bytes; {stream} takes {limit}", value=len(entry.data))


def require_reached(stream: StreamName, last_seq: int, after: int) -> None:
    """Raise Corrupt if a stream ends before a sequence that was read from it: its end is lost."""
    if last_seq < after:
        raise Corrupt(f"{stream} ends at {last_seq}, but {after} was read from it: its end is lost")


async def first_stored_since(event_log: EventLog, stream: StreamName, timestamp: datetime, state: StreamState) -> int:
    """Return the sequence of the first message stored at a time or later; one past the last if there is none.

    state: of the stream, which has no gaps
    Raises Unavailable.
    """
    low, high = state.first_seq, state.last_seq
    while low <= high:
        middle = (low + high) // 2
        record = await event_log.get(stream, middle)
        if record is None or record.timestamp < timestamp:
            low = middle + 1
        else:
            high = middle - 1
    return low


async def read_newest(event_log: EventLog, stream: StreamName, subject: str) -> dict[str, Record]:
    """Return the newest message of each subject of a compacted stream, by subject.

    A subject that is written during a read loses its old message, and the read ends before the new one: it would seem
    to be empty. So the end of the stream is read again until nothing was appended meanwhile.

    stream: a compacted stream
    subject: a filter, wildcards allowed

    Raises Unavailable if the log is out of reach, or the stream is written faster than it is read.
    """
    newest: dict[str, Record] = {}
    complete_to, last_seq = 0, (await event_log.stream_state(stream)).last_seq
    for _ in range(NEWEST_ATTEMPTS):
        async for record in event_log.read(stream, after=complete_to, subject=subject):
            newest[record.subject] = record
        complete_to, last_seq = last_seq, (await event_log.stream_state(stream)).last_seq
        if last_seq == complete_to:
            return newest
    raise Unavailable(f"{stream} is written faster than it can be read", retry_after_s=1.0)
