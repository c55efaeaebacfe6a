"""Calls that are handed to another thread several at a time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from events.errors import Unavailable
from searchsvc.runtime.batches import MOST, Batches


class Recorder:
    """Calls that note when they began, and wait until they may end."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self._began = threading.Semaphore(0)
        self.may_end = threading.Event()

    def of(self, number: int) -> Callable[[], int]:
        def work() -> int:
            self.begun.append(number)
            self._began.release()
            assert self.may_end.wait(10)
            if number % 5 == 4:
                raise ValueError(f"{number} is refused")
            return number * number

        return work

    async def until_begun(self) -> None:
        """Until one more has."""
        assert await asyncio.to_thread(self._began.acquire, timeout=10)


async def turns(n: int = 5) -> None:
    for _ in range(n):
        await asyncio.sleep(0)


def test_each_call_is_answered_by_what_it_gave_or_raised() -> None:
    async def scenario() -> None:
        calls = Recorder()
        calls.may_end.set()
        with ThreadPoolExecutor(2) as threads:
            batches = Batches[int](threads)
            given = await asyncio.gather(*(batches.call(calls.of(n)) for n in range(50)), return_exceptions=True)
        assert calls.begun == list(range(50))
        for number, one in enumerate(given):
            if number % 5 == 4:
                assert isinstance(one, ValueError)
                assert str(number) in str(one)
            else:
                assert one == number * number

    asyncio.run(scenario())


def test_what_comes_meanwhile_goes_next_in_batches_that_are_not_too_long() -> None:
    async def scenario() -> None:
        calls = Recorder()
        handed: list[int] = []

        class Threads(ThreadPoolExecutor):
            def submit(self, function: Any, /, *given: Any, **named: Any) -> Any:
                handed.append(len(given[0]))
                return super().submit(function, *given, **named)

        with Threads(2) as threads:
            batches = Batches[int](threads)
            first = [batches.call(calls.of(n)) for n in (0, 1)]
            await calls.until_begun()
            later = [batches.call(calls.of(n)) for n in range(10, 10 + MOST + 2)]
            await turns()
            # A second thread is free, but it is not woken.
            assert handed == [2]
            calls.may_end.set()
            await asyncio.gather(*first, *later, return_exceptions=True)
        assert handed == [2, MOST, 2]

    asyncio.run(scenario())


def test_what_is_cancelled_before_its_turn_is_never_called() -> None:
    async def scenario() -> None:
        calls = Recorder()
        with ThreadPoolExecutor(2) as threads:
            batches = Batches[int](threads)
            first = batches.call(calls.of(0))
            await calls.until_begun()
            late, kept = batches.call(calls.of(1)), batches.call(calls.of(2))
            late.cancel()
            # What has begun goes on, and nobody minds.
            first.cancel()
            calls.may_end.set()
            assert await kept == 4
        assert calls.begun == [0, 2]

    asyncio.run(scenario())


def test_while_the_threads_end_calls_are_refused_and_none_waits_for_ever() -> None:
    async def scenario() -> None:
        threads = ThreadPoolExecutor(1)
        batches = Batches[int](threads)
        threads.shutdown()
        for _ in range(2):
            with pytest.raises(Unavailable, match="stopping"):
                await asyncio.wait_for(batches.call(lambda: 1), 10)

    asyncio.run(scenario())


def test_as_many_batches_as_are_allowed_are_under_way_at_once() -> None:
    async def scenario() -> None:
        calls = Recorder()
        with ThreadPoolExecutor(2) as threads:
            batches = Batches[int](threads, 2)
            given = []
            for number in (0, 1, 2):
                given.append(batches.call(calls.of(number)))
                await turns()
            await calls.until_begun()
            await calls.until_begun()
            calls.may_end.set()
            assert await asyncio.gather(*given) == [0, 1, 4]

    asyncio.run(scenario())
