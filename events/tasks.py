"""End tasks reliably, and protect work that must not be interrupted."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, Final, TypeVar

CANCEL_EVERY_S: Final = 1.0

T = TypeVar("T")


async def end(tasks: Iterable[asyncio.Task[Any]], *, cancel_every_s: float = CANCEL_EVERY_S) -> None:
    """Cancel tasks until all have ended; their results and errors are ignored.

    cancel_every_s: how long to wait before tasks that still run are cancelled again. One cancellation is not enough:
        `asyncio.wait_for` before Python 3.12, which the NATS client uses, loses one that arrives with a message.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=cancel_every_s)


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
