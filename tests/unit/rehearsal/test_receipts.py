"""Receipts of a log that was altered, of a ranking that is only in the log, and of one past the log's age."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from events.codec import encode
from events.control import ControlState, fold_message
from events.errors import Corrupt, Gone, NotFound
from events.log import Entry
from events.memory import MemoryEventLog
from events.streams import BEHAVIOR_SUBJECT
from events.types import BehaviorBatch, RankingShown
from searchsvc.behavior.keyring import Keyring
from searchsvc.behavior.recent_rankings import RecentRankings
from searchsvc.rehearsal.receipts.receipts import Receipts
from searchsvc.search.query_ids import new_query_id
from searchsvc.search.request import SearchRequest
from searchsvc.search.searcher import Searcher
from searchsvc.state.serving import Serving
from tests.factories import CONFIGURED, NOW, FakeEmbedder, engine, history_of, upsert

DOCUMENTS = [upsert(f"d{i}", f"red shoe {i % 5}", seed=i, votes=i) for i in range(20)]
Alter = Callable[[RankingShown], RankingShown]


def as_it_was(shown: RankingShown) -> RankingShown:
    return shown


class Shop:
    """A log in memory with this ranking among others.

    alter: what happens to the ranking before it is logged
    """

    def __init__(self, folder: Path, alter: Alter = as_it_was) -> None:
        self.log, self.serving = MemoryEventLog(lambda: NOW), Serving()
        self.searcher, self.alter = Searcher(FakeEmbedder(), n_candidates=10), alter
        self.query_id = new_query_id(NOW)
        self.rankings = RecentRankings(10)
        self._snapshot = engine(folder, DOCUMENTS).snapshot()
        self.receipts = Receipts(
            self.log,
            history_of(folder, [CONFIGURED]),
            self.serving,
            self.searcher,
            self.rankings,
            Keyring(folder / "privacy.sqlite"),
            lambda: NOW,
        )

    async def search(self) -> None:
        """Search, and log the ranking as message 24."""
        await self.serving.set_control(fold_message(ControlState(), encode(CONFIGURED), 1))
        await self.serving.set_snapshot("shop", 1, self._snapshot)
        request = SearchRequest(query="red shoe")
        state = self.serving.current
        shown = self.searcher.search(state, "shop", request, query_id=self.query_id, now=NOW).shown
        for number in range(40):
            other = msgspec.structs.replace(shown, id=new_query_id(NOW))
            batch: Sequence[Any] = [other, self.alter(shown)] if number == 23 else [other]
            await self.log.append("BEHAVIOR", Entry(BEHAVIOR_SUBJECT, encode(BehaviorBatch(events=list(batch)))))


def raised(shown: RankingShown) -> RankingShown:
    return msgspec.structs.replace(shown, scores=(shown.scores[0] + 1e-12, *shown.scores[1:]))


def swapped(shown: RankingShown) -> RankingShown:
    """Return the ranking with the first two hits swapped."""
    order = [1, 0, *range(2, len(shown.document_ids))]
    moved = {name: tuple(getattr(shown, name)[row] for row in order) for name in ("document_ids", "features", "scores")}
    return msgspec.structs.replace(shown, **moved)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("alter", "differing"),
    [
        (as_it_was, set()),
        (raised, {"scores", "retrieval"}),
        (swapped, {"order", "retrieval"}),
        (lambda shown: msgspec.structs.replace(shown, weights_version=2), {"scores"}),
        (lambda shown: msgspec.structs.replace(shown, applied_rules=("lost",)), {"rules"}),
        (lambda shown: msgspec.structs.replace(shown, query="blue shoe"), {"retrieval"}),
        (lambda shown: msgspec.structs.replace(shown, request='{"limit":3}'), {"retrieval"}),
    ],
)
async def test_what_was_altered_is_named_and_all_else_holds(tmp_path: Path, alter: Alter, differing: set[str]) -> None:
    shop = Shop(tmp_path, alter)
    await shop.search()
    verified = await shop.receipts.verify(shop.query_id)
    states = {check.name: check.state for check in verified.checks}
    assert {name for name, state in states.items() if state == "differs"} == differing
    assert {name for name, state in states.items() if state == "holds"} == set(states) - differing
    assert verified.holds == (not differing)


@pytest.mark.anyio
async def test_a_receipt_has_every_hit_with_its_score_as_a_sum(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    await shop.search()
    receipt = await shop.receipts.receipt(shop.query_id)
    assert (receipt.query, receipt.sealed, receipt.index) == ("red shoe", False, "shop")
    assert [hit.rank for hit in receipt.hits] == [*range(1, len(receipt.hits) + 1)]
    for hit in receipt.hits:
        total = sum(share.contribution for share in hit.features.values())
        assert hit.score == pytest.approx(total * hit.rule_factor * hit.behavior_factor)
        keyword = sum(share.contribution for name, share in hit.features.items() if name.startswith("bm25."))
        assert hit.keyword == pytest.approx(keyword)
        assert hit.vector == hit.features["cosine"].value


@pytest.mark.anyio
async def test_a_ranking_is_found_by_the_time_that_its_query_id_states(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    await shop.search()
    receipt = await shop.receipts.receipt(shop.query_id)
    assert (receipt.log.behavior_seq, receipt.log.behavior_event) == (24, 1)
    with pytest.raises(NotFound) as refused:
        await shop.receipts.receipt(new_query_id(NOW + timedelta(days=1)))
    assert not isinstance(refused.value, Gone)


@pytest.mark.anyio
async def test_a_ranking_past_the_age_of_the_log_is_gone(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    await shop.search()
    for seq in range(1, 31):
        shop.log.lose("BEHAVIOR", seq)
    with pytest.raises(Gone):
        await shop.receipts.receipt(new_query_id(NOW - timedelta(days=100)))


@pytest.mark.anyio
async def test_a_recent_ranking_is_read_where_it_is_known_to_be(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    await shop.search()
    stream_state = await shop.log.stream_state("BEHAVIOR")
    assert stream_state.last_seq == 40
    request = SearchRequest(query="red shoe")
    shown = shop.searcher.search(shop.serving.current, "shop", request, query_id=shop.query_id, now=NOW).shown
    shop.rankings.add(shown, seq=24)
    assert (await shop.receipts.receipt(shop.query_id)).log.behavior_seq == 24
    shop.log.lose("BEHAVIOR", 24)
    with pytest.raises(Gone):
        await shop.receipts.receipt(shop.query_id)


@pytest.mark.anyio
async def test_a_ranking_by_a_change_that_control_does_not_have_is_corrupt(tmp_path: Path) -> None:
    shop = Shop(tmp_path, lambda shown: msgspec.structs.replace(shown, applied_seq=2))
    await shop.search()
    with pytest.raises(Corrupt, match="names CONTROL 2"):
        await shop.receipts.receipt(shop.query_id)
