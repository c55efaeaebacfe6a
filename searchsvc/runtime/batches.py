"""Calls handed to another thread several at a time.

Each hand-over wakes somebody twice and asks for Python's lock in the midst of what the event loop does: where much is
going on, that costs the loop more than the calls cost the thread. So while some are under way, what comes is gathered,
and goes next, all at once.
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
# The first of a batch waits for the last.
MOST: Final = 16


class Batches(Generic[T]):
    """For one event loop. at_once: batches under way before calls are gathered."""

    def __init__(self, threads: ThreadPoolExecutor, at_once: int = 1) -> None:
        self._threads = threads
        self._idle = at_once
        self._waiting: deque[tuple[Callable[[], T], asyncio.Future[T]]] = deque()

    def call(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """What it gives. One that is cancelled before its turn is never called."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._waiting.append((work, done))
        if self._idle:
            self._idle -= 1
            # What else comes in this turn of the loop goes with it.
            loop.call_soon(self._hand_over)
        return done

    def _hand_over(self) -> None:
        batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST))]
        if not batch:
            self._idle += 1
            return
        try:
            given = asyncio.get_running_loop().run_in_executor(self._threads, _called, batch)
        except RuntimeError:
            self._idle += 1
            for _, done in batch:
                _settle(done, None, Unavailable("the service is stopping"))
        else:
            given.add_done_callback(partial(self._take, batch))

    def _take(
        self,
        batch: Sequence[tuple[Callable[[], T], asyncio.Future[T]]],
        given: asyncio.Future[list[tuple[T | None, Exception | None]]],
    ) -> None:
        for (_, done), (result, error) in zip(batch, given.result(), strict=True):
            _settle(done, result, error)
        self._hand_over()


def _called(
    batch: Sequence[tuple[Callable[[], T], asyncio.Future[T]]],
) -> list[tuple[T | None, Exception | None]]:
    found: list[tuple[T | None, Exception | None]] = []
    for work, done in batch:
        if done.cancelled():
            found.append((None, None))
            continue
        try:
            found.append((work(), None))
        except Exception as error:  # whatever it is, whoever called is told, and the others go on
            found.append((None, error))
    return found


def _settle(done: asyncio.Future[T], result: T | None, error: Exception | None) -> None:
    if done.cancelled():
        return
    if error is not None:
        done.set_exception(error)
    else:
        done.set_result(result)  # type: ignore[arg-type]  # None only where T allows it
