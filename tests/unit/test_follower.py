"""BEHAVIOR folded once, from snapshots and the log: nothing counts twice, nothing waits for ever, no loss is silent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from events.codec import decode_dead, encode
from events.errors import Corrupt, Unavailable
from events.log import Entry, Record
from events.memory import MemoryEventLog
from events.snapshot import Checkpoint, Snapshots
from events.streams import BEHAVIOR_SUBJECT, StreamName
from events.types import BehaviorBatch, BehaviorEvent, EventRefused
from searchsvc.behavior.follower import BehaviorFollower
from searchsvc.behavior.state import BehaviorState
from searchsvc.behavior.worker import Worker
from tests.factories import NOW, click, ranking
from tuning.join import Clickthrough, ClickthroughJoin, Orphan

WAIT_S = 60.0


class Node:
    """One service's share in BEHAVIOR: memory, worker and follower over one log and one folder."""

    def __init__(self, log: MemoryEventLog, folder: Path, join: ClickthroughJoin | None = None) -> None:
        self.now = NOW
        self.memory = BehaviorState(n_rankings=100, n_events=100)
        join = join or ClickthroughJoin(wait=timedelta(seconds=WAIT_S))
        self.worker = Worker(log, self.memory.rankings, join, clock=lambda: self.now)
        self.follower = BehaviorFollower(log, self.memory, self.worker, folder)
        self._log = log

    async def run(self, *, until: int) -> None:
        """Follow until message `until` is folded; then save, as a stop does."""
        self.follower.restore()
        running = asyncio.create_task(self.follower.run())
        async with asyncio.timeout(10):
            while not ((self.follower.caught_up.is_set() and self.memory.seq >= until) or running.done()):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait([running])
        if not running.cancelled():
            await running
        await self.follower.save()


async def dead(log: MemoryEventLog) -> list[EventRefused]:
    events = [decode_dead(record.data) async for record in log.read("DEAD")]
    return [event for event in events if isinstance(event, EventRefused)]


async def append(log: MemoryEventLog, *events: BehaviorEvent) -> None:
    await log.append("BEHAVIOR", Entry(BEHAVIOR_SUBJECT, encode(BehaviorBatch(events=list(events)))))


def test_a_restart_goes_on_from_its_snapshot_and_counts_nothing_twice(tmp_path: Path) -> None:
    async def run() -> None:
        log = MemoryEventLog()
        await append(log, ranking("q1"), click("e1", "q1"), click("e2", "later"))
        first = Node(log, tmp_path)
        await first.run(until=1)
        assert first.worker.n_joined == 1
        # Stored a second time, as after an append whose outcome was lost; a click on a ranking from before the restart;
        # and the ranking that e2 waits for.
        await append(log, click("e1", "q1"))
        await append(log, click("e3", "q1"), ranking("later"))
        second = Node(log, tmp_path)
        await second.run(until=3)
        assert (second.worker.n_joined, second.worker.n_orphaned) == (2, 0)
        assert second.memory.has_stored("e1")
        assert second.memory.rankings.contradiction("q1", "shop", "nope", None) is not None
        assert second.worker.unfinished() == []

    asyncio.run(run())


def test_what_waited_at_a_stop_is_given_up_after_it(tmp_path: Path) -> None:
    async def run() -> None:
        log = MemoryEventLog()
        await append(log, click("e1", "never"))
        await Node(log, tmp_path).run(until=1)
        again = Node(log, tmp_path)
        await again.run(until=1)
        again.now += timedelta(seconds=WAIT_S + 1)
        async with asyncio.timeout(10):
            await again.worker.expire()
        assert [event.id for event in await dead(log)] == ["e1"]
        assert again.worker.unfinished() == []

    asyncio.run(run())


def spoil(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 4
    path.write_bytes(content)


def spoil_the_beginning(path: Path) -> None:
    spoil(path, 3)


def spoil_the_end(path: Path) -> None:
    spoil(path, -3)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def of_another_schema(path: Path) -> None:
    other = Snapshots(path.parent, 99)
    other.save(Checkpoint("BEHAVIOR", NOW, 1, "x"), {"events": [b""]})


@pytest.mark.parametrize("spoil", [spoil_the_beginning, spoil_the_end, cut_short, of_another_schema])
def test_a_snapshot_in_doubt_is_discarded_and_the_log_gives_the_same(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    async def run() -> None:
        log = MemoryEventLog()
        await append(log, ranking("q1"), click("e1", "q1"), click("e2", None))
        await Node(log, tmp_path).run(until=1)
        (path,) = tmp_path.glob("*.snapshot")
        spoil(path)
        again = Node(log, tmp_path)
        await again.run(until=1)
        assert (again.memory.has_stored("e1"), again.memory.has_stored("e2")) == (True, True)
        assert again.worker.n_joined == 2

    asyncio.run(run())


def test_a_snapshot_with_any_byte_spoilt_is_discarded(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path, 1)
    path = snapshots.save(Checkpoint("BEHAVIOR", NOW, 7, "d"), {"a": [b"one", b"two"], "b": [b""]})
    whole = path.read_bytes()
    for place in range(len(whole)):
        spoil(path, place)
        assert snapshots.newest() is None, place
        path.write_bytes(whole)
    kept = snapshots.newest()
    assert kept is not None
    assert kept.parts == {"a": b"onetwo", "b": b""}


def test_a_state_restored_is_the_state_saved() -> None:
    memory = BehaviorState(n_rankings=10, n_events=10_000)
    events: Sequence[BehaviorEvent] = [ranking(f"q{i}") for i in range(12)] + [click(f"e{i}") for i in range(9_000)]
    memory.fold(events, 7)
    parts = {name: b"".join(pieces) for name, pieces in memory.parts().items()}
    again = BehaviorState(n_rankings=10, n_events=10_000)
    again.restore(parts, 7)
    assert {name: b"".join(pieces) for name, pieces in again.parts().items()} == parts
    assert again.fold(events, 7) == []
    assert [event.id for event in again.fold([*events, click("new")], 8) if event.id.startswith(("e", "new"))] == [
        "new"
    ]


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        ("end", "ends at 1, but 3 was read"),
        ("middle", "holds 2 messages between 1 and 3: 1 are missing"),
        ("changed", "BEHAVIOR 3 is another message"),
        ("whole", "is another message"),
    ],
)
def test_a_loss_is_named(tmp_path: Path, loss: str, said: str) -> None:
    async def run() -> None:
        log = MemoryEventLog(clock=lambda: NOW)
        for i in range(3):
            await append(log, click(f"e{i}", None))
        await Node(log, tmp_path).run(until=3)
        damaged = MemoryEventLog(clock=(lambda: NOW + timedelta(days=1)) if loss == "whole" else (lambda: NOW))
        for i in range(1 if loss == "end" else 3):
            await append(damaged, click(f"e{i}" if loss not in ("changed", "whole") else f"other{i}", None))
        if loss == "middle":
            damaged.lose("BEHAVIOR", 2)
        with pytest.raises(Corrupt, match=said):
            await Node(damaged, tmp_path).run(until=99)

    asyncio.run(run())


def test_a_hole_that_opens_while_following_is_named(tmp_path: Path) -> None:
    async def run() -> None:
        log = MemoryEventLog()
        node = Node(log, tmp_path)
        await append(log, click("e0", None))
        await node.run(until=1)
        for i in (1, 2):
            await append(log, click(f"e{i}", None))
        again = Node(log, tmp_path)
        again.follower.restore()
        running = asyncio.create_task(again.follower.run())
        async with asyncio.timeout(10):
            await again.follower.caught_up.wait()
        await append(log, click("e3", None))
        log.lose("BEHAVIOR", 4)
        await append(log, click("e4", None))
        with pytest.raises(Corrupt, match="4 to 4 are missing"):
            await running

    asyncio.run(run())


class Poisoned(ClickthroughJoin):
    """Breaks on one event until it is mended."""

    broken = True

    def apply(self, event: BehaviorEvent) -> list[Clickthrough | Orphan]:
        if event.id.startswith("poison") and self.broken:
            raise ZeroDivisionError("poison")
        return super().apply(event)


def test_poison_parks_what_follows_for_its_ranking_and_nothing_else_until_it_is_replayed(tmp_path: Path) -> None:
    async def run() -> None:
        log, join = MemoryEventLog(), Poisoned(wait=timedelta(seconds=WAIT_S))
        node = Node(log, tmp_path, join)
        await append(
            log, ranking("q1"), ranking("q2"), click("poison", "q1"), click("after", "q1"), click("other", "q2")
        )
        await node.run(until=1)
        assert node.worker.n_joined == 1, "only the click on the other ranking"
        await node.worker.expire()
        refused = await dead(log)
        assert [(one.id, one.key) for one in refused] == [("poison", "q1"), ("after", "q1")]
        assert "parked behind poison" in refused[1].reason
        join.broken = False
        again = [msgspec.structs.replace(click(f"{one.id}.r1", "q1"), replay_of=one.id) for one in refused]
        await node.worker.take(again, 0)
        assert node.worker.n_joined == 3

    asyncio.run(run())


def test_a_ranking_that_breaks_the_work_on_it_stops_nobody_else(tmp_path: Path) -> None:
    async def run() -> None:
        log, join = MemoryEventLog(), Poisoned(wait=timedelta(seconds=WAIT_S))
        node = Node(log, tmp_path, join)
        await append(log, ranking("poison"), ranking("q2"))
        await append(log, click("e1", "poison"), click("e2", "q2"))
        await node.run(until=2)
        assert node.worker.n_joined == 1
        await node.worker.expire()
        assert [one.id for one in await dead(log)] == ["e1"]

    asyncio.run(run())


class Away(MemoryEventLog):
    """Cannot be asked for single messages until it is back."""

    away = True

    async def get(self, stream: StreamName, seq: int) -> Record | None:
        if self.away:
            raise Unavailable("away")
        return await super().get(stream, seq)


def test_a_stop_while_the_worker_waits_for_the_log_loses_no_click(tmp_path: Path) -> None:
    async def run() -> None:
        log = Away(clock=lambda: NOW)
        await append(log, ranking("q1"))
        first = Node(log, tmp_path)
        await first.run(until=1)
        await append(log, click("e1", "q1"))
        # Its join does not hold q1 any more, and the log cannot be asked for it.
        second = Node(log, tmp_path)
        second.follower.restore()
        log.away = False
        running = asyncio.create_task(second.follower.run())
        await second.follower.caught_up.wait()
        log.away = True
        await append(log, click("e2", "q1"))
        third = Node(log, tmp_path)
        running.cancel()
        await asyncio.wait([running])
        await second.follower.save()
        third.follower.restore()
        log.away = False
        again = asyncio.create_task(third.follower.run())
        await third.follower.caught_up.wait()
        again.cancel()
        joined = second.worker.n_joined + third.worker.n_joined
        assert joined == 2

    asyncio.run(run())


def test_more_messages_than_are_remembered_after_a_snapshot_are_no_loss(tmp_path: Path) -> None:
    async def run() -> None:
        log = MemoryEventLog()
        await append(log, click("e0", None))
        await Node(log, tmp_path).run(until=1)
        for i in range(1, 251):  # a Node remembers 100
            await append(log, click(f"e{i}", None))
        again = Node(log, tmp_path)
        await again.run(until=251)
        assert again.worker.n_joined == 250

    asyncio.run(run())


def test_a_stream_whose_messages_have_all_left_by_age_is_caught_up(tmp_path: Path) -> None:
    async def run() -> None:
        log = MemoryEventLog()
        await append(log, click("e0", None))
        log.lose("BEHAVIOR", 1)
        node = Node(log, tmp_path)
        running = asyncio.create_task(node.follower.run())
        async with asyncio.timeout(5):
            await node.follower.caught_up.wait()
        running.cancel()

    asyncio.run(run())
