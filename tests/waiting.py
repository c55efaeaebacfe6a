"""Wait for a state, with a limit that only a hang reaches."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final, TypeVar

# Generous: the machine may be doing something else.
LIMIT_S: Final = 180.0
CHECK_EVERY_S: Final = 0.05

T = TypeVar("T")


def wait_for(value: Callable[[], T | None], state: str, *, limit_s: float = LIMIT_S) -> T:
    """Call `value` again and again until it is true, and return it. Fails naming `state` and the last value."""
    deadline_s = time.monotonic() + limit_s
    while not (result := value()):
        assert time.monotonic() < deadline_s, f"{state} not within {limit_s:g} s: {result!r}"
        time.sleep(CHECK_EVERY_S)
    return result


async def wait_for_async(value: Callable[[], T | None], state: str, *, limit_s: float = LIMIT_S) -> T:
    """The same on an event loop, which goes on meanwhile."""
    deadline_s = time.monotonic() + limit_s
    while not (result := value()):
        assert time.monotonic() < deadline_s, f"{state} not within {limit_s:g} s: {result!r}"
        await asyncio.sleep(0)
    return result
