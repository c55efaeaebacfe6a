"""The log watch: a loss that one start finds, the next finds too."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from events.codec import encode
from events.errors import Corrupt
from events.log import Entry
from events.memory import MemoryEventLog
from events.types import BehaviorBatch, DocumentDeleted
from searchsvc.app.log_watch import LogWatch
from tests.factories import click
from tests.waiting import wait_for_async


async def run_watch(log: MemoryEventLog, folder: Path) -> LogWatch:
    """Return a watch that ran until it had read everything or failed, and was then stopped."""
    begin = asyncio.Event()
    begin.set()
    watch = LogWatch(log, folder, begin)
    running = asyncio.create_task(watch.run())
    await wait_for_async(lambda: watch.read_at is not None or running.done(), "the end of reading")
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


@pytest.mark.anyio
async def test_a_loss_that_was_found_is_found_again_at_every_start(tmp_path: Path) -> None:
    log = MemoryEventLog()
    await write(log, "a", "b", "c")
    await run_watch(log, tmp_path)
    log.lose("CATALOG", 2)
    for _ in range(3):
        with pytest.raises(Corrupt, match="at least 1 are missing"):
            await run_watch(log, tmp_path)


@pytest.mark.anyio
async def test_a_loss_while_the_service_runs_is_found_when_the_next_checkpoint_is_due(tmp_path: Path) -> None:
    log = MemoryEventLog()
    await write(log, "a", "b", "c")
    watch = await run_watch(log, tmp_path)
    log.lose("CATALOG", 2)
    with pytest.raises(Corrupt, match="at least 1 are missing"):
        await watch.save()
    with pytest.raises(Corrupt, match="at least 1 are missing"):
        await run_watch(log, tmp_path)


@pytest.mark.anyio
async def test_the_newest_behavior_is_missed_although_nobody_had_read_it(tmp_path: Path) -> None:
    log = MemoryEventLog()
    for name in ("a", "b"):
        await log.append("BEHAVIOR", Entry("behavior.shop", encode(BehaviorBatch(events=[click(name, None)]))))
    await run_watch(log, tmp_path)
    log.lose("BEHAVIOR", 2)
    with pytest.raises(Corrupt, match="2 was read before and is missing"):
        await run_watch(log, tmp_path)


@pytest.mark.anyio
async def test_a_stream_that_was_empty_lacks_nothing(tmp_path: Path) -> None:
    log = MemoryEventLog()
    await run_watch(log, tmp_path)
    await run_watch(log, tmp_path)
    await log.append("BEHAVIOR", Entry("behavior.shop", encode(BehaviorBatch(events=[click("a", None)]))))
    await run_watch(log, tmp_path)


@pytest.mark.anyio
async def test_a_replaced_document_is_not_a_loss(tmp_path: Path) -> None:
    log = MemoryEventLog()
    await write(log, "a", "b")
    await run_watch(log, tmp_path)
    await write(log, "a", "b", "b", "c")
    watch = await run_watch(log, tmp_path)
    assert watch.read_at is not None
