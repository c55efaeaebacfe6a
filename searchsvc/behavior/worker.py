"""The worker: joins what BEHAVIOR brings, hands it to what learns, and puts into DEAD what belongs to no ranking.

An event that breaks the work on it is put into DEAD too, and what comes after it for the same ranking, so that order is
kept; events of all other rankings go on. A replay lets the ranking's events through again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, Protocol

import msgspec

from events.codec import decode_behavior
from events.errors import Unavailable
from events.log import EventLog
from events.types import BehaviorEvent, EventRefused, InteractionRecorded, RankingShown
from searchsvc.behavior.ingest import store_refusal
from searchsvc.behavior.recent_rankings import RecentRankings
from tuning.join import Clickthrough, ClickthroughJoin, Orphan

EXPIRE_EVERY_S: Final = 1.0

log = logging.getLogger(__name__)


class BehaviorListener(Protocol):
    """Learns from what the worker takes and joins, in the order of the log.

    Its state is part of the snapshots of BEHAVIOR.
    """

    def note_position(self, seq: int) -> None:
        """Note that every event up to BEHAVIOR message `seq` is being handed over, or was before the start."""

    async def wait_for_room(self) -> None:
        """Block until the queue is below its limit (back-pressure)."""

    def take(self, event: RankingShown | Clickthrough, seq: int) -> None:
        """Queue an event. seq: its message in BEHAVIOR. An event given again counts once."""

    async def state_parts(self) -> bytes:
        """Return everything learnt so far, for a snapshot."""

    def restore(self, held: bytes) -> None:
        """Start from what `parts` returned. Raises msgspec.DecodeError where it is something else."""


class Worker:
    """Takes the new events of BEHAVIOR in order; `run` goes on until it is cancelled.

    rankings: where the log has the rankings that are not held here.
    listener: learns from what is taken; None where nobody does.
    n_joined, n_orphaned: counts since the start.
    """

    def __init__(
        self,
        event_log: EventLog,
        rankings: RecentRankings,
        join: ClickthroughJoin,
        listener: BehaviorListener | None = None,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._log = event_log
        self._rankings = rankings
        self._join = join
        self.listener = listener
        self._seq = 0
        self._clock = clock
        self._orphans: OrderedDict[str, Orphan] = OrderedDict()
        self._parked: dict[str, str] = {}
        self.n_joined = 0
        self.n_orphaned = 0

    async def take(self, events: Sequence[BehaviorEvent], seq: int) -> None:
        """seq: of their message. Raises Unavailable where the log is out of reach: then none of the rest was taken."""
        self._seq = seq
        if self.listener is not None:
            self.listener.note_position(seq)
            await self.listener.wait_for_room()
        for event in events:
            if isinstance(event, RankingShown):
                if self.listener is not None:
                    self.listener.take(event, seq)
                await self._work_on(event, event.id)
                continue
            key = event.query_id or event.id
            if self._parked:
                if event.replay_of:
                    self._parked.pop(key, None)
                if key in self._parked:
                    self._note([Orphan(event, f"parked behind {self._parked[key]}, which could not be worked on")])
                    continue
            await self._work_on(event, key)

    async def _work_on(self, event: BehaviorEvent, key: str) -> None:
        try:
            if isinstance(event, InteractionRecorded) and event.query_id and not self._join.knows(event.query_id):
                await self._recall(event.query_id)
            self._note(self._join.apply(event))
        except Unavailable:
            raise
        except Exception as error:
            # Whatever it is, it must not keep the events of others.
            log.exception("%s could not be worked on", event.id)
            self._parked[key] = event.id
            if isinstance(event, InteractionRecorded):
                self._note([Orphan(event, f"it could not be worked on: {error!r}")])

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
        seq = self._rankings.message_seq(query_id)
        record = await self._log.get("BEHAVIOR", seq) if seq else None
        if record is not None:
            for event in decode_behavior(record.data).events:
                if isinstance(event, RankingShown) and event.id == query_id:
                    self._note(self._join.apply(event))

    def _note(self, outcomes: Iterable[Clickthrough | Orphan]) -> None:
        for outcome in outcomes:
            if isinstance(outcome, Clickthrough):
                self.n_joined += 1
                if self.listener is not None:
                    self.listener.take(outcome, self._seq)
            else:
                self.n_orphaned += 1
                self._orphans[outcome.interaction.id] = outcome

    def _refused(self, orphan: Orphan) -> EventRefused:
        event = orphan.interaction
        return EventRefused(
            id=event.id,
            timestamp=self._clock(),
            source="join",
            subject=f"events.{event.index}",
            reason=orphan.reason,
            field="query_id",
            payload=msgspec.json.encode(event).decode(),
            key=event.query_id or event.id,
        )
