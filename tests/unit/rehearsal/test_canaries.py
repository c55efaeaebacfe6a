"""The queries that an old and a rebuilt index are both asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from searchsvc.behavior.query_counts import QueryCounts
from searchsvc.rehearsal.canaries import Canaries
from searchsvc.search.searcher import Searcher
from tests.indexed_shop import SETTINGS, IndexedShop

pytestmark = pytest.mark.anyio


async def test_canaries_are_what_shoppers_search_for_and_titles(tmp_path: Path) -> None:
    shop = IndexedShop(tmp_path)
    await shop.configure(SETTINGS)
    for number in range(12):
        seq = await shop.write(str(number), title=f"red shoe number {number} of many")
    before = await shop.served(seq)
    for number in range(6):
        seq = await shop.delete(str(number))
    after = await shop.served(seq)
    canaries = Canaries(Searcher(None, n_candidates=10), shop.serving, QueryCounts())
    comparison = canaries.compare("shop", before, before)
    assert (comparison.documents_before, comparison.overlap, comparison.differing) == (12, 1.0, [])
    assert comparison.n_canaries == 10, "titles of the first ten documents"
    comparison = canaries.compare("shop", before, after)
    assert (comparison.documents_after, len(comparison.differing), comparison.overlap < 1.0) == (6, 5, True)
    await shop.indexers.close()
