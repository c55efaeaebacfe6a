"""Removes from the log what deleted indexes leave behind: their documents, and what was learnt about these.

The deletion is in CONTROL, so this may be repeated at any time, by any service, also after a kill in between. It comes
a day after the deletion: until then the documents of an index that was deleted by mistake can be exported.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from events.errors import LaterVersion, Unavailable
from events.index_lives import IndexLives
from events.log import EventLog
from events.streams import StreamName
from searchsvc.runtime.clock import Clock

GRACE_PERIOD: Final = timedelta(days=1)
EVERY_S: Final = 600.0
# Sequences at a time: the server takes no other message of the stream while it removes some.
STEP: Final = 20_000
PAUSE_S: Final = 0.1

log = logging.getLogger(__name__)


class Leftovers:
    """What indexes that were deleted have left in the log. `run` goes on until it is cancelled.

    clock: the current time
    """

    def __init__(self, event_log: EventLog, clock: Clock = lambda: datetime.now(UTC)) -> None:
        self._log = event_log
        self._clock = clock
        self._lives = IndexLives()

    async def run(self) -> None:
        """Remove what is due, now and then."""
        while True:
            try:
                await self.remove()
            except (Unavailable, LaterVersion) as error:
                log.info("what deleted indexes left in the log stays for now: %s", error)
            await asyncio.sleep(EVERY_S)

    async def remove(self) -> None:
        """Remove what is due. Raises Unavailable, Corrupt and LaterVersion."""
        await self._lives.update(self._log)
        due_before = self._clock() - GRACE_PERIOD
        due = [life for life in self._lives.deleted if life.deleted_at is not None and life.deleted_at <= due_before]
        await self._purge_all("CATALOG", [life.catalog_subject for life in due])
        await self._purge_all("SIGNALS", [subject for life in due for subject in life.signals_subjects])

    async def _purge_all(self, stream: StreamName, subjects: Sequence[str]) -> None:
        for subject, n in (await self._log.counts(stream, subjects)).items():
            # The newest message of the stream stays.
            if n > 1 or await self._log.last_seq(stream, subject) != (await self._log.stream_state(stream)).last_seq:
                await self._purge(stream, subject)
                log.info("%s: messages of %s were removed, because the index was deleted", stream, subject)

    async def _purge(self, stream: StreamName, subject: str) -> None:
        """Remove the messages of a subject, but for the newest message of the stream, which followers wait for."""
        stream_state = await self._log.stream_state(stream)
        end = stream_state.last_seq - 1
        for through in [*range(stream_state.first_seq + STEP, end, STEP), end]:
            await self._log.purge(stream, through=through, subject=subject)
            await asyncio.sleep(PAUSE_S)
