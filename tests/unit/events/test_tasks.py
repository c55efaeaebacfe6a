"""Ending tasks, and work that a cancellation must not interrupt."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from events.tasks import Spawned, end, finish_whole, run_together

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


class Deaf:
    """Work that loses the first cancellation, as `asyncio.wait_for` may."""

    def __init__(self) -> None:
        self.has_begun = asyncio.Event()
        self.has_ended = False

    async def run(self) -> None:
        try:
            self.has_begun.set()
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)
            await asyncio.sleep(3600)
        finally:
            self.has_ended = True


async def test_work_that_runs_together_ends_with_the_first_failure() -> None:
    deaf = Deaf()

    async def fail() -> None:
        await deaf.has_begun.wait()
        raise ValueError("first")

    async with asyncio.timeout(60):
        with pytest.raises(ValueError, match="first"):
            await run_together(deaf.run(), fail())
    assert deaf.has_ended


async def test_work_that_runs_together_ends_with_its_caller() -> None:
    deaf, other = Deaf(), Deaf()
    task = asyncio.create_task(run_together(deaf.run(), other.run()))
    await deaf.has_begun.wait()
    async with asyncio.timeout(60):
        await end([task], cancel_every_s=0.05)
    assert task.cancelled()
    assert deaf.has_ended
    assert other.has_ended


async def test_work_that_runs_together_is_done_when_all_is() -> None:
    done = []

    async def finish(name: str) -> None:
        done.append(name)

    await run_together(finish("a"), finish("b"))
    assert done == ["a", "b"]


async def test_spawned_tasks_end_with_their_block_and_one_that_fails_ends_alone() -> None:
    deaf = Deaf()

    async def fail() -> None:
        raise ValueError("on its own")

    async with asyncio.timeout(60):
        async with Spawned() as tasks:
            tasks.start(fail(), "failing")
            tasks.start(deaf.run(), "deaf")
            await deaf.has_begun.wait()
    assert deaf.has_ended


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
