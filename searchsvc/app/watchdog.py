"""Notices parts of the service that should move and do not: names them in health, then starts them anew.

A part makes a promise: while it has work, its position changes. Time is counted in turns of the watchdog itself, so
that a machine that was suspended, or a clock that was set, is no stall.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import msgspec

from events.errors import Unavailable
from events.tasks import Spawned
from searchsvc.app.health import HealthNotes

EVERY_S: Final = 1.0
# A part is named after this many turns without a change of its position, and started anew after so many.
NAME_AFTER: Final = 3
RESTART_AFTER: Final = 12
# While a thread works for it, a part is named later, and left alone: a thread cannot be ended.
NAME_BUSY_AFTER: Final = 30

log = logging.getLogger(__name__)


class Promise(msgspec.Struct, frozen=True):
    """While a part has work, its position changes.

    backlog: what waits to be done, for people; '' if nothing does. Raises Unavailable if it cannot be known now.
    position: compares equal as long as the part has not moved
    restart: starts the part anew; None if that could do harm
    is_busy: whether a thread works for the part
    """

    part: str
    backlog: Callable[[], Awaitable[str]]
    position: Callable[[], object]
    restart: Callable[[], Coroutine[Any, Any, None]] | None = None
    is_busy: Callable[[], bool] = lambda: False


class Watchdog:
    """Checks promises until cancelled.

    promises: gives those that hold now
    """

    def __init__(self, notes: HealthNotes, promises: Callable[[], list[Promise]]) -> None:
        self._notes = notes
        self._promises = promises
        self._positions: dict[str, object] = {}
        self._n_still: dict[str, int] = {}
        self._restarts = Spawned()

    async def run(self) -> None:
        async with self._restarts:
            while True:
                await asyncio.sleep(EVERY_S)
                await self.check()

    async def check(self) -> None:
        """Check every promise once."""
        promises = self._promises()
        parts = {promise.part for promise in promises}
        for part in self._n_still.keys() - parts:
            self._keep(part)
        self._positions = {part: position for part, position in self._positions.items() if part in parts}
        for promise in promises:
            position = promise.position()
            has_moved = position != self._positions.get(promise.part)
            self._positions[promise.part] = position
            try:
                backlog = "" if has_moved else await promise.backlog()
            except Unavailable:
                continue  # the log is away: health says so
            if not backlog:
                self._keep(promise.part)
            else:
                await self._count(promise, backlog)

    def _keep(self, part: str) -> None:
        """Note that a part keeps its promise."""
        self._n_still.pop(part, None)
        self._notes.stalled.pop(part, None)

    async def _count(self, promise: Promise, backlog: str) -> None:
        """Note another turn in which a part did not move."""
        part, is_busy = promise.part, promise.is_busy()
        n_still = self._n_still[part] = self._n_still.get(part, 0) + 1
        if n_still < (NAME_BUSY_AFTER if is_busy else NAME_AFTER):
            return
        reason = f"it has not moved for at least {n_still * EVERY_S:g} s: {backlog}"
        self._notes.stalled[part] = f"{reason}; a thread works for it and cannot be ended" if is_busy else reason
        if promise.restart is not None and not is_busy and n_still % RESTART_AFTER == 0:
            log.error("%s is started anew: %s", part, reason)
            # Ending it may take long, and the other parts are looked at meanwhile.
            self._restarts.start(promise.restart(), f"restart of {part}")
