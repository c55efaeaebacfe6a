"""CATALOG is vouched for across starts: what one start found missing, the next finds too."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from events.codec import encode
from events.errors import Corrupt
from events.log import Entry
from events.memory import MemoryEventLog
from events.types import DocumentDeleted
from searchsvc.app.log_watch import LogWatch


async def watched(log: MemoryEventLog, folder: Path) -> LogWatch:
    """A watch that has run until it had read everything or found something, and was then stopped as a service is."""
    begin = asyncio.Event()
    begin.set()
    watch = LogWatch(log, folder, begin)
    running = asyncio.create_task(watch.run())
    async with asyncio.timeout(5):
        while watch.read_at is None and not running.done():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)
    try:
        if running.done():
            await running
    finally:
        running.cancel()
        await asyncio.wait([running])
        await watch.save()
    return watch


async def write(log: MemoryEventLog, *names: str) -> None:
    for name in names:
        entry = Entry(f"catalog.shop.1.{name}", encode(DocumentDeleted(index="shop", id=name)))
        await log.append("CATALOG", entry)


def test_a_loss_that_was_found_is_found_again_at_every_start(tmp_path: Path) -> None:
    async def run() -> None:
        log = MemoryEventLog()
        await write(log, "a", "b", "c")
        await watched(log, tmp_path)
        log.lose("CATALOG", 2)
        for _ in range(3):
            with pytest.raises(Corrupt, match="at least 1 are missing"):
                await watched(log, tmp_path)

    asyncio.run(run())


def test_a_loss_while_it_runs_is_found_when_the_next_checkpoint_is_due(tmp_path: Path) -> None:
    async def run() -> None:
        log = MemoryEventLog()
        await write(log, "a", "b", "c")
        watch = await watched(log, tmp_path)
        log.lose("CATALOG", 2)
        with pytest.raises(Corrupt, match="at least 1 are missing"):
            await watch.save()
        with pytest.raises(Corrupt, match="at least 1 are missing"):
            await watched(log, tmp_path)

    asyncio.run(run())


def test_what_is_written_and_replaced_is_no_loss(tmp_path: Path) -> None:
    async def run() -> None:
        log = MemoryEventLog()
        await write(log, "a", "b")
        await watched(log, tmp_path)
        await write(log, "a", "b", "b", "c")
        watch = await watched(log, tmp_path)
        assert watch.read_at is not None

    asyncio.run(run())
