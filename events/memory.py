"""The log in memory, for tests. It meets the same contract as JetStream; nothing survives the process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

from events.errors import Conflict, StorageFull
from events.log import Entry, Record, StreamState, check_batch, require_reached
from events.streams import STREAMS, StreamName, StreamSpec


class MemoryEventLog:
    """An `EventLog` of plain lists.

    clock: source of `Record.timestamp`
    specs: how the streams store
    """

    def __init__(
        self,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        specs: Mapping[StreamName, StreamSpec] = STREAMS,
    ) -> None:
        self._clock = clock
        self._specs = specs
        self._created = clock()
        self._records: dict[StreamName, list[Record]] = {name: [] for name in STREAMS}
        self._last: dict[StreamName, int] = dict.fromkeys(STREAMS, 0)
        self._seqs: dict[tuple[StreamName, str], int] = {}
        self._grown = asyncio.Condition()
        self._consumers: dict[tuple[StreamName, str], _DurableConsumer] = {}

    async def append(self, stream: StreamName, entry: Entry, *, expected_last_seq: int | None = None) -> int:
        stored_seq = self._seqs.get((stream, entry.msg_id))
        if stored_seq is not None:
            return stored_seq
        if expected_last_seq is not None and expected_last_seq != self._last[stream]:
            raise Conflict(
                f"{stream} moved on", field="expected_last_seq", value=expected_last_seq, actual=self._last[stream]
            )
        return await self.append_batch(stream, [entry])

    async def append_batch(self, stream: StreamName, entries: Sequence[Entry]) -> int:
        check_batch(stream, entries)
        stored_seq = self._seqs.get((stream, entries[-1].msg_id))
        if stored_seq is not None:
            return stored_seq
        records = self._records[stream]
        last = await self.last(stream, [entry.subject for entry in entries])
        for entry in entries:
            expected, actual = entry.expected_subject_seq, last[entry.subject].seq if entry.subject in last else 0
            if expected not in (None, actual):
                raise Conflict(f"{entry.subject} moved on", field="expected_subject_seq", value=expected, actual=actual)
        for entry in entries:
            self._make_room(stream, entry)
            self._last[stream] += 1
            if entry.msg_id:
                self._seqs[stream, entry.msg_id] = self._last[stream]
            if self._specs[stream].compacted:
                records[:] = [r for r in records if r.subject != entry.subject]
            records.append(Record(stream, entry.subject, self._last[stream], self._clock(), entry.data, entry.msg_id))
        async with self._grown:
            self._grown.notify_all()
        return self._last[stream]

    async def stream_state(self, stream: StreamName) -> StreamState:
        records = self._records[stream]
        first = records[0].seq if records else self._last[stream] + 1
        return StreamState(self._last[stream], first, len(records), self._created, sum(map(_size, records)))

    async def last_seq(self, stream: StreamName, subject: str) -> int:
        return max((record.seq for record in self._matching(stream, 0, subject)), default=0)

    async def n_waiting(self, stream: StreamName, durable: str) -> int:
        consumer = self._consumers.get((stream, durable))
        return len(self._deliverable(stream, consumer)) if consumer is not None else 0

    async def counts(self, stream: StreamName, subjects: Sequence[str]) -> dict[str, int]:
        counts = {subject: len(self._matching(stream, 0, subject)) for subject in subjects}
        return {subject: n for subject, n in counts.items() if n}

    async def acknowledged(self, stream: StreamName, durable: str) -> int:
        consumer = self._consumers.get((stream, durable))
        if consumer is None:
            return 0
        waiting = (record.seq for record in self._records[stream] if record.seq not in consumer.acknowledged)
        return min(next(waiting, self._last[stream] + 1) - 1, max(consumer.acknowledged, default=0))

    async def purge(self, stream: StreamName, *, through: int, subject: str | None = None) -> None:
        removed = {r.seq for r in self._matching(stream, 0, subject) if r.seq <= through}
        self._records[stream] = [record for record in self._records[stream] if record.seq not in removed]

    async def get(self, stream: StreamName, seq: int) -> Record | None:
        return next((record for record in self._records[stream] if record.seq == seq), None)

    async def last(self, stream: StreamName, subjects: Sequence[str]) -> dict[str, Record]:
        wanted = set(subjects)
        return {record.subject: record for record in self._records[stream] if record.subject in wanted}

    async def read(self, stream: StreamName, *, after: int = 0, subject: str | None = None) -> AsyncIterator[Record]:
        for record in self._matching(stream, after, subject):
            yield record

    async def follow(self, stream: StreamName, *, after: int = 0, subject: str | None = None) -> AsyncIterator[Record]:
        require_reached(stream, self._last[stream], after)
        while True:
            for record in self._matching(stream, after, subject):
                after = record.seq
                yield record
            async with self._grown:
                await self._grown.wait_for(partial(self._matching, stream, after, subject))

    async def consume(self, stream: StreamName, durable: str) -> AsyncIterator[_MemoryDelivery]:
        consumer = self._consumers.setdefault((stream, durable), _DurableConsumer())
        consumer.handed_out.clear()
        while True:
            for record in self._deliverable(stream, consumer):
                consumer.handed_out.add(record.seq)
                yield _MemoryDelivery(record, consumer)
            async with self._grown:
                await self._grown.wait_for(partial(self._deliverable, stream, consumer))

    def lose(self, stream: StreamName, seq: int) -> None:
        """Drop a message, as a server with a damaged store does."""
        self._records[stream] = [record for record in self._records[stream] if record.seq != seq]

    async def close(self) -> None:
        return

    def _make_room(self, stream: StreamName, entry: Entry) -> None:
        """Remove the oldest messages until an entry fits. Raises StorageFull if the stream refuses more."""
        spec, records = self._specs[stream], self._records[stream]
        while records and (
            0 < spec.max_bytes < sum(map(_size, records)) + _size(entry) or 0 < spec.max_messages <= len(records)
        ):
            if spec.refuses_when_full:
                raise StorageFull(f"appending to {stream}: maximum bytes or messages exceeded")
            del records[0]

    def _deliverable(self, stream: StreamName, consumer: _DurableConsumer) -> list[Record]:
        finished = consumer.acknowledged | consumer.handed_out
        return [record for record in self._records[stream] if record.seq not in finished]

    def _matching(self, stream: StreamName, after: int, subject: str | None) -> list[Record]:
        return [r for r in self._records[stream] if r.seq > after and (subject is None or matches(subject, r.subject))]


class _DurableConsumer:
    def __init__(self) -> None:
        self.acknowledged: set[int] = set()
        self.handed_out: set[int] = set()


class _MemoryDelivery:
    def __init__(self, record: Record, consumer: _DurableConsumer) -> None:
        self.record = record
        self._consumer = consumer

    async def ack(self) -> None:
        self._consumer.acknowledged.add(self.record.seq)


def _size(message: Entry | Record) -> int:
    return len(message.subject) + len(message.data)


def matches(pattern: str, subject: str) -> bool:
    """NATS subject matching: `*` is one token, a final `>` is one or more."""
    expected, tokens = pattern.split("."), subject.split(".")
    if expected[-1] == ">":
        expected = expected[:-1]
        if len(tokens) <= len(expected):
            return False
        tokens = tokens[: len(expected)]
    return len(expected) == len(tokens) and all(w in ("*", g) for w, g in zip(expected, tokens, strict=True))
