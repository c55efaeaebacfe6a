"""One service's part in BEHAVIOR: state, worker and follower over one log and one folder."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

from events.codec import decode_dead, encode
from events.log import Entry
from events.memory import MemoryEventLog
from events.streams import BEHAVIOR_SUBJECT
from events.types import BehaviorBatch, BehaviorEvent, EventRefused
from searchsvc.behavior.dead_store import DeadStore
from searchsvc.behavior.follower import BehaviorFollower
from searchsvc.behavior.state import BehaviorState
from searchsvc.behavior.worker import Worker
from tests.factories import NOW
from tuning.clicks.join import ClickthroughJoin

WAIT_S = 60.0
N_KEPT = 100


class FollowerNode:
    """now: the worker's clock, which a test sets."""

    def __init__(self, log: MemoryEventLog, folder: Path, join: ClickthroughJoin | None = None) -> None:
        self.now = NOW
        self.state = BehaviorState(n_rankings=N_KEPT, n_events=N_KEPT)
        join = join or ClickthroughJoin(wait=timedelta(seconds=WAIT_S))
        self.worker = Worker(log, self.state.rankings, join, DeadStore(log), clock=lambda: self.now)
        self.follower = BehaviorFollower(log, self.state, self.worker, folder)

    async def run(self, *, until: int) -> None:
        """Follow until message `until` is folded; then save, as a stop does."""
        self.follower.restore()
        running = asyncio.create_task(self.follower.run())
        async with asyncio.timeout(60):
            while not ((self.follower.caught_up.is_set() and self.state.seq >= until) or running.done()):  # noqa: ASYNC110 - no event tells of each message
                await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait([running])
        if not running.cancelled():
            await running
        await self.follower.save()


async def append(log: MemoryEventLog, *events: BehaviorEvent) -> None:
    """Append events to BEHAVIOR in one message."""
    await log.append("BEHAVIOR", Entry(BEHAVIOR_SUBJECT, encode(BehaviorBatch(events=list(events)))))


async def dead_letters(log: MemoryEventLog) -> list[EventRefused]:
    """Return the refused events in DEAD."""
    events = [decode_dead(record.data) async for record in log.read("DEAD")]
    return [event for event in events if isinstance(event, EventRefused)]
