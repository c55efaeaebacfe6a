"""An index built anew beside: nothing is lost, nothing is stale, and what fails changes nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from events import control
from events.codec import encode
from events.errors import NotFound, Unavailable
from events.index_control import IndexControl
from events.log import Entry, Record
from events.memory import MemoryEventLog
from events.settings import IndexSettings, SearchableField
from events.streams import StreamName, catalog_subject
from events.types import ControlEvent, DocumentDeleted, DocumentUpserted, IndexConfigured, IndexDeleted
from searchsvc.behavior.query_counts import QueryCounts
from searchsvc.engines.embedded.indexes import EmbeddedIndexes, EmbeddedStorage
from searchsvc.engines.protocol import Engine, EngineSnapshot
from searchsvc.indexing.indexers import Indexers
from searchsvc.indexing.rebuild import Canary, Compare, Comparison, RebuildStatus
from searchsvc.rehearsal.canaries import Canaries
from searchsvc.search.searcher import Searcher
from searchsvc.state.serving import Serving
from tests.factories import NOW, alike

PATIENCE_S = 10.0
SETTINGS = IndexSettings(searchable=(SearchableField("title"),), title="title")
OTHER = IndexSettings(searchable=(SearchableField("title"), SearchableField("brand")), title="title")


class Shop:
    """Indexes behind a log in memory. log: of a service before this one."""

    def __init__(
        self,
        folder: Path,
        compare: Compare | None = None,
        *,
        log: MemoryEventLog | None = None,
        indexes: EmbeddedIndexes | None = None,
    ) -> None:
        self.log, self.serving = log or MemoryEventLog(), Serving()
        indexes = indexes or EmbeddedIndexes(folder, "", 0)
        canaries = Canaries(Searcher(None, n_candidates=10), self.serving, QueryCounts())
        self.indexers = Indexers(indexes, self.log, self.serving, None, compare or canaries.compare)

    async def configure(self, settings: IndexSettings, index: str = "shop") -> None:
        event = IndexConfigured(id=str(self._next), timestamp=NOW, index=index, settings=settings, default_weights={})
        await self._control(event)

    async def drop(self, index: str = "shop") -> None:
        await self._control(IndexDeleted(id=str(self._next), timestamp=NOW, index=index))

    async def write(self, name: str, *, index: str = "shop", **members: object) -> int:
        text = msgspec.Raw(msgspec.json.encode({"id": name, **members}))
        created_seq = self.serving.current.control.index(index).created_seq
        event = DocumentUpserted(index=index, id=name, document=text)
        return await self.log.append("CATALOG", Entry(catalog_subject(index, created_seq, name), encode(event)))

    async def delete(self, name: str) -> int:
        event = DocumentDeleted(index="shop", id=name)
        return await self.log.append("CATALOG", Entry(catalog_subject("shop", 1, name), encode(event)))

    async def shown(self, seq: int, index: str = "shop") -> EngineSnapshot:
        state = await self.serving.until(
            lambda s: index in s.snapshots and s.snapshots[index].catalog_seq >= seq, PATIENCE_S, f"CATALOG {seq}"
        )
        return state.snapshots[index]

    async def rebuilt(self) -> RebuildStatus:
        running = self.indexers._running["shop"]
        assert running.rebuilding is not None
        await asyncio.wait_for(running.rebuilding, PATIENCE_S)
        status = self.indexers.last_rebuild("shop")
        assert status is not None
        return status

    @property
    def _next(self) -> int:
        return self.serving.current.control.seq + 1

    async def _control(self, event: ControlEvent) -> None:
        await self.serving.set_control(control.fold(self.serving.current.control, event, self._next))
        await self.indexers.reconcile()


class SlowToAdopt(EmbeddedIndexes):
    """about_to: set when an index is about to be adopted, which waits until it `may`. full: names of indexes that
    cannot be saved; saved: of those that were."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "", 0)
        self.about_to, self.may = threading.Event(), threading.Event()
        self.may.set()
        self.full: set[str] = set()
        self.saved: list[str] = []

    def storage(self, control: IndexControl) -> EmbeddedStorage:
        found = super().storage(control)
        adopt, save = found.adopt, found.save

        def slowly(engine: Engine) -> None:
            self.about_to.set()
            assert self.may.wait(PATIENCE_S)
            adopt(engine)

        def or_not() -> None:
            if control.name in self.full:
                raise OSError("no space left on the disk")
            self.saved.append(control.name)
            save()

        found.adopt, found.save = slowly, or_not  # type: ignore[method-assign]
        return found


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def within() -> None:
        await test()

    asyncio.run(within())


def test_a_new_index_takes_the_place_of_the_old_and_holds_what_was_written_meanwhile(tmp_path: Path) -> None:
    async def test() -> None:
        meanwhile: list[int] = []
        loop = asyncio.get_running_loop()

        def compare(index: str, before: EngineSnapshot, after: EngineSnapshot) -> Comparison:
            # Between what was read first and the last step.
            for work in (shop.write("late", title="late shoe"), shop.write("1", title="blue hat"), shop.delete("2")):
                meanwhile.append(asyncio.run_coroutine_threadsafe(work, loop).result(PATIENCE_S))
            return alike(index, before, after)

        shop = Shop(tmp_path, compare)
        await shop.configure(SETTINGS)
        for number in range(200):
            seq = await shop.write(str(number), title=f"red shoe {number}")
        before = await shop.shown(seq)
        status = shop.indexers.rebuild("shop")
        assert shop.indexers.rebuild("shop") is status, "one at a time"
        status = await shop.rebuilt()
        after = await shop.shown(meanwhile[-1])
        assert (status.phase, status.error, status.n_read) == ("done", "", 200)
        assert status.comparison == Comparison(200, 200, 0, 1.0, [])
        assert after.generation == status.after != before.generation == status.before
        reading = after.reading()
        assert (after.n_documents, reading.find("2"), reading.find("late") is None) == (200, None, False)
        slot = reading.find("1")
        assert slot is not None
        assert b"blue hat" in bytes(reading.read([slot])[0] or b"")
        # What comes afterwards goes into the new one, and a start finds that.
        seq = await shop.write("next", title="x")
        digest = (await shop.shown(seq)).digest
        await shop.indexers.close()
        again = Shop(tmp_path, alike, log=shop.log)
        await again.configure(SETTINGS)
        opened = await again.shown(seq)
        assert (opened.generation, opened.digest) == (status.after, digest)
        await again.indexers.close()

    run(test)


def test_other_settings_build_an_index_beside_and_the_old_one_is_searched_and_kept_up_to_date(tmp_path: Path) -> None:
    async def test() -> None:
        held = asyncio.Event()
        loop = asyncio.get_running_loop()

        def compare(index: str, before: EngineSnapshot, after: EngineSnapshot) -> Comparison:
            asyncio.run_coroutine_threadsafe(held.wait(), loop).result(PATIENCE_S)
            return alike(index, before, after)

        shop = Shop(tmp_path, compare)
        await shop.configure(SETTINGS)
        seq = await shop.write("1", title="shoe", brand="Acme")
        before = await shop.shown(seq)
        await shop.configure(OTHER)
        seq = await shop.write("2", title="hat", brand="Acme")
        meanwhile = await shop.shown(seq)
        assert (meanwhile.generation, meanwhile.settings, meanwhile.n_documents) == (before.generation, SETTINGS, 2)
        held.set()
        status = await shop.rebuilt()
        assert (status.phase, status.trigger, status.error) == ("done", "settings", "")
        after = shop.serving.current.snapshots["shop"]
        assert (after.settings, after.n_documents, after.generation) == (OTHER, 2, status.after)
        # Back again before anything was built: nothing is left to do.
        await shop.configure(SETTINGS)
        await shop.configure(OTHER)
        assert shop.serving.current.snapshots["shop"] is after
        await shop.indexers.close()

    run(test)


def test_an_index_that_finds_something_else_is_refused_unless_it_is_forced(tmp_path: Path) -> None:
    async def test() -> None:
        def compare(index: str, before: EngineSnapshot, after: EngineSnapshot) -> Comparison:
            silent = Canary("red shoe", ["1", "2"], [])
            return Comparison(before.n_documents, after.n_documents, 20, 0.95, [silent])

        shop = Shop(tmp_path, compare)
        await shop.configure(SETTINGS)
        before = await shop.shown(await shop.write("1", title="red shoe"))
        shop.indexers.rebuild("shop")
        status = await shop.rebuilt()
        assert (status.phase, "'red shoe' finds nothing any more" in status.error) == ("failed", True)
        assert shop.serving.current.snapshots["shop"] is before
        shop.indexers.rebuild("shop", forced=True)
        status = await shop.rebuilt()
        assert (status.phase, shop.serving.current.snapshots["shop"].generation) == ("done", status.after)
        await shop.indexers.close()

    run(test)


def test_what_cannot_be_built_is_said(tmp_path: Path) -> None:
    async def test() -> None:
        shop = Shop(tmp_path)
        with pytest.raises(NotFound, match="no index 'shop'"):
            shop.indexers.rebuild("shop")
        await shop.configure(SETTINGS)
        with pytest.raises(Unavailable, match="being built"):
            shop.indexers.rebuild("shop")
        before = await shop.shown(await shop.write("1", title="red shoe"))
        shop.indexers.rebuild("shop", previous=True)
        status = await shop.rebuilt()
        assert (status.phase, "keeps no index of before" in status.error) == ("failed", True)
        assert shop.serving.current.snapshots["shop"] is before
        await shop.indexers.close()
        assert shop.indexers.last_rebuild("shop") is None

    run(test)


@pytest.mark.parametrize("then", ["stopped", "dropped", "changed"])
def test_an_index_that_is_stopped_while_another_takes_its_place_goes_on_with_that(tmp_path: Path, then: str) -> None:
    async def test() -> None:
        indexes = SlowToAdopt(tmp_path)
        shop = Shop(tmp_path, alike, indexes=indexes)
        await shop.configure(SETTINGS)
        seq = await shop.write("1", title="shoe", brand="Acme")
        await shop.shown(seq)
        indexes.about_to.clear()
        indexes.may.clear()
        await shop.configure(OTHER)
        assert await asyncio.to_thread(indexes.about_to.wait, PATIENCE_S)
        status = shop.indexers.last_rebuild("shop")
        assert status is not None
        work = {"stopped": shop.indexers.close(), "dropped": shop.drop(), "changed": shop.configure(SETTINGS)}
        ending = asyncio.create_task(work.pop(then))
        for unused in work.values():
            unused.close()
        # It waits for what is half done.
        await asyncio.wait([ending], timeout=0.05)
        assert not ending.done()
        indexes.may.set()
        await asyncio.wait_for(ending, PATIENCE_S)
        if then == "changed":
            await shop.rebuilt()
            assert shop.serving.current.snapshots["shop"].settings == SETTINGS
            assert (await shop.shown(await shop.write("2", title="hat"))).n_documents == 2
        assert status.phase == "done"
        if then == "dropped":
            assert "shop" not in shop.serving.current.snapshots
            assert not list(tmp_path.iterdir())
            await shop.configure(SETTINGS)
            assert (await shop.shown(0)).n_documents == 0
        await shop.indexers.close()
        if then == "stopped":
            again = Shop(tmp_path, alike, log=shop.log)
            await again.configure(OTHER)
            opened = await again.shown(seq)
            assert (opened.generation, opened.settings, opened.n_documents) == (status.after, OTHER, 1)
            await again.indexers.close()

    run(test)


class BreaksOff(MemoryEventLog):
    """Whoever follows it is told that it is away, whenever `away` is set."""

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


def test_an_index_that_is_opened_again_while_another_takes_its_place_goes_on_with_that(tmp_path: Path) -> None:
    async def test() -> None:
        log, indexes = BreaksOff(), SlowToAdopt(tmp_path)
        shop = Shop(tmp_path, alike, log=log, indexes=indexes)
        await shop.configure(SETTINGS)
        await shop.shown(await shop.write("1", title="shoe", brand="Acme"))
        indexes.about_to.clear()
        indexes.may.clear()
        await shop.configure(OTHER)
        assert await asyncio.to_thread(indexes.about_to.wait, PATIENCE_S)
        indexer = shop.indexers._running["shop"].indexer
        log.away.set()
        async with asyncio.timeout(PATIENCE_S):
            while indexer.n_opened == 1:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.01)
        log.away.clear()
        indexes.may.set()
        assert (await shop.rebuilt()).phase == "done"
        seq = await shop.write("2", title="hat", brand="Acme")
        after = await shop.shown(seq)
        assert (after.settings, after.n_documents) == (OTHER, 2)
        assert indexer.engine is not None
        assert indexer.engine.settings == OTHER
        await shop.indexers.close()
        again = Shop(tmp_path, alike, log=shop.log)
        await again.configure(OTHER)
        assert (await again.shown(seq)).n_documents == 2
        await again.indexers.close()

    run(test)


def test_an_index_that_cannot_be_saved_keeps_no_other_from_it(tmp_path: Path) -> None:
    async def test() -> None:
        indexes = SlowToAdopt(tmp_path)
        shop = Shop(tmp_path, alike, indexes=indexes)
        for name in ("shop", "zoo"):
            await shop.configure(SETTINGS, name)
            await shop.shown(await shop.write("1", index=name, title="shoe"), name)
        indexes.full, indexes.saved = {"shop"}, []
        await shop.indexers.close()
        assert indexes.saved == ["zoo"]
        # One that is gone is not saved.
        indexes.full = set()
        other = Shop(tmp_path, alike, log=shop.log, indexes=indexes)
        await other.configure(SETTINGS)
        await other.shown(await other.write("2", title="hat"))
        indexes.saved = []
        await other.drop()
        assert (indexes.saved, other.indexers.failed) == ([], {})
        await other.indexers.close()

    run(test)


def test_canaries_ask_what_shoppers_ask_and_titles(tmp_path: Path) -> None:
    async def test() -> None:
        shop = Shop(tmp_path)
        await shop.configure(SETTINGS)
        for number in range(12):
            seq = await shop.write(str(number), title=f"red shoe number {number} of many")
        before = await shop.shown(seq)
        for number in range(6):
            seq = await shop.delete(str(number))
        after = await shop.shown(seq)
        queries = QueryCounts()
        canaries = Canaries(Searcher(None, n_candidates=10), shop.serving, queries)
        found = canaries.compare("shop", before, before)
        assert (found.documents_before, found.overlap, found.differing) == (12, 1.0, [])
        assert found.n_canaries == 10, "titles of the first ten documents"
        found = canaries.compare("shop", before, after)
        assert (found.documents_after, len(found.differing), found.overlap < 1.0) == (6, 5, True)
        await shop.indexers.close()

    run(test)
