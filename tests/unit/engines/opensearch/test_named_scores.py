"""What named clauses report of each hit."""

from __future__ import annotations

import numpy as np

from searchsvc.analysis.query import Query, QueryTerm
from searchsvc.engines.filters import Exists, parse_filter
from searchsvc.engines.opensearch.clauses import filter_clause
from searchsvc.engines.opensearch.named_scores import (
    TERMS_PER_SCORE,
    filter_name,
    matched_terms,
    named_clause,
    score_names,
    with_test_filters,
)


def query_of(*words: str) -> Query:
    return Query(" ".join(words), words, tuple(QueryTerm(word, ()) for word in words))


def test_scores_are_read_by_name() -> None:
    query = query_of("red", "running", "shoes")
    assert score_names(query, 2) == ["bm25.0", "bm25.1", "title", "terms.0", "words.0", "pair.0", "pair.1"]
    table = np.array([[1.5, 0.5, 1.0, 7.0, 3.0, 1.0, 2.5], [0.0, 0.0, 0.0, 5.0, 4.0, 0.25, 0.0]])
    matched = matched_terms(table, query, 2)
    assert matched.bm25.tolist() == [[1.5, 0.5], [0.0, 0.0]]
    assert matched.title.tolist() == [True, False]
    assert matched.terms.tolist() == [[True, True, True], [True, False, True]]
    assert matched.words.tolist() == [[True, True, False], [False, False, True]]
    assert matched.phrases.tolist() == [1.0, 0.0]
    assert matched.nearness.tolist() == [1.0, 0.125]


def test_a_long_query_has_several_scores_of_terms() -> None:
    query = query_of(*(f"w{i}" for i in range(TERMS_PER_SCORE + 2)))
    names = score_names(query, 1)
    assert [name for name in names if name.startswith("terms.")] == ["terms.0", f"terms.{TERMS_PER_SCORE}"]
    row = [0.0] * len(names)
    row[names.index("terms.0")], row[names.index(f"terms.{TERMS_PER_SCORE}")] = 1.0 + 2.0**19, 2.0
    terms = matched_terms(np.array([row]), query, 1).terms[0]
    assert np.flatnonzero(terms).tolist() == [0, TERMS_PER_SCORE - 1, TERMS_PER_SCORE + 1]


def test_each_test_filter_is_a_named_clause() -> None:
    named = {"bool": {"should": [named_clause("bm25.0", [])]}}
    condition = parse_filter("brand:*")
    assert condition is not None
    assert with_test_filters(named, (), {}) == named
    (_, test) = with_test_filters(named, (condition,), {})["bool"]["should"]
    assert test == {"bool": {"filter": [filter_clause(condition, {})], "_name": filter_name(condition)}}
    assert filter_name(condition) not in {filter_name(Exists("x")), filter_name(Exists("brands"))}
