"""The watchdog: a part that stands still is named, then started anew."""

from __future__ import annotations

import asyncio
from typing import Final

import pytest

from events.errors import Unavailable
from searchsvc.app.health import HealthNotes
from searchsvc.app.watchdog import NAME_AFTER, NAME_BUSY_AFTER, RESTART_AFTER, Promise, Watchdog

pytestmark = pytest.mark.anyio
PART: Final = "follower"


class Follower:
    """A part that is at `position` of a stream that ends at `end`."""

    def __init__(self) -> None:
        self.position = 0
        self.end = 0
        self.is_busy = False
        self.is_log_away = False
        self.n_restarts = 0
        self.notes = HealthNotes()
        self.watchdog = Watchdog(self.notes, self._promises)
        self.is_gone = False

    async def turns(self, n: int) -> dict[str, str]:
        """Let the watchdog check n times; return what is noted."""
        for _ in range(n):
            await self.watchdog.check()
            await asyncio.sleep(0)  # what is started anew
        return self.notes.stalled

    def _promises(self) -> list[Promise]:
        promise = Promise(PART, self._backlog, lambda: self.position, self._restart, is_busy=lambda: self.is_busy)
        return [] if self.is_gone else [promise]

    async def _backlog(self) -> str:
        if self.is_log_away:
            raise Unavailable("the log is away")
        return f"{self.end - self.position} messages wait" if self.end > self.position else ""

    async def _restart(self) -> None:
        self.n_restarts += 1


async def test_a_part_without_work_may_stand_still() -> None:
    follower = Follower()
    assert await follower.turns(2 * RESTART_AFTER) == {}
    assert follower.n_restarts == 0


async def test_a_part_that_moves_is_never_named_however_much_waits() -> None:
    follower = Follower()
    follower.end = 10_000
    for position in range(2 * RESTART_AFTER):
        follower.position = position
        assert await follower.turns(1) == {}


async def test_a_part_that_stands_still_is_named_then_started_anew_until_it_moves() -> None:
    follower = Follower()
    await follower.turns(1)
    follower.end = 3
    assert await follower.turns(NAME_AFTER - 1) == {}
    assert await follower.turns(1) == {PART: f"it has not moved for at least {NAME_AFTER} s: 3 messages wait"}
    await follower.turns(RESTART_AFTER - NAME_AFTER)
    assert follower.n_restarts == 1
    await follower.turns(RESTART_AFTER)
    assert follower.n_restarts == 2
    follower.position = 1
    assert await follower.turns(1) == {}


async def test_a_part_whose_thread_works_is_named_later_and_left_alone() -> None:
    follower = Follower()
    follower.end, follower.is_busy = 3, True
    assert await follower.turns(NAME_BUSY_AFTER) == {}
    (reason,) = (await follower.turns(1)).values()
    assert "a thread works for it and cannot be ended" in reason
    assert follower.n_restarts == 0


async def test_nothing_is_said_of_a_part_while_the_log_is_away() -> None:
    follower = Follower()
    follower.end = 3
    await follower.turns(NAME_AFTER)
    follower.is_log_away = True
    assert await follower.turns(2 * RESTART_AFTER) == {}
    assert follower.n_restarts == 0


async def test_a_part_that_is_gone_is_not_named_any_more() -> None:
    follower = Follower()
    follower.end = 3
    assert PART in await follower.turns(NAME_AFTER + 1)
    follower.is_gone = True
    assert await follower.turns(1) == {}
