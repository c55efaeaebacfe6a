"""Queries and titles combined."""

from __future__ import annotations

from searchsvc.search.suggestions import Suggestion, combine_suggestions


def test_nothing_is_suggested_twice_and_titles_keep_some_places() -> None:
    queries = [Suggestion(f"shoe {i}", "query", 9) for i in range(9)]
    titles = [Suggestion(text, "title") for text in ("SHOE 1", "Shoe horn", "Shoe tree")]
    combined = combine_suggestions(queries, titles, 6)
    assert [suggestion.text for suggestion in combined] == [
        "shoe 0",
        "shoe 1",
        "shoe 2",
        "shoe 3",
        "Shoe horn",
        "Shoe tree",
    ]
    assert [suggestion.text for suggestion in combine_suggestions([], titles, 2)] == ["SHOE 1", "Shoe horn"]
