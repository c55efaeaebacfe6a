"""Background tasks: their failures are noted, and all end."""

from __future__ import annotations

import asyncio

import pytest

from events.errors import Corrupt, LaterVersion, Unavailable
from searchsvc.app import background as background_module
from searchsvc.app.background import BackgroundTasks
from searchsvc.app.health import HealthNotes
from tests.waiting import wait_for_async


class Part:
    """A part of a service that fails with these errors, one each time it is started, and then goes on.

    n_started: how often it was started
    """

    def __init__(self, *errors: Exception) -> None:
        self._errors = errors
        self.n_started = 0

    async def run(self) -> None:
        self.n_started += 1
        if self.n_started <= len(self._errors):
            raise self._errors[self.n_started - 1]
        await asyncio.sleep(3600)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background_module, "RESTART_AFTER_S", 0.05)
    monkeypatch.setattr(background_module, "WELL_AFTER_S", 0.2)


@pytest.mark.anyio
async def test_a_part_that_fails_is_noted_with_its_reason_and_started_again() -> None:
    notes = HealthNotes()
    background, part = BackgroundTasks(notes), Part(Unavailable("the log is away"), ValueError())
    background.run(part.run, "scheduler")
    await wait_for_async(lambda: notes.reasons == {"scheduler": "the log is away"}, "the first failure")
    await wait_for_async(lambda: notes.reasons == {"scheduler": "ValueError"}, "the second failure")
    await wait_for_async(lambda: notes.reasons == {}, "the part to be well again")
    assert part.n_started == 3
    assert notes.status == "starting"
    await background.end()


@pytest.mark.anyio
@pytest.mark.parametrize("error", [Corrupt("a message is missing"), LaterVersion("upgrade")])
async def test_a_part_that_only_a_person_can_help_is_not_started_again(error: Exception) -> None:
    notes = HealthNotes()
    background, part = BackgroundTasks(notes), Part(error, error)
    background.run(part.run, "log watch")
    await wait_for_async(lambda: notes.reasons == {"log watch": str(error)}, "the failure")
    await asyncio.sleep(0.2)
    assert part.n_started == 1
    assert notes.status == ("corrupt" if isinstance(error, Corrupt) else "starting")


@pytest.mark.anyio
async def test_a_part_can_be_started_anew() -> None:
    notes = HealthNotes()
    background, part = BackgroundTasks(notes), Part()
    background.run(part.run, "control")
    await wait_for_async(lambda: part.n_started == 1, "the start")
    await background.restart("control")
    await wait_for_async(lambda: part.n_started == 2, "the second start")
    assert notes.reasons == {}
    await background.end()


@pytest.mark.anyio
async def test_every_task_is_cancelled_at_the_end_and_none_is_noted() -> None:
    notes = HealthNotes()
    background = BackgroundTasks(notes)
    background.run(Part().run, "sleeper")
    task = background.add(asyncio.sleep(3600), "awaited")
    await asyncio.sleep(0)  # both begin
    await background.end()
    assert task.cancelled()
    assert notes.reasons == {}


def test_a_part_that_is_well_again_is_not_noted_any_more() -> None:
    notes = HealthNotes()
    notes.note("disk", "the disk is 95% full")
    notes.note("disk", "")
    notes.note("log", "")
    assert notes.reasons == {}
