"""An event that fails stops the later events of its own ranking, and of no other."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from events.memory import MemoryEventLog
from events.types import BehaviorEvent, RankingShown
from searchsvc.behavior.dead_store import DeadStore
from searchsvc.behavior.recent_rankings import RecentRankings
from searchsvc.behavior.worker import Worker
from tests.factories import NOW, click, ranking
from tests.unit.behavior.follower_node import WAIT_S, FollowerNode, append, dead_letters
from tuning.clicks.join import Clickthrough, ClickthroughJoin, Orphan

pytestmark = pytest.mark.anyio


class FailingJoin(ClickthroughJoin):
    """Fails on events whose id begins with "poison", while `broken` is set."""

    broken = True

    def apply(self, event: BehaviorEvent) -> list[Clickthrough | Orphan]:
        if event.id.startswith("poison") and self.broken:
            raise ZeroDivisionError("poison")
        return super().apply(event)


async def test_a_failed_event_stops_its_ranking_and_no_other_until_it_is_replayed(tmp_path: Path) -> None:
    log, join = MemoryEventLog(), FailingJoin(wait=timedelta(seconds=WAIT_S))
    node = FollowerNode(log, tmp_path, join)
    await append(log, ranking("q1"), ranking("q2"), click("poison", "q1"), click("after", "q1"), click("other", "q2"))
    await node.run(until=1)
    assert node.worker.n_joined == 1, "only the click on the other ranking"
    await node.worker.expire()
    refused = await dead_letters(log)
    assert [(event.id, event.key) for event in refused] == [("poison", "q1"), ("after", "q1")]
    assert "parked behind poison" in refused[1].reason
    join.broken = False
    replayed = [msgspec.structs.replace(click(f"{event.id}.r1", "q1"), replay_of=event.id) for event in refused]
    await node.worker.take(replayed, 0)
    assert node.worker.n_joined == 3


async def test_a_failed_ranking_stops_its_own_clicks_and_no_others(tmp_path: Path) -> None:
    log, join = MemoryEventLog(), FailingJoin(wait=timedelta(seconds=WAIT_S))
    node = FollowerNode(log, tmp_path, join)
    await append(log, ranking("poison"), ranking("q2"))
    await append(log, click("e1", "poison"), click("e2", "q2"))
    await node.run(until=2)
    assert node.worker.n_joined == 1
    await node.worker.expire()
    assert [event.id for event in await dead_letters(log)] == ["e1"]


class RecordingListener:
    """Records the calls of a worker."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []

    def note_position(self, seq: int) -> None:
        self.calls.append(("position", seq))

    async def wait_for_room(self) -> None:
        self.calls.append(("room", 0))

    def take(self, event: RankingShown | Clickthrough, seq: int) -> None:
        self.calls.append((event.id if isinstance(event, RankingShown) else event.interaction.id, seq))

    async def state_parts(self) -> bytes:
        return b""

    def restore(self, state: bytes) -> None:
        raise AssertionError("nothing is restored here")


async def test_the_listener_hears_of_the_message_then_of_rankings_and_clickthroughs_in_order() -> None:
    log, listener = MemoryEventLog(), RecordingListener()
    join = ClickthroughJoin(wait=timedelta(seconds=WAIT_S))
    worker = Worker(log, RecentRankings(10), join, DeadStore(log), listener, clock=lambda: NOW)
    await worker.take([ranking("q1"), click("e1", "q1"), click("e2", "later")], 5)
    await worker.take([ranking("later")], 6)
    assert listener.calls == [
        ("position", 5),
        ("room", 0),
        ("q1", 5),
        ("e1", 5),
        ("position", 6),
        ("room", 0),
        ("later", 6),
        ("e2", 6),
    ]


async def test_past_the_limit_of_stopped_rankings_the_first_goes_on() -> None:
    log, join = MemoryEventLog(), FailingJoin(wait=timedelta(seconds=WAIT_S))
    worker = Worker(log, RecentRankings(10), join, DeadStore(log), clock=lambda: NOW, n_stopped=2)
    await worker.take([ranking("q1"), ranking("q2"), click("poison1", "q1"), click("poison2", "q2")], 1)
    await worker.take([click("e1", "q1"), click("e2", "q2")], 2)
    assert worker.n_joined == 0, "at the limit both are stopped"
    await worker.take([ranking("q3"), click("poison3", "q3"), click("e3", "q1"), click("e4", "q2")], 3)
    assert worker.n_joined == 1, "a click on the first"
