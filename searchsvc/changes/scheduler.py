"""Publishes drafts whose time has come.

What is to be published, and when, stands in DRAFTS; each service follows it and keeps the clock, and of several that
publish the same draft one counts. A draft whose time came while no service ran is published as one starts.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import Final

from events.codec import decode_draft
from events.errors import Corrupt, LaterVersion, Unavailable
from events.log import EventLog
from events.types import DraftSaved, Skipped
from searchsvc.changes.drafts import Draft, Drafts, draft_of

RETRY_S: Final = 1.0
# Clocks may be set: nobody sleeps for longer before looking again.
LOOK_EVERY_S: Final = 30.0

log = logging.getLogger(__name__)


class Scheduler:
    """`run` goes on until it is cancelled."""

    def __init__(self, event_log: EventLog, drafts: Drafts) -> None:
        self._log = event_log
        self._drafts = drafts
        self._waiting: dict[tuple[str, str], Draft] = {}
        self._changed = asyncio.Event()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            tasks.create_task(self._publish())

    async def _follow(self) -> None:
        async for record in self._log.follow("DRAFTS"):
            try:
                event = decode_draft(record.data)
            except (Corrupt, LaterVersion) as error:
                log.error("message %d of DRAFTS is passed over: %s", record.seq, error)
                continue
            if isinstance(event, Skipped):
                continue
            self._waiting.pop((event.index, event.draft), None)
            if isinstance(event, DraftSaved) and event.schedule is not None and not event.schedule.failure:
                self._waiting[event.index, event.draft] = draft_of(event, record.seq)
            self._changed.set()

    async def _publish(self) -> None:
        """Each draft by itself: what keeps one waiting keeps no other."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._changed.clear()
                now = datetime.now(UTC)
                for key, draft in list(self._waiting.items()):
                    if draft.schedule is not None and draft.schedule.publish_at <= now:
                        del self._waiting[key]
                        tasks.create_task(self._publish_one(draft), name=f"publish draft {draft.id}")
                due = [one.schedule.publish_at for one in self._waiting.values() if one.schedule is not None]
                wait_s = min([LOOK_EVERY_S, *((at - datetime.now(UTC)).total_seconds() for at in due)])
                try:
                    async with asyncio.timeout(max(wait_s, 0.0)):
                        await self._changed.wait()
                except TimeoutError:
                    pass

    async def _publish_one(self, draft: Draft) -> None:
        said = ""
        while True:
            try:
                await self._drafts.publish_scheduled(draft)
                return
            except Unavailable as error:
                if str(error) != said:
                    log.warning("draft %s of %s waits to be published: %s", draft.id, draft.index, error)
                said = str(error)
                await asyncio.sleep(RETRY_S)
            except Exception:
                # Whatever it is, the others have their time, too.
                log.exception("draft %s of %s could not be published", draft.id, draft.index)
                return
