"""A logged search is repeated only where it would find the same documents again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from events.control import ControlState, fold
from events.types import RankingShown
from searchsvc.rehearsal.receipts.located_ranking import LocatedRanking
from searchsvc.rehearsal.receipts.repetition import NotRepeated, SearchRepeater
from searchsvc.search.answer import SearchOutcome
from searchsvc.search.request import SearchRequest
from searchsvc.search.searcher import Searcher
from searchsvc.state.serving import Serving
from tests.factories import CONFIGURED, NOW, SETTINGS, FakeEmbedder, engine, upsert

SHOES = SearchRequest(query="red shoe")
CONTROL = fold(ControlState(), CONFIGURED, 1)


class Shop:
    """A served index and one search that was made on it."""

    def __init__(self) -> None:
        self.serving, self.searcher = Serving(), Searcher(FakeEmbedder(), n_candidates=10)

    async def serve(self, folder: Path) -> RankingShown:
        documents = [upsert(f"d{i}", f"red shoe {i % 5}", seed=i, votes=i) for i in range(20)]
        await self.serving.set_control(CONTROL)
        await self.serving.set_snapshot("shop", 1, engine(folder, documents).snapshot())
        return self.searcher.search(self.serving.current, "shop", SHOES, query_id="q", now=NOW).shown

    def repeat(
        self, shown: RankingShown, request: SearchRequest | None = SHOES, control: ControlState = CONTROL
    ) -> SearchOutcome | NotRepeated:
        query = request.query if request is not None else None
        return SearchRepeater(self.serving, self.searcher).repeat(LocatedRanking(shown, 1, 0, query), control, request)


@pytest.mark.anyio
async def test_a_search_on_the_same_documents_gives_the_same_ranking(tmp_path: Path) -> None:
    shop = Shop()
    shown = await shop.serve(tmp_path)
    repeated = shop.repeat(shown)
    assert isinstance(repeated, SearchOutcome)
    assert (repeated.shown.document_ids, repeated.shown.scores) == (shown.document_ids, shown.scores)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"degraded": ("last_known",)}, "the answer was degraded: last_known"),
        ({"degraded": ("shards",)}, "the answer was degraded: shards"),
        ({"index": "films"}, "index films is not served"),
        ({"applied_catalog_seq": 7}, "the index holds CATALOG 20"),
        ({"generation": "another"}, "in another"),
        ({"measured": "before"}, "has been measured again since"),
        ({"scoring_version": 0}, "scores come about in another way now: by version 1, then by 0"),
    ],
)
async def test_a_search_that_would_find_other_documents_is_not_repeated(
    tmp_path: Path, members: dict[str, Any], reason: str
) -> None:
    shop = Shop()
    shown = msgspec.structs.replace(await shop.serve(tmp_path), **members)
    repeated = shop.repeat(shown)
    assert isinstance(repeated, NotRepeated)
    assert reason in repeated.reason


@pytest.mark.anyio
async def test_a_query_that_cannot_be_read_as_typed_is_not_repeated(tmp_path: Path) -> None:
    shop = Shop()
    shown = await shop.serve(tmp_path)
    sealed = shop.repeat(shown, None)
    redacted = shop.repeat(shown, SearchRequest(query="shoe [e-mail]"))
    assert isinstance(sealed, NotRepeated)
    assert "the key of its user is gone" in sealed.reason
    assert isinstance(redacted, NotRepeated)
    assert "an e-mail address or a telephone number" in redacted.reason


@pytest.mark.anyio
async def test_a_search_by_other_settings_is_not_repeated(tmp_path: Path) -> None:
    shop = Shop()
    shown = await shop.serve(tmp_path)
    settings = msgspec.structs.replace(SETTINGS, signals=())
    repeated = shop.repeat(
        shown, control=fold(ControlState(), msgspec.structs.replace(CONFIGURED, settings=settings), 1)
    )
    assert isinstance(repeated, NotRepeated)
    assert repeated.reason == "the settings of the index have changed"
