"""Calls on another thread, several at a time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from events.errors import Unavailable
from searchsvc.runtime.batches import MAX_BATCH, Batches

pytestmark = pytest.mark.anyio


class RecordedCalls:
    """Calls that record when they start, and wait until they may end.

    started: numbers of the calls that have started.
    """

    def __init__(self) -> None:
        self.started: list[int] = []
        self._starts = threading.Semaphore(0)
        self.may_end = threading.Event()

    def call(self, number: int) -> Callable[[], int]:
        def work() -> int:
            self.started.append(number)
            self._starts.release()
            assert self.may_end.wait(10)
            if number % 5 == 4:
                raise ValueError(f"{number} is refused")
            return number * number

        return work

    async def wait_for_start(self) -> None:
        """Wait until one more call has started."""
        assert await asyncio.to_thread(self._starts.acquire, timeout=60)


async def pass_turns(n: int = 5) -> None:
    for _ in range(n):
        await asyncio.sleep(0)


async def test_each_call_gets_its_own_value_or_error() -> None:
    calls = RecordedCalls()
    calls.may_end.set()
    with ThreadPoolExecutor(2) as threads:
        batches = Batches[int](threads)
        results = await asyncio.gather(*(batches.call(calls.call(n)) for n in range(50)), return_exceptions=True)
    assert calls.started == list(range(50))
    for number, result in enumerate(results):
        if number % 5 == 4:
            assert isinstance(result, ValueError)
            assert str(number) in str(result)
        else:
            assert result == number * number


async def test_calls_made_meanwhile_go_next_in_batches_of_limited_size() -> None:
    calls = RecordedCalls()
    batch_sizes: list[int] = []

    class RecordingThreads(ThreadPoolExecutor):
        def submit(self, function: Any, /, *args: Any, **options: Any) -> Any:
            batch_sizes.append(len(args[0]))
            return super().submit(function, *args, **options)

    with RecordingThreads(2) as threads:
        batches = Batches[int](threads)
        first = [batches.call(calls.call(n)) for n in (0, 1)]
        await calls.wait_for_start()
        later = [batches.call(calls.call(n)) for n in range(10, 10 + MAX_BATCH + 2)]
        await pass_turns()
        # The second thread is free, but is not used.
        assert batch_sizes == [2]
        calls.may_end.set()
        await asyncio.gather(*first, *later, return_exceptions=True)
    assert batch_sizes == [2, MAX_BATCH, 2]


async def test_a_call_that_is_cancelled_before_its_turn_is_never_made() -> None:
    calls = RecordedCalls()
    with ThreadPoolExecutor(2) as threads:
        batches = Batches[int](threads)
        first = batches.call(calls.call(0))
        await calls.wait_for_start()
        cancelled, last = batches.call(calls.call(1)), batches.call(calls.call(2))
        cancelled.cancel()
        # A call that has started goes on.
        first.cancel()
        calls.may_end.set()
        assert await last == 4
    assert calls.started == [0, 2]


async def test_after_shutdown_calls_are_refused_and_none_waits() -> None:
    threads = ThreadPoolExecutor(1)
    batches = Batches[int](threads)
    threads.shutdown()
    for _ in range(2):
        with pytest.raises(Unavailable, match="stopping"):
            await asyncio.wait_for(batches.call(lambda: 1), 60)


async def test_as_many_batches_as_allowed_run_at_once() -> None:
    calls = RecordedCalls()
    with ThreadPoolExecutor(2) as threads:
        batches = Batches[int](threads, 2)
        results = []
        for number in (0, 1, 2):
            results.append(batches.call(calls.call(number)))
            await pass_turns()
        await calls.wait_for_start()
        await calls.wait_for_start()
        calls.may_end.set()
        assert await asyncio.gather(*results) == [0, 1, 4]
