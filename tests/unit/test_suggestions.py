"""Suggestions: queries that were made often enough, never a shopper's own, and titles."""

from __future__ import annotations

from pathlib import Path

import msgspec

from events.types import RankingShown
from searchsvc.behavior.query_counts import MIN_COUNT, QueryCount, QueryCounts
from searchsvc.behavior.state import BehaviorState
from searchsvc.search.answer import SearchRequest
from searchsvc.search.searcher import Searcher
from searchsvc.search.suggestions import Suggestion, combined
from tests.factories import NOW, FakeEmbedder, ranking
from tests.unit.test_search import state


def shown(number: int, query: str, **members: object) -> RankingShown:
    return msgspec.structs.replace(ranking(f"q{number}"), query=query, **members)


def noted(*queries: str, **members: object) -> QueryCounts:
    counts = QueryCounts()
    for number, query in enumerate(queries):
        counts.add(shown(number, query, **members))
    return counts


def test_queries_are_suggested_by_their_beginning_or_a_words_and_by_how_often() -> None:
    counts = noted(*["red shoe"] * 4, *["shoe polish"] * 3, *["Shoe Rack"] * 5, *["blue"] * 9, "shoe once")
    assert [one.text for one in counts.matching("shop", "sho", 9)] == ["Shoe Rack", "shoe polish", "red shoe"]
    assert counts.matching("shop", "SHOE  r", 9) == [QueryCount("shop", "shoe rack", "Shoe Rack", 5)]
    assert (
        counts.matching("shop", "", 9) == counts.matching("shop", "!!", 9) == counts.matching("other", "sho", 9) == []
    )


def test_what_says_nothing_of_what_people_want_is_not_counted() -> None:
    for members in (
        {"query": "[e-mail] order"},
        {"typing": True},
        {"first_rank": 11},
        {"document_ids": ()},
        {"query": ""},
    ):
        counts = QueryCounts()
        for number in range(MIN_COUNT):
            counts.add(msgspec.structs.replace(shown(number, "red shoe"), **members))
        assert not list(counts), members
    assert not list(noted(*["x" * 101] * MIN_COUNT))


def test_when_there_are_too_many_the_rare_ones_fade() -> None:
    counts = QueryCounts(size=10)
    for number in range(8):
        counts.add(shown(number, "evergreen"))
    for number in range(10):
        counts.add(shown(number, f"rare {number}"))
    assert [(one.key, one.count) for one in counts] == [("evergreen", 4)]


def test_counts_come_back_from_a_snapshot_and_each_ranking_counts_once() -> None:
    memory = BehaviorState(n_rankings=10, n_events=10)
    for number in range(MIN_COUNT):
        memory.fold([shown(number, "red shoe"), shown(number, "red shoe")], number + 1)
    parts = {name: b"".join(chunks) for name, chunks in memory.parts().items()}
    again = BehaviorState(n_rankings=10, n_events=10)
    again.restore(parts, memory.seq)
    assert again.query_counts.matching("shop", "r", 5) == [QueryCount("shop", "red shoe", "red shoe", MIN_COUNT)]


def test_nothing_is_suggested_twice_and_titles_keep_some_places() -> None:
    queries = [Suggestion(f"shoe {i}", "query", 9) for i in range(9)]
    titles = [Suggestion(text, "title") for text in ("SHOE 1", "Shoe horn", "Shoe tree")]
    found = combined(queries, titles, 6)
    assert [one.text for one in found] == ["shoe 0", "shoe 1", "shoe 2", "shoe 3", "Shoe horn", "Shoe tree"]
    assert [one.text for one in combined([], titles, 2)] == ["SHOE 1", "Shoe horn"]


def test_titles_hold_what_was_typed(tmp_path: Path) -> None:
    searcher = Searcher(FakeEmbedder(), n_candidates=10)
    titles = searcher.titles(state(tmp_path), "shop", "red sho", 3, now=NOW)
    assert [one.text for one in titles] == ["Red shoe 0", "Red shoe 1", "Red shoe 2"]
    assert titles[0].document_id == "d00"
    assert searcher.titles(state(tmp_path / "b"), "shop", " ", 3, now=NOW) == []


def test_documents_like_another_are_its_nearest_without_itself(tmp_path: Path) -> None:
    searcher = Searcher(FakeEmbedder(), n_candidates=5)
    request = SearchRequest(like="d07", limit=3, facets=["text"])
    outcome = searcher.search(state(tmp_path), "shop", request, query_id="q", now=NOW)
    assert outcome.answer.total == 5
    assert len(outcome.answer.hits) == 3
    assert "d07" not in {hit.id for hit in outcome.answer.hits}
    assert sum(one.count for one in outcome.answer.facets["text"].values) == 5
    assert outcome.shown.query == ""
