"""Indexers: each index is saved or not by itself, and stops before what only a later version can read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.factories import alike
from tests.indexed_shop import SETTINGS, GatedIndexes, IndexedShop

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


async def test_an_index_that_was_deleted_is_not_saved(tmp_path: Path) -> None:
    indexes = GatedIndexes(tmp_path)
    shop = IndexedShop(tmp_path, alike, indexes=indexes)
    await shop.configure(SETTINGS)
    await shop.served(await shop.write("2", title="hat"))
    indexes.saved = []
    await shop.drop()
    assert (indexes.saved, shop.indexers.failed) == ([], {})
    await shop.indexers.close()
