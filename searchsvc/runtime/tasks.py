"""Ending tasks for good, and not in the middle of what has to be done whole."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

AGAIN_S = 1.0

T = TypeVar("T")


async def end(tasks: Iterable[asyncio.Task[Any]], *, again_s: float = AGAIN_S) -> None:
    """Cancel tasks until all have ended, whatever they end with.

    Once is not enough: `asyncio.wait_for` (before Python 3.12), in which the NATS client waits for messages, returns
    what came and forgets a cancellation that came with it.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=again_s)


async def whole(work: Coroutine[Any, Any, T]) -> T:
    """Do all of it, or fail: a cancellation that comes meanwhile counts once it is done."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        # Nobody asks any more what came of it.
        task.exception()
        raise cancelled
    return task.result()
