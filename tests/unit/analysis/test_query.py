"""An understood query."""

from __future__ import annotations

from searchsvc.analysis.query import Query, QueryTerm


def test_optional_terms_are_not_required() -> None:
    query = Query("the red shoe", ("the", "red", "shoe"), (QueryTerm("the", (), True), QueryTerm("red", ())))
    assert query.required_positions == [1]
    assert Query("").required_positions == []


def test_a_compound_counts_as_many_words_as_it_is_made_of() -> None:
    assert QueryTerm("17inch", (), parts=("17", "inch")).n_words == 2
    assert QueryTerm("red", ()).n_words == 1
