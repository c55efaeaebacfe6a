"""The measures, compared with their formulas by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tuning import metrics

GRADES = {"a": 1, "b": 0, "c": 2}


def test_ndcg_equals_its_formula() -> None:
    ideal = 3 / np.log2(2) + 1 / np.log2(3)
    assert metrics.ndcg(["c", "a"], GRADES) == pytest.approx(1.0)
    assert metrics.ndcg(["b", "a", "c"], GRADES) == pytest.approx((1 / np.log2(3) + 3 / np.log2(4)) / ideal)
    assert metrics.ndcg(["x"], GRADES) == 0.0
    assert metrics.ndcg(["b", "a", "c"], GRADES, 2) == pytest.approx(1 / np.log2(3) / ideal)


def test_the_other_measures_equal_their_formulas() -> None:
    assert metrics.reciprocal_rank(["b", "x", "c"], GRADES) == pytest.approx(1 / 3)
    assert metrics.reciprocal_rank(["b"], GRADES) == 0.0
    assert metrics.recall(["b", "c"], GRADES) == 0.5
    assert metrics.recall(["x", "y", "c", "a"], GRADES, 3) == 0.5
    # c satisfies with 3/4, then a with 1/4 of those who go on.
    assert metrics.expected_reciprocal_rank(["c", "a"], GRADES, 2) == pytest.approx(3 / 4 + 1 / 4 * 1 / 4 / 2)
