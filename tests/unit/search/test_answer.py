"""What an answer says of a query's words."""

from __future__ import annotations

from pathlib import Path

import pytest

from searchsvc.analysis.query import Alternative, QueryTerm
from searchsvc.search.answer import AlternativeInfo, TermInfo
from tests.searching import answer, shoe_shop


def test_the_exact_word_is_not_listed_among_the_alternatives_of_a_term() -> None:
    alternatives = (Alternative("shoe", "shoe", 1.0, "exact"), Alternative("shore", "shore", 0.5, "typo"))
    term = QueryTerm("shoe", alternatives, optional=True)
    assert TermInfo.from_term(term, ignored=False) == TermInfo("shoe", [AlternativeInfo("shore", "typo", 0.5)], True)


def test_an_answer_says_which_words_no_document_contains_and_which_were_corrected(tmp_path: Path) -> None:
    answered = answer(shoe_shop(tmp_path), "zzz shoee", operator="any")
    assert [term.ignored for term in answered.terms] == [True, False]
    assert answered.did_you_mean == "zzz shoe"
    assert answered.operator == "any"


def test_browsing_has_neither_terms_nor_operator(tmp_path: Path) -> None:
    answered = answer(shoe_shop(tmp_path), "")
    assert (answered.terms, answered.operator, answered.vector_trust) == ([], None, None)


@pytest.mark.parametrize(
    ("query", "operator", "parts"),
    [
        ("red zzzz", "auto", ["words"]),
        ("blue red zzzz", "auto", ["words", "operator"]),
        ("red zzzz", "any", []),
        ("red zzzz", "all", []),
        ("zzzz", "auto", []),
        ("zzzz qqqq", "auto", []),
        ("blue red", "auto", ["operator"]),
    ],
)
def test_an_answer_says_what_it_relaxed(tmp_path: Path, query: str, operator: str, parts: list[str]) -> None:
    relaxed = answer(shoe_shop(tmp_path), query, operator=operator).relaxed
    assert [relaxation.part for relaxation in relaxed] == parts
    assert all("'zzzz'" in relaxation.message for relaxation in relaxed if relaxation.part == "words")
