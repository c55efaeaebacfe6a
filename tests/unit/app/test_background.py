"""Background tasks: their failures are noted, and all end."""

from __future__ import annotations

import asyncio

import pytest

from events.errors import Corrupt, Unavailable
from searchsvc.app.background import BackgroundTasks
from searchsvc.app.health import HealthNotes
from tests.waiting import wait_for_async


async def fail(error: Exception) -> None:
    raise error


@pytest.mark.anyio
async def test_a_task_that_fails_is_noted_with_its_reason() -> None:
    notes = HealthNotes()
    background = BackgroundTasks(notes)
    background.run(fail(Unavailable("the log is away")), "scheduler")
    background.run(fail(ExceptionGroup("two", [ValueError()])), "control")
    await wait_for_async(lambda: len(notes.reasons) == 2, "both failures")
    assert notes.reasons == {"scheduler": "the log is away", "control": "ValueError"}
    assert notes.status == "starting"


@pytest.mark.anyio
async def test_a_task_that_finds_damage_makes_the_service_corrupt() -> None:
    notes = HealthNotes()
    BackgroundTasks(notes).run(fail(ExceptionGroup("one", [Corrupt("a message is missing")])), "log watch")
    await wait_for_async(lambda: notes.status == "corrupt", "the status")
    assert notes.reasons == {"log watch": "a message is missing"}


@pytest.mark.anyio
async def test_every_task_is_cancelled_at_the_end_and_none_is_noted() -> None:
    notes = HealthNotes()
    background = BackgroundTasks(notes)
    background.run(asyncio.sleep(3600), "sleeper")
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
