"""End tasks reliably, and protect work that must not be interrupted.

Nothing here relies on a single cancellation, as `asyncio.TaskGroup` does: `asyncio.wait_for` before Python 3.12, which
the NATS client uses, loses one that arrives with a message.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from types import TracebackType
from typing import Any, Final, Self, TypeVar

CANCEL_EVERY_S: Final = 1.0

T = TypeVar("T")
log = logging.getLogger(__name__)


async def end(tasks: Iterable[asyncio.Task[Any]], *, cancel_every_s: float = CANCEL_EVERY_S) -> None:
    """Cancel tasks until all have ended; their results and errors are ignored.

    cancel_every_s: how long to wait before tasks that still run are cancelled again
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=cancel_every_s)


async def run_together(*work: Coroutine[Any, Any, None]) -> None:
    """Await several pieces of work until all have ended. Once one fails, the others are cancelled.

    Raises the error of the one that failed; of several, that of the first argument.
    """
    tasks = [asyncio.ensure_future(piece) for piece in work]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        done = [task for task in tasks if task.done()]
        await finish_whole(end(tasks))
    for task in done:
        task.result()


class Spawned:
    """Tasks that end with the block that starts them. An error ends only its own task, and is logged."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._forget)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await finish_whole(end(self._tasks))

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("%s failed", task.get_name(), exc_info=error)


async def finish_whole(work: Coroutine[Any, Any, T]) -> T:
    """Await work to its end. A cancellation that arrives meanwhile is raised afterwards."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        task.exception()  # marks it as retrieved: the caller will not read it
        raise cancelled
    return task.result()
