"""When a service is ready, and what it keeps up."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import msgspec
import pytest

from events import control
from events.codec import encode
from events.log import Entry
from events.memory import MemoryEventLog
from events.server import NatsServer
from events.streams import DROPPED_SUBJECT
from events.tasks import end
from events.types import DeadLettersDropped, IndexConfigured
from searchsvc.app import upkeep
from searchsvc.app.health import HealthNotes
from searchsvc.behavior.dead_store import DeadStore
from searchsvc.indexing.indexers import Indexers
from searchsvc.runtime.room import RoomGuard
from searchsvc.state.control_follower import ControlFollower
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


class FakeControl:
    """structure_changed: set whenever indexes are created, changed or deleted"""

    def __init__(self) -> None:
        self.structure_changed = asyncio.Event()


class ReconciledIndexers(FakeIndexers):
    async def reconcile(self) -> None:
        return


class Memory:
    """indexes: that it was told to keep"""

    indexes: list[str] | None = None

    def drop_others(self, indexes: Collection[str]) -> None:
        self.indexes = sorted(indexes)


@pytest.mark.anyio
async def test_what_is_remembered_of_deleted_indexes_is_dropped_whenever_indexes_change() -> None:
    following, serving, memories = FakeControl(), Serving(), [Memory(), Memory()]
    indexers = cast("Indexers", ReconciledIndexers())
    reconciling = asyncio.create_task(
        upkeep.reconcile_indexers(cast("ControlFollower", following), serving, indexers, memories)
    )
    await serve_control(serving)
    following.structure_changed.set()
    await wait_for_async(lambda: [memory.indexes for memory in memories] == [["shop"]] * 2, "the index that is left")
    await serving.set_control(control.ControlState(seq=2))
    following.structure_changed.set()
    await wait_for_async(lambda: [memory.indexes for memory in memories] == [[]] * 2, "no index")
    await end([reconciling])


def dropped(n_dropped: int, hours_ago: int) -> DeadLettersDropped:
    at = datetime.now(UTC) - timedelta(hours=hours_ago)
    return DeadLettersDropped(n_dropped=n_dropped, through_seq=9, through_timestamp=at, timestamp=at)


@pytest.mark.anyio
@pytest.mark.parametrize(("n_dropped", "hours_ago", "is_told"), [(0, 1, False), (7, 23, True), (7, 25, False)])
async def test_health_tells_of_dropped_dead_letters_for_a_day(n_dropped: int, hours_ago: int, is_told: bool) -> None:
    log, notes = MemoryEventLog(), HealthNotes()
    await log.append("DEAD", Entry(DROPPED_SUBJECT, encode(dropped(n_dropped, hours_ago))))
    watching = asyncio.create_task(upkeep.watch_streams(log, DeadStore(log), notes))
    for _ in range(10):
        await asyncio.sleep(0)
    await end([watching])
    assert ("DEAD" in notes.reasons) is is_told
    if is_told:
        assert notes.reasons["DEAD"].startswith("7 dead letters were removed to make room")
