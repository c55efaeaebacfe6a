"""When a service is ready, and what it keeps up."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

import msgspec
import pytest

from events import control
from events.server import NatsServer
from events.tasks import end
from events.types import IndexConfigured
from searchsvc.app import upkeep
from searchsvc.app.health import HealthNotes
from searchsvc.indexing.indexers import Indexers
from searchsvc.runtime.room import RoomGuard
from searchsvc.state.serving import Serving
from tests.factories import NOW, SETTINGS, engine
from tests.waiting import wait_for_async


class FakeIndexers:
    """failed: by index, why"""

    def __init__(self) -> None:
        self.failed: dict[str, str] = {}


async def serve_control(serving: Serving) -> None:
    event = IndexConfigured(id="1", timestamp=NOW, index="shop", settings=SETTINGS, default_weights={})
    await serving.set_control(control.fold(control.ControlState(), event, 1))


@pytest.mark.anyio
@pytest.mark.parametrize("outcome", ["served", "failed"])
async def test_a_service_is_ready_once_behavior_is_read_and_each_index_is_served_or_failed(
    tmp_path: Path, outcome: str
) -> None:
    notes, serving, indexers = HealthNotes(), Serving(), FakeIndexers()
    await serve_control(serving)
    caught_up, without_log = asyncio.Event(), asyncio.Event()
    announcing = asyncio.create_task(
        upkeep.announce_ready(notes, serving, cast("Indexers", indexers), caught_up, without_log)
    )
    await asyncio.sleep(0)
    caught_up.set()
    await asyncio.sleep(3 * upkeep.READY_CHECK_S)
    assert (notes.status, announcing.done()) == ("starting", False)
    if outcome == "served":
        await serving.set_snapshot("shop", 1, engine(tmp_path).snapshot())
    else:
        indexers.failed["shop"] = "the disk is full"
    await wait_for_async(announcing.done, "the announcement")
    assert notes.status == "ready"


@pytest.mark.anyio
async def test_a_service_without_its_log_is_ready_too_and_one_that_is_corrupt_stays_so() -> None:
    for status in ("starting", "corrupt"):
        notes, without_log = HealthNotes(), asyncio.Event()
        notes.status = status
        without_log.set()
        await upkeep.announce_ready(notes, Serving(), cast("Indexers", FakeIndexers()), asyncio.Event(), without_log)
        assert notes.status == ("ready" if status == "starting" else "corrupt")


class Usage(msgspec.Struct):
    total: int
    free: int


class FakeServer:
    """healthy: what it answers; n_terminated: how often it was ended"""

    def __init__(self) -> None:
        self.n_terminated = 0

    def healthy(self) -> bool:
        return False

    def terminate(self) -> None:
        self.n_terminated += 1


@pytest.mark.anyio
async def test_a_server_that_met_a_full_disk_is_restarted_once_there_is_room() -> None:
    usage = Usage(100, 1)
    disk, memory = (
        RoomGuard(name, lambda: usage, warn_share=0.8, stop_share=0.9, enough_bytes=1000) for name in ("disk", "memory")
    )
    notes, server = HealthNotes(), FakeServer()
    watching = asyncio.create_task(upkeep.watch_room(disk, memory, cast("NatsServer", server), notes))
    await wait_for_async(lambda: {"disk", "memory"} <= notes.reasons.keys(), "the full disk")
    assert server.n_terminated == 0
    usage.free = 90
    await wait_for_async(lambda: server.n_terminated == 1, "the restart")
    assert "disk" not in notes.reasons
    await end([watching])
