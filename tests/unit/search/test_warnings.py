"""What is odd about a search, and was answered all the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from searchsvc.search.answer import SearchWarning
from tests.factories import engine, serving, upsert
from tests.searching import answer

LONG = "prose " * 50
DOCUMENTS = [
    upsert("a", "red shoe", "light", brand="Ab", variants=[{"size": 40}], story=LONG),
    upsert("b", "red hat", colour="red"),
]


@pytest.fixture
def warned(tmp_path: Path) -> Any:
    state = serving(engine(tmp_path, DOCUMENTS).snapshot())

    def warnings(**members: Any) -> list[SearchWarning]:
        return list(answer(state, members.pop("query", "shoe"), **members).warnings)

    return warnings


def test_a_member_that_no_hit_has_and_no_document_as_a_value_is_warned_of(warned: Any) -> None:
    (warning,) = warned(fields=["title", "brnad", "brnad"])
    assert warning.field == "fields"
    assert warning.message == (
        "fields names 'brnad', which none of these hits has; allowed: a member that documents have, such as brand"
    )
    assert [w.field for w in warned(fields="x,y")] == ["fields", "fields"]


@pytest.mark.parametrize(
    "fields",
    [[], ["id"], ["title", "text"], ["variants"], ["variants.size"], ["story"], ["colour"]],
)
def test_members_that_documents_have_are_not_warned_of(warned: Any, fields: list[str]) -> None:
    # `colour` is a member of the document that is no hit.
    assert warned(fields=fields) == []


def test_without_hits_nothing_is_known_of_members(warned: Any) -> None:
    assert warned(query="zzzz", fields=["brnad"]) == []
