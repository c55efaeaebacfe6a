"""The worker: follows BEHAVIOR, joins it, and puts into DEAD what belongs to no ranking. Learning will start here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import msgspec

from events.codec import decode_behavior
from events.errors import Unavailable
from events.log import EventLog
from events.types import EventRefused
from searchsvc.ingest import store_refusal
from tuning.join import Clickthrough, ClickthroughJoin, Orphan

# Interactions count for four days, but a ranking older than the newest 100,000 is not remembered anyway.
REPLAYED_MESSAGES = 100_000
EXPIRE_EVERY_S = 1.0

log = logging.getLogger(__name__)


class Worker:
    """`run` goes on until it is cancelled. n_joined and n_orphaned count since the start, replay included."""

    def __init__(
        self, event_log: EventLog, *, join_wait_s: float, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._log = event_log
        self._join = ClickthroughJoin(wait=timedelta(seconds=join_wait_s))
        self._clock = clock
        self._caught_up = False
        self.n_joined = 0
        self.n_orphaned = 0

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            tasks.create_task(self._expire())

    async def _follow(self) -> None:
        position = await self._log.position("BEHAVIOR")
        last = position.last_seq
        self._caught_up = position.count == 0
        async for record in self._log.follow("BEHAVIOR", after=max(last - REPLAYED_MESSAGES, 0)):
            for event in decode_behavior(record.data).events:
                await self._take(self._join.apply(event))
            self._caught_up = self._caught_up or record.seq >= last

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(EXPIRE_EVERY_S)
            if self._caught_up:  # a ranking that is still to be replayed is not missing
                await self._take(self._join.expire(self._clock()))

    async def _take(self, outcomes: Iterable[Clickthrough | Orphan]) -> None:
        for outcome in outcomes:
            if isinstance(outcome, Clickthrough):
                self.n_joined += 1
                continue
            self.n_orphaned += 1
            try:
                await store_refusal(self._log, self._refused(outcome))
            except Unavailable as error:
                # A restart folds BEHAVIOR again and refuses it again, under the same id.
                log.warning("orphan %s is not in DEAD yet: %s", outcome.interaction.id, error)

    def _refused(self, orphan: Orphan) -> EventRefused:
        event = orphan.interaction
        return EventRefused(
            id=event.id,
            at=self._clock(),
            source="join",
            subject=f"events.{event.index}",
            reason=orphan.reason,
            field="query_id",
            payload=msgspec.json.encode(event).decode(),
        )
