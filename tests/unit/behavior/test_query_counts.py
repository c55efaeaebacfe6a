"""Query counts: which queries are counted, suggested and dropped."""

from __future__ import annotations

import msgspec
import pytest

from events.types import RankingShown
from searchsvc.behavior.query_counts import MIN_COUNT, QueryCount, QueryCounts
from tests.factories import ranking


def ranking_of(query: str, number: int = 0) -> RankingShown:
    return msgspec.structs.replace(ranking(f"q{number}"), query=query)


def counts_of(*queries: str) -> QueryCounts:
    counts = QueryCounts()
    for number, query in enumerate(queries):
        counts.add(ranking_of(query, number))
    return counts


def test_queries_are_matched_by_the_start_of_any_word_and_ordered_by_count() -> None:
    counts = counts_of(*["red shoe"] * 8, *["shoe polish"] * 5, *["Shoe Rack"] * 6, *["blue"] * 9, *["shoe"] * 4)
    assert [query.text for query in counts.matching("shop", "sho", 9)] == ["Shoe Rack", "shoe polish", "red shoe"]
    assert counts.matching("shop", "SHOE  r", 9) == [QueryCount("shop", "shoe rack", "Shoe Rack", 6)]
    accepted = counts.matching("shop", "sho", 1, lambda query: query.key != "shoe rack")
    assert [query.text for query in accepted] == ["shoe polish"]
    for index, prefix in (("shop", ""), ("shop", "!!"), ("other", "sho")):
        assert counts.matching(index, prefix, 9) == []


@pytest.mark.parametrize(
    "members",
    [
        {"query": "[e-mail] order"},
        {"typing": True},
        {"first_rank": 11},
        {"document_ids": ()},
        {"query": ""},
        {"query": "x" * 101},
    ],
)
def test_a_ranking_that_is_no_complete_query_of_a_shopper_is_not_counted(members: dict[str, object]) -> None:
    counts = QueryCounts()
    for number in range(MIN_COUNT):
        counts.add(msgspec.structs.replace(ranking_of("red shoe", number), **members))
    assert not list(counts)


def test_past_the_size_counts_are_halved_and_rare_queries_dropped() -> None:
    counts = QueryCounts(size=10)
    for number in range(8):
        counts.add(ranking_of("evergreen", number))
    for number in range(10):
        counts.add(ranking_of(f"rare {number}", number))
    assert [(query.key, query.count) for query in counts] == [("evergreen", 4)]
