"""Ending tasks, and work that a cancellation must not interrupt."""

from __future__ import annotations

import asyncio

import pytest

from events.tasks import end, finish_whole

pytestmark = pytest.mark.anyio


async def test_a_task_that_swallows_a_cancellation_is_ended_all_the_same() -> None:
    n_swallowed = 0

    async def swallow_two() -> None:
        nonlocal n_swallowed
        while n_swallowed < 2:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                n_swallowed += 1
        await asyncio.sleep(3600)

    async def fail_at_the_end() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            raise ValueError("on the way out")

    tasks = [asyncio.create_task(swallow_two()), asyncio.create_task(fail_at_the_end())]
    await asyncio.sleep(0)
    async with asyncio.timeout(60):
        await end(tasks, cancel_every_s=0.01)
    assert all(task.done() for task in tasks)
    assert isinstance(tasks[1].exception(), ValueError)


async def test_work_is_finished_before_a_cancellation_counts() -> None:
    may_finish, finished = asyncio.Event(), False

    async def work() -> None:
        nonlocal finished
        await may_finish.wait()
        finished = True

    task = asyncio.create_task(finish_whole(work()))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    may_finish.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert finished


async def test_the_result_or_the_error_of_whole_work_is_passed_on() -> None:
    async def give() -> int:
        return 5

    async def fail() -> int:
        raise ValueError("no")

    assert await finish_whole(give()) == 5
    with pytest.raises(ValueError, match="no"):
        await finish_whole(fail())
