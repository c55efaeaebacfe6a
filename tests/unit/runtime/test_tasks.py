"""Ending tasks."""

from __future__ import annotations

import asyncio

import pytest

from searchsvc.runtime.tasks import end


@pytest.mark.anyio
async def test_a_task_that_swallows_a_cancellation_is_ended_all_the_same() -> None:
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        while swallowed < 2:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                swallowed += 1
        await asyncio.sleep(3600)

    async def failing() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            raise ValueError("on the way out")

    tasks = [asyncio.create_task(stubborn()), asyncio.create_task(failing())]
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await end(tasks, again_s=0.01)
    assert all(task.done() for task in tasks)
    assert isinstance(tasks[1].exception(), ValueError)
