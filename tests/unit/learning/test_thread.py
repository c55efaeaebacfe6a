"""The thread that learns."""

from __future__ import annotations

import asyncio
import threading
from functools import partial

import pytest

from searchsvc.learning.thread import LearningThread

pytestmark = pytest.mark.anyio


async def test_calls_run_one_after_another_on_one_other_thread() -> None:
    thread, calls = LearningThread(), list[int]()

    def call(number: int) -> int:
        calls.append(number)
        return threading.get_ident()

    names = await asyncio.gather(*(thread.run(partial(call, number)) for number in range(20)))
    assert calls == list(range(20))
    assert len({*names}) == 1
    assert threading.get_ident() not in names
    thread.close()
    with pytest.raises(RuntimeError):
        await thread.run(threading.get_ident)
