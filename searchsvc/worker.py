"""The worker: joins what BEHAVIOR brings, and puts into DEAD what belongs to no ranking. Learning will start here."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from events.codec import decode_behavior
from events.errors import Unavailable
from events.log import EventLog
from events.types import BehaviorEvent, EventRefused, InteractionRecorded, RankingShown
from searchsvc.ingest import store_refusal
from searchsvc.known import KnownRankings
from tuning.join import Clickthrough, ClickthroughJoin, Orphan

EXPIRE_EVERY_S: Final = 1.0
# Rankings held whole; an interaction with an older one has it read from the log again.
N_WHOLE_RANKINGS: Final = 10_000

log = logging.getLogger(__name__)


class Worker:
    """Takes the new events of BEHAVIOR in order; `run` goes on until it is cancelled.

    rankings: where the log has the rankings that are not held here. n_joined, n_orphaned: since the start.
    """

    def __init__(
        self,
        event_log: EventLog,
        rankings: KnownRankings,
        *,
        join_wait_s: float,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._log = event_log
        self._rankings = rankings
        self._join = ClickthroughJoin(wait=timedelta(seconds=join_wait_s), n_rankings=N_WHOLE_RANKINGS)
        self._clock = clock
        self._orphans: OrderedDict[str, Orphan] = OrderedDict()
        self.n_joined = 0
        self.n_orphaned = 0

    async def take(self, events: Sequence[BehaviorEvent]) -> None:
        """Raises Unavailable where the log is out of reach: then none of the rest was taken."""
        for event in events:
            if isinstance(event, InteractionRecorded) and event.query_id and not self._join.knows(event.query_id):
                await self._recall(event.query_id)
            self._note(self._join.apply(event))

    async def run(self) -> None:
        while True:
            await asyncio.sleep(EXPIRE_EVERY_S)
            await self.expire()

    async def expire(self) -> None:
        """Give up on what has waited too long, and put it into DEAD; what the log does not take now waits."""
        self._note(self._join.expire(self._clock()))
        while self._orphans:
            event_id, orphan = next(iter(self._orphans.items()))
            try:
                await store_refusal(self._log, self._refused(orphan))
            except Unavailable as error:
                log.warning("%d orphans are not in DEAD yet: %s", len(self._orphans), error)
                return
            self._orphans.pop(event_id, None)

    def unfinished(self) -> list[InteractionRecorded]:
        """What was taken and is neither joined nor in DEAD: a snapshot keeps it, and `take` is given it again."""
        return [*(orphan.interaction for orphan in self._orphans.values()), *self._join.waiting()]

    async def _recall(self, query_id: str) -> None:
        """Give the join a ranking that it no longer holds, or never did since the start."""
        seq = self._rankings.seq_of(query_id)
        record = await self._log.get("BEHAVIOR", seq) if seq else None
        if record is not None:
            for event in decode_behavior(record.data).events:
                if isinstance(event, RankingShown) and event.id == query_id:
                    self._note(self._join.apply(event))

    def _note(self, outcomes: Iterable[Clickthrough | Orphan]) -> None:
        for outcome in outcomes:
            if isinstance(outcome, Clickthrough):
                self.n_joined += 1
            else:
                self.n_orphaned += 1
                self._orphans[outcome.interaction.id] = outcome

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
