"""The tasks that run for as long as the service does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from events.errors import Corrupt, LaterVersion
from events.tasks import end
from searchsvc.app.health import HealthNotes

T = TypeVar("T")

# A part that failed is started again after this time; one that then ran this long is well again.
RESTART_AFTER_S: Final = 1.0
WELL_AFTER_S: Final = 5.0

log = logging.getLogger(__name__)


class BackgroundTasks:
    """Starts tasks, notes their failures, starts them again, and ends them all."""

    def __init__(self, notes: HealthNotes) -> None:
        self._notes = notes
        self._tasks: list[asyncio.Task[Any]] = []
        # What runs now, by part.
        self._running: dict[str, asyncio.Task[None]] = {}

    def add(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Start a task whose result and failure another task awaits."""
        task = asyncio.create_task(work, name=name)
        self._tasks.append(task)
        return task

    def run(self, part: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        """Start a part of the service that nothing awaits. If it fails, health and the process's log say why.

        part: starts it; called again after a failure, except where only a person can help: damage, and messages of a
            later version
        """
        self.add(self._keep_running(part, name), name)

    def runs(self, name: str) -> bool:
        """Return whether a part runs, or is about to be started again."""
        return name in self._running

    async def restart(self, name: str) -> None:
        """End a part; it is started again."""
        task = self._running.get(name)
        if task is not None:
            await end([task])

    async def end(self) -> None:
        """Cancel every task and wait until all have ended."""
        await end(self._tasks)

    async def _keep_running(self, part: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        has_failed = False
        while True:
            task = self._running[name] = asyncio.create_task(part(), name=name)
            try:
                done, _ = await asyncio.wait([task], timeout=WELL_AFTER_S)
                if not done:
                    if has_failed:
                        self._notes.note(name, "")
                    has_failed = False
                    await asyncio.wait([task])
            finally:
                await end([task])
            error = None if task.cancelled() else task.exception()
            if not task.cancelled() and error is None:
                self._notes.note(name, "")
                self._running.pop(name, None)
                return
            if error is not None:
                has_failed = True
                self._notes.note(name, str(error) or type(error).__name__)
                log.error("%s failed", name, exc_info=error)
                if isinstance(error, Corrupt):
                    self._notes.status = "corrupt"
                if isinstance(error, Corrupt | LaterVersion):
                    self._running.pop(name, None)
                    return
                await asyncio.sleep(RESTART_AFTER_S)
