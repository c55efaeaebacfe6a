"""The worker: joins interactions to their rankings, feeds the listener, and puts orphans into DEAD.

An event that raises an unforeseen error is put into DEAD, and so are the later events of the same ranking, so that
order is kept. Events of other rankings go on. A replay releases the ranking.
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
from searchsvc.behavior.dead_store import DeadStore
from searchsvc.behavior.recent_rankings import RecentRankings
from tuning.clicks.join import Clickthrough, ClickthroughJoin, Orphan

EXPIRE_EVERY_S: Final = 1.0
MAX_STOPPED: Final = 10_000

log = logging.getLogger(__name__)


class BehaviorListener(Protocol):
    """Learns from rankings and clickthroughs, in log order. Its state is part of the snapshots of BEHAVIOR."""

    def note_position(self, seq: int) -> None:
        """Note that the events of message `seq` follow, and that all earlier ones were handed over."""

    async def wait_for_room(self) -> None:
        """Block until the queue is below its limit (back-pressure)."""

    def take(self, event: RankingShown | Clickthrough, seq: int) -> None:
        """Queue an event. One that is handed over twice counts once.

        seq: its message in BEHAVIOR.
        """

    async def state_parts(self) -> bytes:
        """Return everything learnt so far, for a snapshot."""

    def restore(self, state: bytes) -> None:
        """Start from what `state_parts` returned. Raises msgspec.DecodeError if it is something else."""


class Worker:
    """Handles the new events of BEHAVIOR in order. `run` goes on until it is cancelled.

    rankings: gives the message of a ranking that the join does not hold.
    listener: learns from the events; None if nothing does.
    clock: gives the time that interactions wait by.
    n_stopped: rankings that are stopped by a failed event; past it the one stopped first goes on.
    n_joined: interactions joined to their rankings since the start.
    n_orphaned: interactions that became orphans since the start.
    """

    def __init__(
        self,
        event_log: EventLog,
        rankings: RecentRankings,
        join: ClickthroughJoin,
        dead: DeadStore,
        listener: BehaviorListener | None = None,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        n_stopped: int = MAX_STOPPED,
    ) -> None:
        self._n_stopped = n_stopped
        self._log = event_log
        self._rankings = rankings
        self._join = join
        self._dead = dead
        self.listener = listener
        self._clock = clock
        self._seq = 0
        self._orphans: OrderedDict[str, Orphan] = OrderedDict()
        # Key of a stopped ranking -> id of the event that failed, the oldest first.
        self._failed_events: dict[str, str] = {}
        self.n_joined = 0
        self.n_orphaned = 0

    async def take(self, events: Sequence[BehaviorEvent], seq: int) -> None:
        """Handle the events of message `seq`.

        Raises Unavailable if the log cannot be read; the remaining events are then not handled. Call it again with all.
        """
        self._seq = seq
        if self.listener is not None:
            self.listener.note_position(seq)
            await self.listener.wait_for_room()
        for event in events:
            if isinstance(event, RankingShown):
                if self.listener is not None:
                    self.listener.take(event, seq)
                await self._join_event(event, event.id)
                continue
            key = event.query_id or event.id
            if event.replay_of:
                self._failed_events.pop(key, None)
            failed_event = self._failed_events.get(key)
            if failed_event is not None:
                self._record([Orphan(event, f"parked behind {failed_event}, which could not be processed")])
                continue
            await self._join_event(event, key)

    async def run(self) -> None:
        """Call `expire` once a second."""
        while True:
            await asyncio.sleep(EXPIRE_EVERY_S)
            await self.expire()

    async def expire(self) -> None:
        """Put interactions that waited too long, and other orphans, into DEAD.

        Those that the log does not accept stay for the next call.
        """
        self._record(self._join.expire(self._clock()))
        while self._orphans:
            event_id, orphan = next(iter(self._orphans.items()))
            try:
                await self._dead.refuse(self._refusal(orphan))
            except Unavailable as error:
                log.warning("%d orphans are not in DEAD yet: %s", len(self._orphans), error)
                return
            self._orphans.pop(event_id, None)

    def unfinished(self) -> list[InteractionRecorded]:
        """Return the interactions that are neither joined nor in DEAD.

        A snapshot keeps them; after a restart they go through `take` again.
        """
        return [*(orphan.interaction for orphan in self._orphans.values()), *self._join.waiting()]

    async def _join_event(self, event: BehaviorEvent, key: str) -> None:
        """Join an event. One that fails stops the later events of its key. Raises Unavailable."""
        try:
            if isinstance(event, InteractionRecorded) and event.query_id and not self._join.has_ranking(event.query_id):
                await self._fetch_ranking(event.query_id)
            self._record(self._join.apply(event))
        except Unavailable:
            raise
        except Exception as error:
            # An unforeseen error in one ranking must not stop the others.
            log.exception("event %s could not be processed", event.id)
            self._failed_events[key] = event.id
            if len(self._failed_events) > self._n_stopped:
                del self._failed_events[next(iter(self._failed_events))]
            if isinstance(event, InteractionRecorded):
                self._record([Orphan(event, f"the event could not be processed: {error!r}")])

    async def _fetch_ranking(self, query_id: str) -> None:
        """Read a ranking from the log again and give it to the join, if its message is known."""
        seq = self._rankings.message_seq(query_id)
        record = await self._log.get("BEHAVIOR", seq) if seq else None
        if record is not None:
            for event in decode_behavior(record.data).events:
                if isinstance(event, RankingShown) and event.id == query_id:
                    self._record(self._join.apply(event))

    def _record(self, outcomes: Iterable[Clickthrough | Orphan]) -> None:
        """Count what the join returned; hand clickthroughs to the listener and keep orphans for DEAD."""
        for outcome in outcomes:
            if isinstance(outcome, Clickthrough):
                self.n_joined += 1
                if self.listener is not None:
                    self.listener.take(outcome, self._seq)
            else:
                self.n_orphaned += 1
                self._orphans[outcome.interaction.id] = outcome

    def _refusal(self, orphan: Orphan) -> EventRefused:
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
