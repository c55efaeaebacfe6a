"""The newest rankings, and which interactions contradict them."""

from __future__ import annotations

import pytest

from searchsvc.behavior.recent_rankings import RecentRankings
from tests.factories import ranking


def rankings_of(*query_ids: str, size: int = 2) -> RecentRankings:
    rankings = RecentRankings(size)
    for query_id in query_ids:
        rankings.add(ranking(query_id))
    return rankings


def test_the_oldest_ranking_is_dropped_and_contradicts_nothing() -> None:
    rankings = rankings_of("q1", "q2", "q3")
    assert len(rankings) == 2
    assert ("q1" in rankings, "q3" in rankings) == (False, True)
    assert rankings.contradiction("q1", "shop", "zzz", None) is None
    assert rankings.contradiction("q3", "shop", "b", 2) is None


@pytest.mark.parametrize(
    ("index", "document_id", "rank", "field"),
    [("films", "a", None, "index"), ("shop", "z", None, "document_id"), ("shop", "b", 1, "rank")],
)
def test_a_contradiction_names_the_member_that_is_wrong(
    index: str, document_id: str, rank: int | None, field: str
) -> None:
    contradiction = rankings_of("q3").contradiction("q3", index, document_id, rank)
    assert contradiction is not None
    assert contradiction.field == field


def test_a_ranking_is_new_until_its_message_is_known() -> None:
    rankings = RecentRankings(2)
    assert rankings.add(ranking("q1"))
    assert not rankings.add(ranking("q1"))
    assert (rankings.message_seq("q1"), rankings.logged()) == (0, [])
    assert rankings.add(ranking("q1"), 7)
    assert not rankings.add(ranking("q1"), 8)
    assert (rankings.message_seq("q1"), [summary.id for summary in rankings.logged()]) == (7, ["q1"])
    assert rankings.message_seq("q2") == 0
