"""Suggestions: queries that were made often enough, never a shopper's own, and titles."""

from __future__ import annotations

from pathlib import Path

from searchsvc.search.request import SearchRequest
from searchsvc.search.searcher import Searcher
from searchsvc.search.suggestions import Suggestion, combine_suggestions
from tests.factories import NOW, FakeEmbedder
from tests.unit.test_search import state


def test_nothing_is_suggested_twice_and_titles_keep_some_places() -> None:
    queries = [Suggestion(f"shoe {i}", "query", 9) for i in range(9)]
    titles = [Suggestion(text, "title") for text in ("SHOE 1", "Shoe horn", "Shoe tree")]
    found = combine_suggestions(queries, titles, 6)
    assert [one.text for one in found] == ["shoe 0", "shoe 1", "shoe 2", "shoe 3", "Shoe horn", "Shoe tree"]
    assert [one.text for one in combine_suggestions([], titles, 2)] == ["SHOE 1", "Shoe horn"]


def test_titles_hold_what_was_typed(tmp_path: Path) -> None:
    searcher = Searcher(FakeEmbedder(), n_candidates=10)
    titles = searcher.suggest_titles(state(tmp_path), "shop", "red sho", 3, now=NOW)
    assert [one.text for one in titles] == ["Red shoe 0", "Red shoe 1", "Red shoe 2"]
    assert titles[0].document_id == "d00"
    assert searcher.suggest_titles(state(tmp_path / "b"), "shop", " ", 3, now=NOW) == []


def test_documents_like_another_are_its_nearest_without_itself(tmp_path: Path) -> None:
    searcher = Searcher(FakeEmbedder(), n_candidates=5)
    request = SearchRequest(like="d07", limit=3, facets=["text"])
    outcome = searcher.search(state(tmp_path), "shop", request, query_id="q", now=NOW)
    assert outcome.answer.total == 5
    assert len(outcome.answer.hits) == 3
    assert "d07" not in {hit.id for hit in outcome.answer.hits}
    assert sum(one.count for one in outcome.answer.facets["text"].values) == 5
    assert outcome.shown.query == ""
