"""Indexers: each index is saved or not by itself, and stops before what only a later version can read."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from events.log import Entry
from events.streams import catalog_subject
from tests.factories import alike
from tests.indexed_shop import SETTINGS, TIMEOUT_S, GatedIndexes, IndexedShop
from tests.waiting import wait_for_async

pytestmark = pytest.mark.anyio


async def test_an_index_that_cannot_be_saved_does_not_keep_others_from_it(tmp_path: Path) -> None:
    indexes = GatedIndexes(tmp_path)
    shop = IndexedShop(tmp_path, alike, indexes=indexes)
    for name in ("shop", "zoo"):
        await shop.configure(SETTINGS, name)
        await shop.served(await shop.write("1", index=name, title="shoe"), name)
    indexes.full, indexes.saved = {"shop"}, []
    await shop.indexers.close()
    assert indexes.saved == ["zoo"]


async def test_an_index_goes_on_while_the_disk_is_full(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    indexes = GatedIndexes(tmp_path)
    shop = IndexedShop(tmp_path, alike, indexes=indexes)
    await shop.configure(SETTINGS)
    await shop.served(await shop.write("1", title="shoe"))
    indexer = shop.indexers.indexer("shop")
    assert indexer is not None
    indexes.full, n_opened = {"shop"}, indexer.n_opened
    for title in ("hat", "coat"):
        await shop.served(await shop.write("2", title=title))
    assert (indexer.n_opened, shop.indexers.failed) == (n_opened, {})
    assert caplog.text.count("cannot be stored") == 1
    indexes.full, indexes.saved = set(), []
    await shop.indexers.close()
    assert indexes.saved == ["shop"]


async def test_an_index_is_served_although_the_disk_does_not_take_it(tmp_path: Path) -> None:
    indexes = GatedIndexes(tmp_path)
    indexes.full = {"shop"}
    shop = IndexedShop(tmp_path, alike, indexes=indexes)
    await shop.configure(SETTINGS)
    snapshot = await shop.served(await shop.write("1", title="shoe"))
    assert (snapshot.n_documents, shop.indexers.failed) == (1, {})
    indexes.full = set()
    await shop.indexers.close()
    assert len(list(tmp_path.glob("indexes/*/snapshots/*"))) == 1


async def test_a_rebuild_that_the_disk_does_not_take_leaves_nothing(tmp_path: Path) -> None:
    indexes = GatedIndexes(tmp_path)
    shop = IndexedShop(tmp_path, alike, indexes=indexes)
    await shop.configure(SETTINGS)
    seq = await shop.write("1", title="shoe")
    before = (await shop.served(seq)).generation
    indexes.full = {"shop"}
    shop.indexers.rebuild("shop")
    status = await shop.rebuilt()
    assert (status.phase, status.error) == ("failed", "no space left on the disk")
    await wait_for_async(lambda: len(list(tmp_path.glob("indexes/*/work-*"))) == 1, "the new index to be deleted")
    assert list(tmp_path.glob(f"indexes/*/work-{before}"))
    indexes.full = set()
    await shop.indexers.close()


async def test_an_index_that_was_deleted_is_not_saved(tmp_path: Path) -> None:
    indexes = GatedIndexes(tmp_path)
    shop = IndexedShop(tmp_path, alike, indexes=indexes)
    await shop.configure(SETTINGS)
    await shop.served(await shop.write("2", title="hat"))
    indexes.saved = []
    await shop.drop()
    assert (indexes.saved, shop.indexers.failed) == ([], {})
    await shop.indexers.close()


async def test_an_index_serves_what_is_before_a_later_version_and_is_reported_as_failed(tmp_path: Path) -> None:
    shop = IndexedShop(tmp_path, alike)
    await shop.configure(SETTINGS)
    first_seq = await shop.write("a", title="x")
    later = Entry(catalog_subject("shop", 1, "later"), b'{"type":"rules_changed.v7","id":"x"}')
    await shop.log.append("CATALOG", later)
    await shop.write("b", title="x")
    async with asyncio.timeout(TIMEOUT_S):
        while not shop.indexers.failed:  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.01)
    snapshot = await shop.served(first_seq)
    assert (snapshot.n_documents, snapshot.catalog_seq) == (1, first_seq)
    assert "rules_changed.v7" in shop.indexers.failed["shop"]
    await shop.indexers.close()
