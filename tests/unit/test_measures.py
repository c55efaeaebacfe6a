"""The measures of the benchmarks, held against what their formulas give by hand."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import fitting
from benchmarks.oracle.lexicon import edits
from benchmarks.typos import mistyped
from tuning import metrics

GRADES = {"a": 1, "b": 0, "c": 2}


def test_ndcg_is_that_of_the_formula() -> None:
    ideal = 3 / np.log2(2) + 1 / np.log2(3)
    assert metrics.ndcg(["c", "a"], GRADES) == pytest.approx(1.0)
    assert metrics.ndcg(["b", "a", "c"], GRADES) == pytest.approx((1 / np.log2(3) + 3 / np.log2(4)) / ideal)
    assert metrics.ndcg(["x"], GRADES) == 0.0
    assert metrics.ndcg(["b", "a", "c"], GRADES, 2) == pytest.approx(1 / np.log2(3) / ideal)


def test_the_other_measures_are_those_of_their_formulas() -> None:
    assert metrics.reciprocal_rank(["b", "x", "c"], GRADES) == pytest.approx(1 / 3)
    assert metrics.reciprocal_rank(["b"], GRADES) == 0.0
    assert metrics.recall(["b", "c"], GRADES) == 0.5
    assert metrics.recall(["x", "y", "c", "a"], GRADES, 3) == 0.5
    # c satisfies with 3/4, then a with 1/4 of those who go on.
    assert metrics.expected_reciprocal_rank(["c", "a"], GRADES, 2) == pytest.approx(3 / 4 + 1 / 4 * 1 / 4 / 2)


@given(st.lists(st.text(alphabet="abcxyz", min_size=1, max_size=8), min_size=1, max_size=4).map(" ".join))
def test_a_mistyped_query_is_at_most_one_edit_away_in_one_word(query: str) -> None:
    (typed,) = mistyped([query])
    assert edits(query, typed) <= 1
    assert len(typed.split()) in (len(query.split()), len(query.split()) - 1)


def test_typos_repeat_and_are_of_all_four_kinds() -> None:
    queries = ["printer"] * 400
    assert mistyped(queries) == mistyped(queries)
    assert mistyped(queries) != mistyped(queries, seed=1)
    lengths = Counter(len(one) for one in mistyped(queries))
    assert 60 < lengths[8] < 140
    assert 60 < lengths[6] < 140
    swapped = [one for one in mistyped(queries) if sorted(one) == sorted("printer") and one != "printer"]
    assert len(swapped) > 60


def test_a_query_of_one_letter_gains_one() -> None:
    assert all(len(one) in (1, 2) and one for one in mistyped(["x"] * 50))
    assert mistyped([""]) == [""]


def test_fitting_finds_the_feature_that_orders_and_never_gets_worse() -> None:
    rng = np.random.default_rng(0)
    features = [rng.random((30, 3)).astype(np.float32) for _ in range(60)]
    grades = [(one[:, 1] > 0.9).astype(np.int64) for one in features]
    given_ = fitting.candidates(features, grades, grades)
    start = np.array([1.0, 0.0, 0.0])
    fitted = fitting.fit(given_, start)
    assert fitting.ndcg(given_, fitted).mean() > 0.95 > fitting.ndcg(given_, start).mean()
    by_hand = metrics.ndcg(
        [str(i) for i in np.argsort(-features[0][:, 0])], {str(i): int(g) for i, g in enumerate(grades[0])}
    )
    assert math.isclose(fitting.ndcg(given_, start)[0], by_hand, abs_tol=1e-5) or not grades[0].any()
