"""The thread that learns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class LearningThread:
    """Runs calls one after another on a thread of its own, so that learning does not block searches.

    turn: held by a caller that needs several calls in a row without others in between.
    """

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="learner")
        self.turn = asyncio.Lock()

    async def run(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, call)

    def close(self) -> None:
        """Block until all calls are done; `run` raises RuntimeError from then on."""
        self._executor.shutdown(wait=True)
