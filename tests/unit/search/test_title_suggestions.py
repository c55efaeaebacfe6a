"""Titles suggested while a query is typed."""

from __future__ import annotations

from pathlib import Path

from events.rules import (
    HideAction,
    Rule,
)
from searchsvc.search.searcher import Searcher
from tests.factories import NOW, FakeEmbedder
from tests.searching import red_shoes, shoe_shop


def test_suggested_titles_contain_what_was_typed(tmp_path: Path) -> None:
    searcher = Searcher(FakeEmbedder(), n_candidates=10)
    titles = searcher.suggest_titles(red_shoes(tmp_path), "shop", "red sho", 3, now=NOW)
    assert [title.text for title in titles] == ["Red shoe 0", "Red shoe 1", "Red shoe 2"]
    assert titles[0].document_id == "d00"
    assert searcher.suggest_titles(red_shoes(tmp_path / "b"), "shop", " ", 3, now=NOW) == []


def test_hidden_documents_are_not_suggested(tmp_path: Path) -> None:
    searcher = Searcher(None, n_candidates=9)
    plain, hidden = shoe_shop(tmp_path), shoe_shop(tmp_path, r=Rule((HideAction("f"),)))
    assert [title.document_id for title in searcher.suggest_titles(plain, "shop", "gre", 5, now=NOW)] == ["f"]
    assert searcher.suggest_titles(hidden, "shop", "gre", 5, now=NOW) == []
