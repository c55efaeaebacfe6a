"""What a receipt says of a log that is not what it was: altered scores, a lost rule, an age that is past."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from events import control
from events.codec import encode
from events.errors import Gone, NotFound
from events.log import Entry
from events.memory import MemoryEventLog
from events.streams import BEHAVIOR_SUBJECT
from events.types import BehaviorBatch, IndexConfigured, RankingShown
from searchsvc.behavior.keyring import Keyring
from searchsvc.behavior.recent_rankings import RecentRankings
from searchsvc.rehearsal.receipts import Receipts
from searchsvc.search.query_ids import new_query_id, query_id_timestamp
from searchsvc.search.request import SearchRequest
from searchsvc.search.searcher import Searcher
from searchsvc.state.serving import Serving
from tests.factories import NOW, SETTINGS, FakeEmbedder, engine, history_of, upsert
from tuning.features import default_weights

DOCUMENTS = [upsert(f"d{i}", f"red shoe {i % 5}", seed=i, votes=i) for i in range(20)]
FIRST = IndexConfigured(
    id="1", timestamp=NOW, index="shop", settings=SETTINGS, default_weights=default_weights(SETTINGS)
)


class Shop:
    """A log in memory with one ranking in it, in the midst of others. rankings: what of it is remembered."""

    def __init__(self, folder: Path, change: Callable[[RankingShown], RankingShown] = lambda shown: shown) -> None:
        self.log, self.serving, searcher = (
            MemoryEventLog(lambda: NOW),
            Serving(),
            Searcher(FakeEmbedder(), n_candidates=10),
        )
        self.state = control.fold_message(control.ControlState(), encode(FIRST), 1)
        self.snapshot = engine(folder, DOCUMENTS).snapshot()
        self.searcher, self.change, self.at = searcher, change, NOW
        self.name = new_query_id(self.at)
        history = history_of(folder, [FIRST])
        self.receipts = Receipts(
            self.log, history, self.serving, searcher, RecentRankings(10), Keyring(folder / "privacy.sqlite")
        )

    async def show(self) -> None:
        await self.serving.set_control(self.state)
        await self.serving.set_snapshot("shop", 1, self.snapshot)
        request = SearchRequest(query="red shoe")
        shown = self.searcher.search(self.serving.current, "shop", request, query_id=self.name, now=self.at).shown
        for number in range(40):
            other = msgspec.structs.replace(shown, id=new_query_id(self.at))
            batch: Sequence[Any] = [other, self.change(shown)] if number == 23 else [other]
            await self.log.append("BEHAVIOR", Entry(BEHAVIOR_SUBJECT, encode(BehaviorBatch(events=list(batch)))))


def states(shop: Shop) -> dict[str, str]:
    async def run() -> dict[str, str]:
        await shop.show()
        return {one.name: one.state for one in (await shop.receipts.verify(shop.name)).checks}

    return asyncio.run(run())


def raised(shown: RankingShown) -> RankingShown:
    return msgspec.structs.replace(shown, scores=(shown.scores[0] + 1e-12, *shown.scores[1:]))


def swapped(shown: RankingShown) -> RankingShown:
    """The second hit before the first."""
    order = [1, 0, *range(2, len(shown.document_ids))]
    moved = {name: tuple(getattr(shown, name)[at] for at in order) for name in ("document_ids", "features", "scores")}
    return msgspec.structs.replace(shown, **moved)


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        (lambda shown: shown, set()),
        (raised, {"scores", "retrieval"}),
        (swapped, {"order", "retrieval"}),
        (lambda shown: msgspec.structs.replace(shown, weights_version=2), {"scores"}),
        (lambda shown: msgspec.structs.replace(shown, applied_rules=("lost",)), {"rules"}),
        (lambda shown: msgspec.structs.replace(shown, query="blue shoe"), {"retrieval"}),
        (lambda shown: msgspec.structs.replace(shown, request='{"limit":3}'), {"retrieval"}),
    ],
)
def test_what_is_not_as_it_was_is_named(
    tmp_path: Path, change: Callable[[RankingShown], RankingShown], differs: set[str]
) -> None:
    found = states(Shop(tmp_path, change))
    assert {name for name, state in found.items() if state == "differs"} == differs
    assert {name for name, state in found.items() if state == "holds"} == set(found) - differs


def test_a_ranking_is_found_by_the_time_that_its_name_says_and_past_the_age_of_the_log_it_is_gone(
    tmp_path: Path,
) -> None:
    async def run() -> None:
        shop = Shop(tmp_path)
        await shop.show()
        receipt = await shop.receipts.receipt(shop.name)
        assert (receipt.log.behavior_seq, receipt.log.behavior_event) == (24, 1)
        with pytest.raises(NotFound) as refused:
            await shop.receipts.receipt(new_query_id(shop.at + timedelta(days=1)))
        assert not isinstance(refused.value, Gone)
        for seq in range(1, 31):
            shop.log.lose("BEHAVIOR", seq)
        with pytest.raises(Gone):
            await shop.receipts.receipt(new_query_id(shop.at - timedelta(days=100)))

    asyncio.run(run())


def test_names_of_rankings_say_when_they_were_made_and_are_never_the_same() -> None:
    names = [new_query_id(NOW) for _ in range(1000)]
    assert len({*names}) == 1000
    assert {query_id_timestamp(name) for name in names} == {NOW}
    assert {(len(name), name[12], name[16] in "89ab") for name in names} == {(32, "7", True)}
    assert new_query_id(NOW + timedelta(milliseconds=1)) > max(names)
    assert [
        query_id_timestamp(name) for name in ("", "c" * 32, "x" * 32, names[0].upper(), "f" * 12 + "7" + "f" * 19)
    ] == [None] * 5
