"""Statistics of a query: idf by field, and the highest possible score."""

from __future__ import annotations

import math

import numpy as np
import pytest

from searchsvc.analysis.query import Alternative, Query, QueryTerm
from searchsvc.engines.columnar.lexicon import Lexicon
from searchsvc.engines.columnar.statistics import (
    K1,
    QueryStatistics,
    inverse_document_frequency,
    statistics_of,
    words_hash,
)


def test_a_term_is_as_frequent_as_its_most_frequent_alternative() -> None:
    lexicon = Lexicon()
    for word in ("red", "crimson", "shoe"):
        lexicon.add(word)
    lexicon.commit()
    frequencies = np.array([[2, 5, 0], [1, 0, 0]], np.int32)
    view = lexicon.view(frequencies, np.ones(3, np.bool_))
    red = tuple(Alternative(stem, stem, 1.0, "exact") for stem in ("red", "crimson"))
    shoe = (Alternative("shoe", "shoe", 1.0, "exact"),)
    query = Query("red shoe x", (), (QueryTerm("red", red), QueryTerm("shoe", shoe), QueryTerm("x", ())))
    statistics = statistics_of(query, view, frequencies, 10)
    in_five, in_one = math.log(1 + 5.5 / 5.5), math.log(1 + 9.5 / 1.5)
    np.testing.assert_allclose(statistics.idf, np.array([[in_five, in_one], [0.0, 0.0], [0.0, 0.0]]))
    np.testing.assert_allclose(statistics.term_idf, np.array([in_five, 0.0, 0.0]))
    assert statistics.in_index.tolist() == [True, False, False]
    assert statistics.ceiling == pytest.approx((K1 + 1) * in_five)
    assert [alternative.position for alternative in statistics.alternatives] == [0, 0, 1]


def test_a_query_without_terms_scores_nothing() -> None:
    statistics = QueryStatistics.none()
    assert statistics.ceiling == 0.0
    assert not len(statistics.alternatives)


def test_a_rarer_term_has_a_higher_idf() -> None:
    idf = inverse_document_frequency(np.arange(1, 11), 10)
    assert (np.diff(idf) < 0).all()
    assert (idf > 0).all()


def test_a_hash_tells_words_and_their_limits_apart() -> None:
    assert words_hash([]) == 0
    assert words_hash(["red", "shoe"]) == words_hash(["red", "shoe"])
    assert (
        len({words_hash(words) for words in (["red", "shoe"], ["redshoe"], ["shoe", "red"], ["red", "", "shoe"])}) == 4
    )
