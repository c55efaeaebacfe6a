"""End the parts of a service in the reverse order in which they were opened."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import TypeVar

T = TypeVar("T")

log = logging.getLogger(__name__)


class Shutdown:
    """What has to be done at the end; each part adds its own end when it is opened."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()

    def add(self, end: Callable[[], Awaitable[None]]) -> None:
        """Call and await `end` at the end. If it fails, that is logged, and the other parts still end."""
        self._stack.push_async_callback(_attempt, end)

    def add_blocking(self, end: Callable[[], None]) -> None:
        """Call `end` on a thread at the end. If it fails, that is logged, and the other parts still end."""
        self.add(partial(asyncio.to_thread, end))

    async def run(self) -> None:
        """End every part that was opened. A second call does nothing."""
        await self._stack.aclose()


async def _attempt(end: Callable[[], Awaitable[None]]) -> None:
    try:
        await end()
    except Exception as error:
        log.warning("a step of the shutdown failed, the others go on: %s", repr(error))
