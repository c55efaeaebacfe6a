"""The tasks that run for as long as the service does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from events.errors import Corrupt
from events.tasks import end
from searchsvc.app.health import HealthNotes

T = TypeVar("T")

log = logging.getLogger(__name__)


class BackgroundTasks:
    """Starts tasks, notes their failures, and ends them all."""

    def __init__(self, notes: HealthNotes) -> None:
        self._notes = notes
        self._tasks: list[asyncio.Task[Any]] = []

    def add(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Start a task whose result and failure another task awaits."""
        task = asyncio.create_task(work, name=name)
        self._tasks.append(task)
        return task

    def run(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Start a task that nothing awaits. If it fails, health and the process's log say why."""

        async def watched() -> None:
            try:
                await work
            except Exception as error:
                cause = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
                self._notes.note(name, str(cause) or type(cause).__name__)
                if isinstance(cause, Corrupt):
                    self._notes.status = "corrupt"
                log.exception("%s stopped", name)

        self.add(watched(), name)

    async def end(self) -> None:
        """Cancel every task and wait until all have ended."""
        await end(self._tasks)
