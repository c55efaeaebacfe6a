"""A rebuilt index: it has every document in its newest version, and a failed rebuild changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from events.errors import NotFound, Unavailable
from events.log import Record
from events.memory import MemoryEventLog
from events.streams import StreamName
from searchsvc.engines.protocol import EngineSnapshot
from searchsvc.indexing.rebuild import Canary, RebuildComparison
from tests.factories import alike
from tests.indexed_shop import OTHER_SETTINGS, SETTINGS, TIMEOUT_S, GatedIndexes, IndexedShop

pytestmark = pytest.mark.anyio


async def test_a_new_index_replaces_the_old_and_holds_what_was_written_meanwhile(tmp_path: Path) -> None:
    written_seqs: list[int] = []
    loop = asyncio.get_running_loop()

    def write_between_reads(index: str, before: EngineSnapshot, after: EngineSnapshot) -> RebuildComparison:
        """Called after the first read and before the last step."""
        for work in (shop.write("late", title="late shoe"), shop.write("1", title="blue hat"), shop.delete("2")):
            written_seqs.append(asyncio.run_coroutine_threadsafe(work, loop).result(TIMEOUT_S))
        return alike(index, before, after)

    shop = IndexedShop(tmp_path, write_between_reads)
    await shop.configure(SETTINGS)
    for number in range(200):
        seq = await shop.write(str(number), title=f"red shoe {number}")
    before = await shop.served(seq)
    status = shop.indexers.rebuild("shop")
    assert shop.indexers.rebuild("shop") is status, "one at a time"
    status = await shop.rebuilt()
    after = await shop.served(written_seqs[-1])
    assert (status.phase, status.error, status.n_read) == ("done", "", 200)
    assert status.comparison == RebuildComparison(200, 200, 0, 1.0, [])
    assert after.generation == status.after != before.generation == status.before
    reading = after.reading()
    assert (after.n_documents, reading.find("2"), reading.find("late") is None) == (200, None, False)
    slot = reading.find("1")
    assert slot is not None
    assert b"blue hat" in bytes(reading.read([slot])[0] or b"")
    # Later writes go into the new index, and a restart opens it.
    seq = await shop.write("next", title="x")
    digest = (await shop.served(seq)).digest
    await shop.indexers.close()
    restarted = IndexedShop(tmp_path, alike, log=shop.log)
    await restarted.configure(SETTINGS)
    opened = await restarted.served(seq)
    assert (opened.generation, opened.digest) == (status.after, digest)
    await restarted.indexers.close()


async def test_both_indexes_are_compared_with_the_same_documents(tmp_path: Path) -> None:
    compared: list[tuple[EngineSnapshot, EngineSnapshot]] = []

    def keep(index: str, before: EngineSnapshot, after: EngineSnapshot) -> RebuildComparison:
        compared.append((before, after))
        return alike(index, before, after)

    shop = IndexedShop(tmp_path, keep)
    await shop.configure(SETTINGS)
    for number in range(600):
        seq = await shop.write(str(number), title=f"red shoe {number}")
    await shop.served(seq)
    shop.indexers.rebuild("shop")

    async def write() -> None:
        while True:
            await shop.write(str(await shop.write("1", title="blue hat")), title="green hat")
            await asyncio.sleep(0.001)  # or it writes faster than two indexes can be read

    writing = asyncio.create_task(write())
    await shop.rebuilt()
    writing.cancel()
    ((before, after),) = compared
    assert before.digest == after.digest
    await shop.indexers.close()


async def test_changed_settings_build_a_new_index_while_the_old_one_is_searched_and_written(tmp_path: Path) -> None:
    may_finish = asyncio.Event()
    loop = asyncio.get_running_loop()

    def wait(index: str, before: EngineSnapshot, after: EngineSnapshot) -> RebuildComparison:
        asyncio.run_coroutine_threadsafe(may_finish.wait(), loop).result(TIMEOUT_S)
        return alike(index, before, after)

    shop = IndexedShop(tmp_path, wait)
    await shop.configure(SETTINGS)
    seq = await shop.write("1", title="shoe", brand="Acme")
    before = await shop.served(seq)
    await shop.configure(OTHER_SETTINGS)
    seq = await shop.write("2", title="hat", brand="Acme")
    meanwhile = await shop.served(seq)
    assert (meanwhile.generation, meanwhile.settings, meanwhile.n_documents) == (before.generation, SETTINGS, 2)
    may_finish.set()
    status = await shop.rebuilt()
    assert (status.phase, status.trigger, status.error) == ("done", "settings", "")
    after = shop.serving.current.snapshots["shop"]
    assert (after.settings, after.n_documents, after.generation) == (OTHER_SETTINGS, 2, status.after)
    # Changed back before anything was built: nothing is left to do.
    may_finish.clear()
    await shop.configure(SETTINGS)
    await shop.configure(OTHER_SETTINGS)
    may_finish.set()
    assert shop.serving.current.snapshots["shop"] is after
    await shop.indexers.close()


async def test_an_index_whose_answers_differ_is_refused_unless_forced(tmp_path: Path) -> None:
    def lose_hits(index: str, before: EngineSnapshot, after: EngineSnapshot) -> RebuildComparison:
        canary = Canary("red shoe", ["1", "2"], [])
        return RebuildComparison(before.n_documents, after.n_documents, 20, 0.95, [canary])

    shop = IndexedShop(tmp_path, lose_hits)
    await shop.configure(SETTINGS)
    before = await shop.served(await shop.write("1", title="red shoe"))
    shop.indexers.rebuild("shop")
    status = await shop.rebuilt()
    assert (status.phase, "'red shoe' finds nothing any more" in status.error) == ("failed", True)
    assert shop.serving.current.snapshots["shop"] is before
    # The task of the failed rebuild ends in the next turn of the loop.
    await asyncio.sleep(0)
    shop.indexers.rebuild("shop", force=True)
    status = await shop.rebuilt()
    assert (status.phase, shop.serving.current.snapshots["shop"].generation) == ("done", status.after)
    await shop.indexers.close()


async def test_a_rebuild_that_is_not_possible_names_the_reason(tmp_path: Path) -> None:
    indexes = GatedIndexes(tmp_path)
    shop = IndexedShop(tmp_path, indexes=indexes)
    with pytest.raises(NotFound, match="no index 'shop'"):
        shop.indexers.rebuild("shop")
    indexes.may_open.clear()
    await shop.configure(SETTINGS)
    with pytest.raises(Unavailable, match="being built"):
        shop.indexers.rebuild("shop")
    indexes.may_open.set()
    before = await shop.served(await shop.write("1", title="red shoe"))
    shop.indexers.rebuild("shop", previous=True)
    status = await shop.rebuilt()
    assert (status.phase, "keeps no previous index" in status.error) == ("failed", True)
    assert shop.serving.current.snapshots["shop"].generation == before.generation
    await shop.indexers.close()
    assert shop.indexers.last_rebuild("shop") is None


@pytest.mark.parametrize("end", ["stopped", "dropped", "changed"])
async def test_a_replacement_under_way_is_finished_before_its_index_is_stopped_dropped_or_changed(
    tmp_path: Path, end: str
) -> None:
    indexes = GatedIndexes(tmp_path)
    shop = IndexedShop(tmp_path, alike, indexes=indexes)
    await shop.configure(SETTINGS)
    seq = await shop.write("1", title="shoe", brand="Acme")
    await shop.served(seq)
    indexes.hold()
    await shop.configure(OTHER_SETTINGS)
    assert await asyncio.to_thread(indexes.about_to_adopt.wait, TIMEOUT_S)
    status = shop.indexers.last_rebuild("shop")
    assert status is not None
    work = {"stopped": shop.indexers.close(), "dropped": shop.drop(), "changed": shop.configure(SETTINGS)}
    ending = asyncio.create_task(work.pop(end))
    for unused in work.values():
        unused.close()
    # It waits for the replacement.
    await asyncio.wait([ending], timeout=0.05)
    assert not ending.done()
    indexes.may_adopt.set()
    await asyncio.wait_for(ending, TIMEOUT_S)
    if end == "changed":
        await shop.rebuilt()
        assert shop.serving.current.snapshots["shop"].settings == SETTINGS
        assert (await shop.served(await shop.write("2", title="hat"))).n_documents == 2
    assert status.phase == "done"
    if end == "dropped":
        assert "shop" not in shop.serving.current.snapshots
        assert not list((tmp_path / "indexes").iterdir())
        await shop.configure(SETTINGS)
        assert (await shop.served(0)).n_documents == 0
    await shop.indexers.close()
    if end == "stopped":
        restarted = IndexedShop(tmp_path, alike, log=shop.log)
        await restarted.configure(OTHER_SETTINGS)
        opened = await restarted.served(seq)
        assert (opened.generation, opened.settings, opened.n_documents) == (status.after, OTHER_SETTINGS, 1)
        await restarted.indexers.close()


class InterruptedLog(MemoryEventLog):
    """Raises Unavailable in everything that follows it, whenever `away` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.away = asyncio.Event()

    async def follow(self, stream: StreamName, *, after: int = 0, subject: str | None = None) -> AsyncIterator[Record]:
        records = super().follow(stream, after=after, subject=subject)
        away = asyncio.ensure_future(self.away.wait())
        while True:
            coming = asyncio.ensure_future(anext(records))
            try:
                await asyncio.wait([coming, away], return_when=asyncio.FIRST_COMPLETED)
                if not coming.done():
                    raise Unavailable("the log is away")
                yield coming.result()
            finally:
                coming.cancel()


async def test_an_index_that_is_opened_again_during_its_replacement_continues_with_the_new_one(tmp_path: Path) -> None:
    log, indexes = InterruptedLog(), GatedIndexes(tmp_path)
    shop = IndexedShop(tmp_path, alike, log=log, indexes=indexes)
    await shop.configure(SETTINGS)
    await shop.served(await shop.write("1", title="shoe", brand="Acme"))
    indexes.hold()
    await shop.configure(OTHER_SETTINGS)
    assert await asyncio.to_thread(indexes.about_to_adopt.wait, TIMEOUT_S)
    indexer = shop.indexers.indexer("shop")
    assert indexer is not None
    log.away.set()
    async with asyncio.timeout(TIMEOUT_S):
        while indexer.n_opened == 1:  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.01)
    log.away.clear()
    indexes.may_adopt.set()
    assert (await shop.rebuilt()).phase == "done"
    seq = await shop.write("2", title="hat", brand="Acme")
    after = await shop.served(seq)
    assert (after.settings, after.n_documents) == (OTHER_SETTINGS, 2)
    assert indexer.engine is not None
    assert indexer.engine.settings == OTHER_SETTINGS
    await shop.indexers.close()
    restarted = IndexedShop(tmp_path, alike, log=shop.log)
    await restarted.configure(OTHER_SETTINGS)
    assert (await restarted.served(seq)).n_documents == 2
    await restarted.indexers.close()
