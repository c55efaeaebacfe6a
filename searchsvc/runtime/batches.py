"""Calls on another thread, several at a time.

Each hand-over to a thread wakes the thread and then the event loop, and takes Python's lock twice. Under load that
costs the loop more than the calls cost the thread. So while batches are running, new calls are collected, and handed
over together.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, Generic, TypeVar

from events.errors import Unavailable

T = TypeVar("T")
# The first call of a batch is answered after the last.
MAX_BATCH: Final = 16


class Batches(Generic[T]):
    """Hands calls to threads. For one event loop.

    concurrency: batches that run before calls are collected.
    """

    def __init__(self, threads: ThreadPoolExecutor, concurrency: int = 1) -> None:
        self._threads = threads
        self._n_idle = concurrency
        self._waiting: deque[tuple[Callable[[], T], asyncio.Future[T]]] = deque()

    def call(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Call a function on a thread. Cancelled before its turn, it is never called."""
        loop = asyncio.get_running_loop()
        result: asyncio.Future[T] = loop.create_future()
        self._waiting.append((work, result))
        if self._n_idle:
            self._n_idle -= 1
            # Calls that are made in the same turn of the loop join this batch.
            loop.call_soon(self._hand_over)
        return result

    def _hand_over(self) -> None:
        batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_BATCH))]
        if not batch:
            self._n_idle += 1
            return
        try:
            running = asyncio.get_running_loop().run_in_executor(self._threads, _run, batch)
        except RuntimeError:  # the executor is shut down
            self._n_idle += 1
            for _, result in batch:
                _settle(result, None, Unavailable("the service is stopping"))
        else:
            running.add_done_callback(partial(self._finish, batch))

    def _finish(
        self,
        batch: Sequence[tuple[Callable[[], T], asyncio.Future[T]]],
        running: asyncio.Future[list[tuple[T | None, Exception | None]]],
    ) -> None:
        """Pass on the outcomes of a batch, and hand over the next."""
        for (_, result), (value, error) in zip(batch, running.result(), strict=True):
            _settle(result, value, error)
        self._hand_over()


def _run(
    batch: Sequence[tuple[Callable[[], T], asyncio.Future[T]]],
) -> list[tuple[T | None, Exception | None]]:
    """Make the calls of a batch; return the value or the error of each."""
    outcomes: list[tuple[T | None, Exception | None]] = []
    for work, result in batch:
        if result.cancelled():
            outcomes.append((None, None))
            continue
        try:
            outcomes.append((work(), None))
        except Exception as error:  # passed on to the caller; the other calls go on
            outcomes.append((None, error))
    return outcomes


def _settle(result: asyncio.Future[T], value: T | None, error: Exception | None) -> None:
    if result.cancelled():
        return
    if error is not None:
        result.set_exception(error)
    else:
        result.set_result(value)  # type: ignore[arg-type]  # None only if T allows it
