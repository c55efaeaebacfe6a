"""BEHAVIOR is folded once, from snapshots and the log; a loss is named."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from events.errors import Corrupt, LaterVersion, Unavailable
from events.log import Entry, Record
from events.memory import MemoryEventLog
from events.snapshot import Checkpoint, Snapshots
from events.streams import BEHAVIOR_SUBJECT, StreamName
from tests.factories import NOW, click, ranking
from tests.unit.behavior.follower_node import N_KEPT, WAIT_S, FollowerNode, append, dead_letters

pytestmark = pytest.mark.anyio


async def test_a_restart_continues_from_its_snapshot_and_counts_nothing_twice(tmp_path: Path) -> None:
    log = MemoryEventLog()
    await append(log, ranking("q1"), click("e1", "q1"), click("e2", "later"))
    first = FollowerNode(log, tmp_path)
    await first.run(until=1)
    assert first.worker.n_joined == 1
    # e1 again, as after an append whose outcome was lost; a click on a ranking from before the restart; and the
    # ranking that e2 waits for.
    await append(log, click("e1", "q1"))
    await append(log, click("e3", "q1"), ranking("later"))
    second = FollowerNode(log, tmp_path)
    await second.run(until=3)
    assert (second.worker.n_joined, second.worker.n_orphaned) == (2, 0)
    assert second.state.has_stored("e1")
    assert second.state.rankings.contradiction("q1", "shop", "nope", None) is not None
    assert second.worker.unfinished() == []


async def test_an_interaction_that_waited_at_a_stop_expires_after_the_restart(tmp_path: Path) -> None:
    log = MemoryEventLog()
    await append(log, click("e1", "never"))
    await FollowerNode(log, tmp_path).run(until=1)
    restarted = FollowerNode(log, tmp_path)
    await restarted.run(until=1)
    restarted.now += timedelta(seconds=WAIT_S + 1)
    async with asyncio.timeout(60):
        await restarted.worker.expire()
    assert [event.id for event in await dead_letters(log)] == ["e1"]
    assert restarted.worker.unfinished() == []


def flip_bit(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 4
    path.write_bytes(content)


def damage_start(path: Path) -> None:
    flip_bit(path, 3)


def damage_end(path: Path) -> None:
    flip_bit(path, -3)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def add_snapshot_of_another_schema(path: Path) -> None:
    other = Snapshots(path.parent, 99)
    other.save(Checkpoint("BEHAVIOR", NOW, 1, "x"), {"events": [b""]})


@pytest.mark.parametrize("damage", [damage_start, damage_end, truncate, add_snapshot_of_another_schema])
async def test_a_damaged_snapshot_is_discarded_and_the_log_gives_the_same_state(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    log = MemoryEventLog()
    await append(log, ranking("q1"), click("e1", "q1"), click("e2", None))
    await FollowerNode(log, tmp_path).run(until=1)
    (path,) = tmp_path.glob("*.snapshot")
    damage(path)
    restarted = FollowerNode(log, tmp_path)
    await restarted.run(until=1)
    assert (restarted.state.has_stored("e1"), restarted.state.has_stored("e2")) == (True, True)
    assert restarted.worker.n_joined == 2


def test_a_snapshot_with_any_damaged_byte_is_discarded(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path, 1)
    path = snapshots.save(Checkpoint("BEHAVIOR", NOW, 7, "d"), {"a": [b"one", b"two"], "b": [b""]})
    intact = path.read_bytes()
    for position in range(len(intact)):
        flip_bit(path, position)
        assert snapshots.newest() is None, position
        path.write_bytes(intact)
    snapshot = snapshots.newest()
    assert snapshot is not None
    assert snapshot.parts == {"a": b"onetwo", "b": b""}


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ("end", "ends at 1, but 3 was read"),
        ("middle", "holds 2 messages between 1 and 3: 1 are missing"),
        ("changed", "BEHAVIOR 3 is not the message that was read before"),
        ("whole", "is not the message that was read before"),
    ],
)
async def test_a_loss_is_named(tmp_path: Path, loss: str, message: str) -> None:
    log = MemoryEventLog(clock=lambda: NOW)
    for i in range(3):
        await append(log, click(f"e{i}", None))
    await FollowerNode(log, tmp_path).run(until=3)
    damaged = MemoryEventLog(clock=(lambda: NOW + timedelta(days=1)) if loss == "whole" else (lambda: NOW))
    for i in range(1 if loss == "end" else 3):
        await append(damaged, click(f"e{i}" if loss not in ("changed", "whole") else f"other{i}", None))
    if loss == "middle":
        damaged.lose("BEHAVIOR", 2)
    with pytest.raises(Corrupt, match=message):
        await FollowerNode(damaged, tmp_path).run(until=99)


async def test_a_gap_that_opens_while_following_is_named(tmp_path: Path) -> None:
    log = MemoryEventLog()
    node = FollowerNode(log, tmp_path)
    await append(log, click("e0", None))
    await node.run(until=1)
    for i in (1, 2):
        await append(log, click(f"e{i}", None))
    restarted = FollowerNode(log, tmp_path)
    restarted.follower.restore()
    running = asyncio.create_task(restarted.follower.run())
    async with asyncio.timeout(60):
        await restarted.follower.caught_up.wait()
    await append(log, click("e3", None))
    log.lose("BEHAVIOR", 4)
    await append(log, click("e4", None))
    with pytest.raises(Corrupt, match="4 to 4 are missing"):
        await running


class PartlyAwayLog(MemoryEventLog):
    """Raises Unavailable for single messages while `away` is set."""

    away = True

    async def get(self, stream: StreamName, seq: int) -> Record | None:
        if self.away:
            raise Unavailable("away")
        return await super().get(stream, seq)


async def test_a_stop_while_the_worker_waits_for_the_log_loses_no_click(tmp_path: Path) -> None:
    log = PartlyAwayLog(clock=lambda: NOW)
    await append(log, ranking("q1"))
    first = FollowerNode(log, tmp_path)
    await first.run(until=1)
    await append(log, click("e1", "q1"))
    # The join of the second node does not hold q1, and the log does not give it.
    second = FollowerNode(log, tmp_path)
    second.follower.restore()
    log.away = False
    running = asyncio.create_task(second.follower.run())
    await second.follower.caught_up.wait()
    log.away = True
    await append(log, click("e2", "q1"))
    third = FollowerNode(log, tmp_path)
    running.cancel()
    await asyncio.wait([running])
    await second.follower.save()
    third.follower.restore()
    log.away = False
    running = asyncio.create_task(third.follower.run())
    await third.follower.caught_up.wait()
    running.cancel()
    assert second.worker.n_joined + third.worker.n_joined == 2


async def test_more_messages_after_a_snapshot_than_the_state_keeps_are_no_loss(tmp_path: Path) -> None:
    n_messages = 2 * N_KEPT + 50
    log = MemoryEventLog()
    await append(log, click("e0", None))
    await FollowerNode(log, tmp_path).run(until=1)
    for i in range(1, n_messages + 1):
        await append(log, click(f"e{i}", None))
    restarted = FollowerNode(log, tmp_path)
    await restarted.run(until=n_messages + 1)
    assert restarted.worker.n_joined == n_messages


async def test_a_stream_whose_messages_have_all_expired_is_caught_up(tmp_path: Path) -> None:
    log = MemoryEventLog()
    await append(log, click("e0", None))
    log.lose("BEHAVIOR", 1)
    node = FollowerNode(log, tmp_path)
    running = asyncio.create_task(node.follower.run())
    async with asyncio.timeout(60):
        await node.follower.caught_up.wait()
    running.cancel()


async def test_a_snapshot_ends_before_a_message_of_a_later_version(tmp_path: Path) -> None:
    log = MemoryEventLog()
    await append(log, click("e1", None))
    await log.append("BEHAVIOR", Entry(BEHAVIOR_SUBJECT, b'{"type":"rules_changed.v7","id":"x"}'))
    await append(log, click("e2", None))
    node = FollowerNode(log, tmp_path)
    with pytest.raises(LaterVersion):
        await node.run(until=3)
    assert node.follower.caught_up.is_set(), "the service serves what is before the message"
    await node.follower.save()
    restarted = FollowerNode(log, tmp_path)
    restarted.follower.restore()
    state = restarted.state
    assert (state.seq, state.has_stored("e1"), state.has_stored("e2")) == (1, True, False)
