"""The contract of a log: the adapter in memory and JetStream on a real nats-server both meet it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

import msgspec
import pytest

from events.errors import Conflict, Corrupt, InvalidInput, StorageFull
from events.log import Delivery, Entry, EventLog
from tests.factories import SMALL

pytestmark = pytest.mark.anyio
T = TypeVar("T")


async def take(source: AsyncIterator[T], n: int, timeout_s: float = 60.0) -> list[T]:
    items: list[T] = []
    async with asyncio.timeout(timeout_s):
        async for item in source:
            items.append(item)
            if len(items) == n:
                break
    return items


async def read_all(log: EventLog, subject: str | None = None, after: int = 0) -> list[tuple[int, bytes]]:
    return [(r.seq, r.data) async for r in log.read("CONTROL", after=after, subject=subject)]


async def test_appended_messages_are_read_in_order_with_rising_sequences(event_log: EventLog) -> None:
    seqs = [await event_log.append("CONTROL", Entry("control.a", f"{i}".encode())) for i in range(3)]
    assert seqs == [1, 2, 3]
    assert await read_all(event_log) == [(1, b"0"), (2, b"1"), (3, b"2")]


async def test_reading_starts_after_a_sequence_and_keeps_to_a_subject(event_log: EventLog) -> None:
    for subject in ("control.a", "control.b", "control.a"):
        await event_log.append("CONTROL", Entry(subject, subject.encode()))
    assert await read_all(event_log, "control.a") == [(1, b"control.a"), (3, b"control.a")]
    assert await read_all(event_log, "control.a", after=1) == [(3, b"control.a")]


async def test_reading_an_empty_stream_ends_at_once(event_log: EventLog) -> None:
    async with asyncio.timeout(60):
        assert await read_all(event_log) == []
        assert await read_all(event_log, "control.nobody", after=7) == []


async def test_an_exact_retry_is_stored_once(event_log: EventLog) -> None:
    entry = Entry("control.a", b"x", "id-1")
    assert await event_log.append("CONTROL", entry) == await event_log.append("CONTROL", entry) == 1
    assert len(await read_all(event_log)) == 1


async def test_an_exact_retry_with_an_expectation_is_no_conflict(event_log: EventLog) -> None:
    entry = Entry("control.a", b"x", "id-1")
    assert await event_log.append("CONTROL", entry, expected_last_seq=0) == 1
    assert await event_log.append("CONTROL", entry, expected_last_seq=0) == 1


async def test_a_stale_expectation_is_a_conflict_that_names_the_sequence(event_log: EventLog) -> None:
    await event_log.append("CONTROL", Entry("control.a", b"x"))
    with pytest.raises(Conflict) as conflict:
        await event_log.append("CONTROL", Entry("control.b", b"y"), expected_last_seq=0)
    assert conflict.value.actual == 1
    with pytest.raises(Conflict):
        await event_log.append("CONTROL", Entry("control.a", b"y", expected_subject_seq=0))
    assert await event_log.append("CONTROL", Entry("control.b", b"y", expected_subject_seq=0)) == 2


async def test_a_batch_with_a_stale_expectation_is_not_stored_at_all(event_log: EventLog) -> None:
    await event_log.append_batch("CATALOG", [Entry("catalog.shop.1.a", b"1"), Entry("catalog.shop.1.b", b"1")])
    stale = [
        Entry("catalog.shop.1.a", b"2", expected_subject_seq=1),
        Entry("catalog.shop.1.b", b"2", expected_subject_seq=1),
        Entry("catalog.shop.1.c", b"2", expected_subject_seq=0),
    ]
    with pytest.raises(Conflict) as conflict:
        await event_log.append_batch("CATALOG", stale)
    assert (conflict.value.value, conflict.value.actual) == (1, 2)
    fresh = [stale[0], Entry("catalog.shop.1.b", b"2", "b", expected_subject_seq=2), stale[2]]
    fresh[2] = msgspec.structs.replace(stale[2], msg_id="c")
    assert await event_log.append_batch("CATALOG", fresh) == 5
    assert await event_log.append_batch("CATALOG", fresh) == 5, "a retry is stored once"
    assert [record.data async for record in event_log.read("CATALOG")] == [b"2"] * 3


async def test_the_last_messages_of_subjects_are_found_at_once(event_log: EventLog) -> None:
    names = [f"catalog.shop.1.{n}" for n in range(1000)]
    await event_log.append_batch("CATALOG", [Entry(name, b"1", f"first-{name}") for name in names])
    await event_log.append("CATALOG", Entry(names[3], b"2", "second"))
    found = await event_log.last("CATALOG", [*names[1:], "catalog.shop.1.none"])
    assert found.keys() == set(names[1:])
    record = found[names[3]]
    assert (record.seq, record.data, record.msg_id, record.subject) == (1001, b"2", "second", names[3])
    assert found[names[4]].seq == 5
    assert await event_log.last("CATALOG", ["catalog.shop.1.none"]) == {}


async def test_of_many_writers_with_one_expectation_exactly_one_wins(event_log: EventLog) -> None:
    async def write(i: int) -> bool:
        try:
            await event_log.append("CONTROL", Entry("control.a", b"x", f"id-{i}"), expected_last_seq=0)
        except Conflict:
            return False
        return True

    assert sum(await asyncio.gather(*(write(i) for i in range(20)))) == 1


async def test_a_batch_is_stored_whole_on_consecutive_sequences(event_log: EventLog) -> None:
    entries = [Entry(f"catalog.shop.1.{i}", f"{i}".encode()) for i in range(50)]
    assert await event_log.append_batch("CATALOG", entries) == 50
    assert [r.data async for r in event_log.read("CATALOG")] == [entry.data for entry in entries]


async def test_an_exact_retry_of_a_batch_is_stored_once_also_where_part_of_it_was_replaced(event_log: EventLog) -> None:
    batch = [Entry(f"catalog.shop.1.{i}", b"x", f"id-{i}") for i in range(3)]
    assert await event_log.append_batch("CATALOG", batch) == 3
    assert await event_log.append_batch("CATALOG", batch) == 3
    await event_log.append("CATALOG", Entry("catalog.shop.1.1", b"newer", "other"))
    assert await event_log.append_batch("CATALOG", batch) == 3
    assert [r.data async for r in event_log.read("CATALOG")] == [b"x", b"x", b"newer"]


async def test_a_compacted_stream_keeps_the_newest_message_of_a_subject(event_log: EventLog) -> None:
    await event_log.append_batch("CATALOG", [Entry("catalog.s.1.a", b"1"), Entry("catalog.s.1.b", b"2")])
    await event_log.append_batch("CATALOG", [Entry("catalog.s.1.a", b"3"), Entry("catalog.s.1.a", b"4")])
    assert [(r.seq, r.data) async for r in event_log.read("CATALOG")] == [(2, b"2"), (4, b"4")]
    stream_state = await event_log.stream_state("CATALOG")
    assert (stream_state.last_seq, stream_state.count) == (4, 2)


@pytest.mark.parametrize("n", [0, 1001])
async def test_a_batch_out_of_its_limits_is_refused(event_log: EventLog, n: int) -> None:
    with pytest.raises(InvalidInput):
        await event_log.append_batch("CATALOG", [Entry("catalog.s.1.a", b"x")] * n)


async def test_a_message_over_the_streams_limit_is_refused(event_log: EventLog) -> None:
    with pytest.raises(InvalidInput):
        await event_log.append("INGEST", Entry("ingest.shop", b"x" * 70_000))


async def test_following_gives_what_is_stored_and_then_what_comes(event_log: EventLog) -> None:
    await event_log.append("CONTROL", Entry("control.a", b"old"))
    following = event_log.follow("CONTROL")
    first = asyncio.create_task(take(following, 3))
    await asyncio.sleep(0)
    for data in (b"new", b"newer"):
        await event_log.append("CONTROL", Entry("control.a", data))
    assert [r.data for r in await first] == [b"old", b"new", b"newer"]


async def test_a_durable_consumer_is_handed_again_what_it_did_not_acknowledge(event_log: EventLog) -> None:
    for i in range(3):
        await event_log.append("INGEST", Entry("ingest.shop", f"{i}".encode()))
    deliveries: list[Delivery] = await take(event_log.consume("INGEST", "worker"), 3, timeout_s=120.0)
    assert [d.record.data for d in deliveries] == [b"0", b"1", b"2"]
    await deliveries[0].ack()
    await deliveries[2].ack()
    consuming = event_log.consume("INGEST", "worker")
    again: list[Delivery] = await take(consuming, 1, timeout_s=120.0)
    assert again[0].record.data == b"1"
    await again[0].ack()
    await event_log.append("INGEST", Entry("ingest.shop", b"3"))
    last: list[Delivery] = await take(consuming, 1, timeout_s=120.0)
    assert last[0].record.data == b"3", "what was acknowledged is not handed out again"


async def test_what_a_durable_consumer_was_not_handed_yet_is_counted(event_log: EventLog) -> None:
    assert await event_log.n_waiting("INGEST", "worker") == 0
    await event_log.append("INGEST", Entry("ingest.shop", b"0"))
    consuming = event_log.consume("INGEST", "worker")
    (first,) = await take(consuming, 1, timeout_s=120.0)
    assert await event_log.n_waiting("INGEST", "worker") == 0, "handed out, and not acknowledged"
    for i in range(3):
        await event_log.append("INGEST", Entry("ingest.shop", f"{i}".encode()))
    assert await event_log.n_waiting("INGEST", "worker") == 3
    await first.ack()


async def test_the_newest_sequence_of_a_subject_is_found(event_log: EventLog) -> None:
    assert await event_log.last_seq("CATALOG", "catalog.shop.1.*") == 0
    entries = [Entry(f"catalog.{index}.1.{i}", b"x") for index in ("shop", "other") for i in range(3)]
    await event_log.append_batch("CATALOG", entries)
    assert await event_log.last_seq("CATALOG", "catalog.shop.1.*") == 3
    assert await event_log.last_seq("CATALOG", "catalog.other.1.*") == 6
    assert await event_log.last_seq("CATALOG", "catalog.shop.1.0") == 1
    assert await event_log.last_seq("CATALOG", "catalog.shop.2.*") == 0


async def test_a_slow_reader_gets_every_message_of_a_long_stream(event_log: EventLog) -> None:
    for first in range(0, 4000, 500):
        entries = [Entry(f"catalog.shop.1.{i}", b"x" * 1000) for i in range(first, first + 500)]
        await event_log.append_batch("CATALOG", entries)
    for reading in (event_log.read("CATALOG"), event_log.follow("CATALOG")):
        seqs: list[int] = []
        async for record in reading:
            if not seqs:
                await asyncio.sleep(0.3)  # messages that are sent meanwhile have to wait
            seqs.append(record.seq)
            if record.seq == 4000:
                break
        assert seqs == list(range(1, 4001))


async def test_following_past_the_end_of_a_stream_is_corrupt(event_log: EventLog) -> None:
    await event_log.append("CONTROL", Entry("control.a", b"x"))
    with pytest.raises(Corrupt, match="ends at 1, but 3"):
        await take(event_log.follow("CONTROL", after=3), 1)


async def test_a_message_is_found_by_its_sequence_and_none_where_there_is_none(event_log: EventLog) -> None:
    await event_log.append("CONTROL", Entry("control.a", b"x", "id-1"))
    by_seq = await event_log.get("CONTROL", 1)
    assert by_seq is not None
    assert (by_seq.subject, by_seq.seq, by_seq.data, by_seq.msg_id) == ("control.a", 1, b"x", "id-1")
    (read,) = [record async for record in event_log.read("CONTROL")]
    assert abs(by_seq.timestamp - read.timestamp) < timedelta(milliseconds=1)
    assert await event_log.get("CONTROL", 2) is None


async def test_a_stream_that_refuses_more_than_its_bytes_keeps_what_it_acknowledged(small_log: EventLog) -> None:
    async def fill() -> None:
        while True:
            await small_log.append("INGEST", Entry("ingest.shop", b"x" * 1000))

    with pytest.raises(StorageFull, match="maximum bytes"):
        await fill()
    n_stored = (await small_log.stream_state("INGEST")).last_seq
    assert 0 < n_stored <= SMALL["INGEST"].max_bytes // 1000
    stream_state = await small_log.stream_state("INGEST")
    assert (stream_state.first_seq, stream_state.count) == (1, n_stored)
    assert stream_state.size_bytes <= SMALL["INGEST"].max_bytes
    assert SMALL["INGEST"].is_full(stream_state.size_bytes, stream_state.count)
    await small_log.purge("INGEST", through=1)
    assert await small_log.append("INGEST", Entry("ingest.shop", b"x" * 1000, "once more")) == n_stored + 1


async def test_a_stream_that_refuses_more_than_its_messages_says_so(small_log: EventLog) -> None:
    limit = SMALL["INGEST"].max_messages
    for _ in range(limit):
        await small_log.append("INGEST", Entry("ingest.shop", b"x"))
    with pytest.raises(StorageFull, match="messages"):
        await small_log.append("INGEST", Entry("ingest.shop", b"x"))
    assert (await small_log.stream_state("INGEST")).count == limit


async def test_a_stream_that_does_not_refuse_loses_its_oldest_messages(small_log: EventLog) -> None:
    for i in range(100):
        await small_log.append("DEAD", Entry(f"dead.nats.{i}", b"x" * 1000))
    stream_state = await small_log.stream_state("DEAD")
    assert stream_state.last_seq == 100
    assert 0 < stream_state.count == 101 - stream_state.first_seq
    assert stream_state.size_bytes <= SMALL["DEAD"].max_bytes


async def test_messages_are_purged_up_to_a_sequence_and_by_subject(event_log: EventLog) -> None:
    for name in ("films.1.a", "shop.2.a", "films.1.b", "films.3.a", "shop.2.b", "films.1.c"):
        await event_log.append("CATALOG", Entry(f"catalog.{name}", b"x"))
    following = event_log.follow("CATALOG")
    assert (await anext(following)).seq == 1
    await event_log.purge("CATALOG", through=0, subject="catalog.films.1.*")
    await event_log.purge("CATALOG", through=0)
    assert (await event_log.stream_state("CATALOG")).count == 6
    await event_log.purge("CATALOG", through=5, subject="catalog.films.1.*")
    assert [record.seq async for record in event_log.read("CATALOG")] == [2, 4, 5, 6]
    await event_log.purge("CATALOG", through=6, subject="catalog.films.1.*")
    await event_log.purge("CATALOG", through=6, subject="catalog.films.1.*")
    assert [record.seq async for record in event_log.read("CATALOG")] == [2, 4, 5]
    stream_state = await event_log.stream_state("CATALOG")
    assert (stream_state.first_seq, stream_state.last_seq, stream_state.count) == (2, 6, 3)
    assert await event_log.append("CATALOG", Entry("catalog.films.7.a", b"x")) == 7
    assert await event_log.last_seq("CATALOG", "catalog.films.1.*") == 0


async def test_stored_messages_are_counted_by_subject(event_log: EventLog) -> None:
    for name in ("films.1.a", "shop.2.a", "films.1.b", "films.1.a"):
        await event_log.append("CATALOG", Entry(f"catalog.{name}", b"x"))
    subjects = ["catalog.films.1.*", "catalog.shop.2.*", *(f"catalog.films.{seq}.*" for seq in range(5, 205))]
    assert await event_log.counts("CATALOG", subjects) == {"catalog.films.1.*": 2, "catalog.shop.2.*": 1}
    assert await event_log.counts("CATALOG", subjects[2:]) == {}
    assert await event_log.counts("CATALOG", []) == {}


async def test_a_purge_during_a_read_is_no_loss(event_log: EventLog) -> None:
    for first in range(0, 3000, 500):
        await event_log.append_batch(
            "CATALOG", [Entry(f"catalog.films.1.{i}", b"x" * 1000) for i in range(first, first + 500)]
        )
    await event_log.append("CATALOG", Entry("catalog.shop.2.a", b"x"))
    reading = event_log.read("CATALOG")
    assert (await anext(reading)).seq == 1
    await event_log.purge("CATALOG", through=3000, subject="catalog.films.1.*")
    async with asyncio.timeout(60):
        *_, last = [record.seq async for record in reading]
    assert last == 3001


async def test_what_a_durable_consumer_has_acknowledged_without_a_gap_is_known(event_log: EventLog) -> None:
    assert await event_log.acknowledged("INGEST", "worker") == 0
    for i in range(4):
        await event_log.append("INGEST", Entry("ingest.shop", f"{i}".encode()))
    deliveries: list[Delivery] = await take(event_log.consume("INGEST", "worker"), 4, timeout_s=120.0)
    assert await event_log.acknowledged("INGEST", "worker") == 0
    await deliveries[0].ack()
    await deliveries[2].ack()
    await until(lambda: event_log.acknowledged("INGEST", "worker"), 1)
    await deliveries[1].ack()
    await until(lambda: event_log.acknowledged("INGEST", "worker"), 3)


async def until(look: Callable[[], Awaitable[int]], expected: int) -> None:
    async with asyncio.timeout(60):
        while await look() != expected:  # noqa: ASYNC110 - an acknowledgement is not answered
            await asyncio.sleep(0.01)
