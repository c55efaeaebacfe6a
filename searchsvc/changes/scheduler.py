"""Publish drafts at their scheduled time.

A schedule is part of its draft in DRAFTS. Every service follows DRAFTS and watches the clock. Where several services
publish the same draft, the first counts and the others find it published. A draft whose time passed while no service
ran is published when one starts.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from events.codec import decode_draft
from events.errors import Corrupt, LaterVersion, Unavailable
from events.log import EventLog, Record
from events.tasks import Spawned, run_together
from events.types import DraftSaved, Skipped
from searchsvc.changes.draft import Draft, draft_of
from searchsvc.changes.drafts import Drafts
from searchsvc.runtime.clock import Clock, utc_now

RETRY_S: Final = 1.0
# The system clock may be set: never sleep longer than this before reading it again.
MAX_SLEEP_S: Final = 30.0

log = logging.getLogger(__name__)


class Scheduler:
    """Follows the schedules in DRAFTS and publishes each draft once its time has come.

    event_log: where DRAFTS is followed
    drafts: publishes a draft, or records in it why that failed
    clock: the current time
    seq: the last sequence of DRAFTS that was read
    """

    def __init__(self, event_log: EventLog, drafts: Drafts, clock: Clock = utc_now) -> None:
        self._log = event_log
        self._drafts = drafts
        self._clock = clock
        self._scheduled: dict[tuple[str, str], Draft] = {}
        self._changed = asyncio.Event()
        self.seq = 0

    async def run(self) -> None:
        """Follow DRAFTS and publish what is due, until cancelled."""
        await run_together(self._follow(), self._publish_due())

    def observe(self, record: Record) -> None:
        """Take over the schedule that a message of DRAFTS gives its draft, or ends."""
        try:
            event = decode_draft(record.data)
        except (Corrupt, LaterVersion) as error:
            log.error("message %d of DRAFTS is skipped: %s", record.seq, error)
            return
        if isinstance(event, Skipped):
            return
        self._scheduled.pop((event.index, event.draft), None)
        if isinstance(event, DraftSaved) and event.schedule is not None and not event.schedule.failure:
            self._scheduled[event.index, event.draft] = draft_of(event, record.seq)
        self._changed.set()

    def take_due(self) -> list[Draft]:
        """Return the drafts whose time has come and remove them from the schedule."""
        now = self._clock()
        due = [
            draft
            for draft in self._scheduled.values()
            if draft.schedule is not None and draft.schedule.publish_at <= now
        ]
        for draft in due:
            del self._scheduled[draft.index, draft.id]
        return due

    async def publish(self, draft: Draft) -> None:
        """Publish a draft that is due. Repeats while the log or the index is unavailable."""
        message = ""
        while True:
            try:
                await self._drafts.publish_scheduled(draft)
                return
            except Unavailable as error:
                if str(error) != message:
                    log.warning("draft %s of %s waits to be published: %s", draft.id, draft.index, error)
                message = str(error)
                await asyncio.sleep(RETRY_S)
            except Exception:
                # Other drafts must still be published at their time.
                log.exception("draft %s of %s could not be published", draft.id, draft.index)
                return

    async def _follow(self) -> None:
        async for record in self._log.follow("DRAFTS"):
            self.observe(record)
            self.seq = record.seq

    async def _publish_due(self) -> None:
        """Publish each due draft in a task of its own, so that one that has to wait delays no other."""
        async with Spawned() as publishing:
            while True:
                self._changed.clear()
                for draft in self.take_due():
                    publishing.start(self.publish(draft), f"publish draft {draft.id}")
                try:
                    async with asyncio.timeout(self._sleep_s()):
                        await self._changed.wait()
                except TimeoutError:
                    pass

    def _sleep_s(self) -> float:
        """Return how long to sleep until the next draft is due, in seconds."""
        now = self._clock()
        schedules = [draft.schedule for draft in self._scheduled.values() if draft.schedule is not None]
        waits_s = [(schedule.publish_at - now).total_seconds() for schedule in schedules]
        return max(min([MAX_SLEEP_S, *waits_s]), 0.0)
