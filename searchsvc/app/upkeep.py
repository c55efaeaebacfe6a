"""Background tasks of a running service: they watch disk, memory, clock and streams, and follow changes of indexes."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

from events.errors import Unavailable
from events.log import EventLog
from events.server import NatsServer
from events.types import DeadLettersDropped
from searchsvc.app import clock_guard
from searchsvc.app.health import HealthNotes
from searchsvc.behavior import ingest_room
from searchsvc.behavior.dead_store import DeadStore
from searchsvc.behavior.keyring import Keyring
from searchsvc.indexing.indexers import Indexers
from searchsvc.runtime.room import RoomGuard
from searchsvc.state.control_follower import ControlFollower
from searchsvc.state.serving import Serving

ROOM_CHECK_EVERY_S: Final = 0.5
CLOCK_CHECK_EVERY_S: Final = 60.0
STREAMS_CHECK_EVERY_S: Final = 1.0
# How long health reports dead letters that were removed.
DROPPED_SHOWN_FOR: Final = timedelta(days=1)
FORGET_EVERY: Final = timedelta(days=1)
READY_CHECK_S: Final = 0.02


async def watch_room(disk: RoomGuard, memory: RoomGuard, nats: NatsServer | None, notes: HealthNotes) -> None:
    """Measure free disk space and memory until cancelled.

    nats: our own server; terminated once a full disk has space again, so that it is started anew. None for a
        configured one
    """
    while True:
        was_full = disk.full
        for part, guard in (("disk", disk), ("memory", memory)):
            await asyncio.to_thread(guard.update)
            notes.note(part, guard.reason)
        # A server that met a full disk refuses writes until it is started again.
        if was_full and not disk.full and nats is not None and not await asyncio.to_thread(nats.healthy):
            nats.terminate()
        await asyncio.sleep(ROOM_CHECK_EVERY_S)


async def watch_clock(data: Path, keyring: Keyring, notes: HealthNotes) -> None:
    """Record the time every minute, and once a day destroy the keys of users whose retention period has ended, until
    cancelled.

    Keys are kept while the clock may be far ahead; health reports that.
    """
    forgotten_at: datetime | None = None
    while True:
        now = datetime.now(UTC)
        ahead = await asyncio.to_thread(clock_guard.describe_clock_ahead, data, now)
        notes.note("clock", ahead or await asyncio.to_thread(clock_guard.describe_clock_behind, data, now))
        if not ahead:
            await asyncio.to_thread(clock_guard.record_use, data, now)
            if forgotten_at is None or now - forgotten_at >= FORGET_EVERY:
                await asyncio.to_thread(keyring.forget, now)
                forgotten_at = now
        await asyncio.sleep(CLOCK_CHECK_EVERY_S)


async def watch_streams(event_log: EventLog, dead: DeadStore, notes: HealthNotes) -> None:
    """Keep INGEST below its limit, and report in health what was removed from INGEST and DEAD, until cancelled."""
    while True:
        with suppress(Unavailable):  # health says so
            notes.note("INGEST", await ingest_room.make_room(event_log))
            notes.note("DEAD", _describe_dropped(await dead.dropped(), datetime.now(UTC)))
        await asyncio.sleep(STREAMS_CHECK_EVERY_S)


def _describe_dropped(dropped: DeadLettersDropped, now: datetime) -> str:
    """Return which dead letters were removed to make room; '' if none were lately."""
    if not dropped.n_dropped or now - dropped.timestamp > DROPPED_SHOWN_FOR:
        return ""
    return (
        f"{dropped.n_dropped} dead letters were removed to make room, the oldest first, the last time at "
        f"{dropped.timestamp:%Y-%m-%d %H:%M:%S}; `searchsvc events dead` lists the others"
    )


class PerIndexState(Protocol):
    """State that a part of the service keeps for each index."""

    def drop_others(self, indexes: Collection[str]) -> None:
        """Forget all but these indexes."""


async def reconcile_indexers(
    control: ControlFollower, serving: Serving, indexers: Indexers, states: Sequence[PerIndexState]
) -> None:
    """Open, close and rebuild indexes whenever CONTROL changes, until cancelled.

    states: told to drop the indexes that were deleted

    Not part of the follower: closing an indexer can take seconds, and changes of weights must not wait for it.
    """
    while True:
        await control.structure_changed.wait()
        control.structure_changed.clear()
        try:
            await indexers.reconcile()
            for state in states:
                state.drop_others(serving.current.control.indexes)
        except BaseException:
            control.structure_changed.set()  # it is tried again
            raise


async def announce_ready(
    notes: HealthNotes, serving: Serving, indexers: Indexers, caught_up: asyncio.Event, without_log: asyncio.Event
) -> None:
    """Set the status to ready once the service can answer.

    caught_up: set once BEHAVIOR is folded
    without_log: set if the service starts without the log
    """
    waiting = [asyncio.ensure_future(event.wait()) for event in (caught_up, without_log)]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    _freeze_startup_objects()
    while not _all_indexes_settled(serving, indexers):  # noqa: ASYNC110 - an indexer that fails wakes nothing
        await asyncio.sleep(READY_CHECK_S)
    if notes.status == "starting":
        notes.status = "ready"
    _freeze_startup_objects()


def _all_indexes_settled(serving: Serving, indexers: Indexers) -> bool:
    """Whether each index is either served or has failed."""
    current = serving.current
    return all(name in current.snapshots or name in indexers.failed for name in current.control.indexes)


def _freeze_startup_objects() -> None:
    """Exempt what the start allocated from garbage collection, and turn collection on, which the start turned off."""
    gc.collect()
    gc.freeze()
    gc.enable()
