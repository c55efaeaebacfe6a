"""The writer of BEHAVIOR: each interaction is stored once, each caller answered, and dropped rankings counted."""

from __future__ import annotations

import asyncio

import pytest

from events.codec import decode_behavior
from events.errors import Overloaded, StorageFull, Unavailable
from events.log import Entry, Record
from events.memory import MemoryEventLog
from events.streams import StreamName
from searchsvc.behavior.state import BehaviorState
from searchsvc.behavior.writer import APPEND_ATTEMPTS, MAX_WAITING_INTERACTIONS, BehaviorWriter
from tests.factories import click, ranking

pytestmark = pytest.mark.anyio


class FailingLog(MemoryEventLog):
    """Raises Unavailable for the first appends.

    n_failures: how many are left.
    """

    def __init__(self, n_failures: int) -> None:
        super().__init__()
        self.n_failures = n_failures

    async def append(self, stream: StreamName, entry: Entry, **expectations: int | None) -> int:
        if self.n_failures > 0:
            self.n_failures -= 1
            raise Unavailable("away")
        return await super().append(stream, entry, **expectations)


class ForgetfulLog(MemoryEventLog):
    """Stores the first messages, and raises Unavailable all the same: the acknowledgement is lost.

    n_lost: how many are left.
    is_full_from: the append, from 1, from which on StorageFull is raised.
    """

    def __init__(self, n_lost: int) -> None:
        super().__init__()
        self.n_lost = n_lost
        self.is_full_from = 100
        self._n = 0

    async def append(self, stream: StreamName, entry: Entry, **expectations: int | None) -> int:
        self._n += 1
        if self._n >= self.is_full_from:
            raise StorageFull("full")
        seq = await super().append(stream, entry, **expectations)
        if self.n_lost > 0:
            self.n_lost -= 1
            raise Unavailable("away")
        return seq


async def stored_records(log: MemoryEventLog) -> list[Record]:
    return [record async for record in log.read("BEHAVIOR")]


async def stored_ids(log: MemoryEventLog) -> list[str]:
    return [event.id for record in await stored_records(log) for event in decode_behavior(record.data).events]


def new_state() -> BehaviorState:
    return BehaviorState(n_rankings=100, n_events=100)


async def write_all(log: MemoryEventLog, outbox_size: int, n_rankings: int, n_clicks: int) -> BehaviorWriter:
    """Write rankings q0, q1 ... and clicks e0, e1 ..., and close the writer."""
    writer = BehaviorWriter(log, new_state(), outbox_size=outbox_size)
    for i in range(n_rankings):
        writer.offer(ranking(f"q{i}"))
    running = asyncio.create_task(writer.run())
    await asyncio.gather(*(writer.append([click(f"e{i}", f"q{i}")]) for i in range(n_clicks)))
    writer.close()
    await running
    return writer


async def append_before_the_log_is_read(
    writer: BehaviorWriter, log: MemoryEventLog, state: BehaviorState, *event_ids: str
) -> None:
    """Send clicks, which wait until the state has read what the log holds."""
    appending = asyncio.create_task(writer.append([click(event_id) for event_id in event_ids]))
    await asyncio.sleep(0.1)
    assert not appending.done()
    for record in await stored_records(log):
        state.fold(decode_behavior(record.data).events, record.seq)
    await appending


async def test_many_events_share_a_message_and_rankings_go_before_their_clicks() -> None:
    log = MemoryEventLog()
    writer = await write_all(log, 100, 30, 20)
    assert len(await stored_records(log)) <= 2
    assert await stored_ids(log) == [f"q{i}" for i in range(30)] + [f"e{i}" for i in range(20)]
    assert (writer.counts.written, writer.counts.shed, writer.counts.queued) == (50, 0, 0)


async def test_rankings_past_the_outbox_size_are_shed_and_counted() -> None:
    writer = await write_all(MemoryEventLog(), 10, 25, 1)
    assert (writer.counts.written, writer.counts.shed) == (11, 15)


async def test_a_log_that_is_away_briefly_loses_nothing_and_a_longer_outage_is_reported() -> None:
    log = FailingLog(2)
    assert (await write_all(log, 10, 3, 2)).counts.written == 5
    assert len(await stored_records(log)) == 1
    with pytest.raises(Unavailable):
        await write_all(FailingLog(100), 10, 3, 2)


async def test_an_interaction_sent_several_times_is_stored_once() -> None:
    log = MemoryEventLog()
    writer = BehaviorWriter(log, new_state(), outbox_size=10)
    running = asyncio.create_task(writer.run())
    # By two callers at once, twice in one batch, and again after it was stored.
    await asyncio.gather(writer.append([click("a")]), writer.append([click("a"), click("b"), click("b")]))
    await writer.append([click("b"), click("c")])
    writer.close()
    await running
    assert sorted(await stored_ids(log)) == ["a", "b", "c"]


async def test_an_interaction_that_could_not_be_stored_can_be_sent_again() -> None:
    log = FailingLog(3)
    writer = BehaviorWriter(log, new_state(), outbox_size=10)
    running = asyncio.create_task(writer.run())
    errors = await asyncio.gather(writer.append([click("a")]), writer.append([click("a")]), return_exceptions=True)
    assert [type(error) for error in errors] == [Unavailable, Unavailable]
    await writer.append([click("a")])
    writer.close()
    await running
    assert len(await stored_records(log)) == 1


async def test_an_interaction_whose_acknowledgement_was_lost_is_stored_once_although_its_message_is_read_late() -> None:
    log, state = ForgetfulLog(APPEND_ATTEMPTS), new_state()
    writer = BehaviorWriter(log, state, outbox_size=10)
    running = asyncio.create_task(writer.run())
    with pytest.raises(Unavailable):
        await writer.append([click("a")])
    await append_before_the_log_is_read(writer, log, state, "a", "b")
    writer.close()
    await running
    assert await stored_ids(log) == ["a", "b"]


async def test_an_interaction_is_stored_once_although_the_disk_was_full_after_a_write_that_timed_out() -> None:
    log, state = ForgetfulLog(1), new_state()
    writer = BehaviorWriter(log, state, outbox_size=10)
    running = asyncio.create_task(writer.run())
    log.is_full_from = 2
    with pytest.raises(StorageFull):
        await writer.append([click("a")])
    log.is_full_from = 100
    await append_before_the_log_is_read(writer, log, state, "a")
    writer.close()
    await running
    assert await stored_ids(log) == ["a"]


async def test_a_process_does_not_store_again_what_the_one_before_it_stored() -> None:
    log = MemoryEventLog()
    await write_all(log, 10, 0, 1)
    state = new_state()
    writer = BehaviorWriter(log, state, outbox_size=10)
    running = asyncio.create_task(writer.run())
    await append_before_the_log_is_read(writer, log, state, "e0")
    writer.close()
    await running
    assert await stored_ids(log) == ["e0"]


async def test_an_unforeseen_error_reaches_the_caller_and_the_writer_goes_on() -> None:
    failures = [True]

    async def before_write() -> None:
        if failures.pop() if failures else False:
            raise ZeroDivisionError("unforeseen")

    log = MemoryEventLog()
    writer = BehaviorWriter(log, new_state(), outbox_size=10, before_write=before_write)
    running = asyncio.create_task(writer.run())
    with pytest.raises(Unavailable, match="unforeseen"):
        await writer.append([click("a")])
    await writer.append([click("a")])
    writer.close()
    await running
    assert len(await stored_records(log)) == 1


async def test_rankings_too_large_for_one_message_are_spread_over_several() -> None:
    log = MemoryEventLog()
    writer = BehaviorWriter(log, new_state(), outbox_size=100)
    ids = [f"{i:0500d}" for i in range(1000)]  # half a megabyte a ranking, eight to a message
    for i in range(40):
        writer.offer(ranking(f"q{i}", ids=ids))
    running = asyncio.create_task(writer.run())
    async with asyncio.timeout(60):  # a writer that stopped would leave its callers waiting
        await asyncio.gather(*(writer.append([click(f"e{i}", f"q{i}")]) for i in range(20)))
        writer.close()
        await running
    events = await stored_ids(log)
    assert len(await stored_records(log)) > 2
    assert sorted(events) == sorted([f"q{i}" for i in range(40)] + [f"e{i}" for i in range(20)])
    assert events.index("q39") < events.index("e0")
    assert (writer.counts.written, writer.counts.shed) == (60, 0)


async def test_too_many_waiting_interactions_and_a_closed_writer_are_refused() -> None:
    writer = BehaviorWriter(MemoryEventLog(), new_state(), outbox_size=10)
    with pytest.raises(Overloaded, match="wait to be written"):
        await writer.append([click(f"e{i}") for i in range(MAX_WAITING_INTERACTIONS + 1)])
    writer.close()
    with pytest.raises(Unavailable, match="stopping"):
        await writer.append([click("a")])
