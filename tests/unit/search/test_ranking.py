"""Scores and the order of candidates."""

from __future__ import annotations

import numpy as np

from searchsvc.search import ranking


def test_top_k_are_best_first_and_equal_ones_by_id() -> None:
    scores = np.array([0.5, 0.9, 0.5, 0.1, 0.5])
    ids = ["e", "d", "c", "b", "a"]
    assert ranking.top_k(scores, 5, ids.__getitem__) == [1, 4, 2, 0, 3]
    assert ranking.top_k(scores, 2, ids.__getitem__) == [1, 4]
    assert ranking.top_k(scores, 0, ids.__getitem__) == []


def test_contributions_add_up_to_the_score() -> None:
    rng = np.random.default_rng(0)
    features, weights = rng.random((50, 9)).astype(np.float32), rng.normal(size=9)
    parts = ranking.contributions(features, weights)
    np.testing.assert_array_equal(parts.sum(axis=1), ranking.score(features, weights))


def test_reciprocal_rank_fusion_is_that_of_the_paper() -> None:
    fused = ranking.reciprocal_rank_fusion(np.array([[1.0, 2.0, np.inf], [3.0, np.inf, 1.0]]))
    np.testing.assert_allclose(fused, [1 / 61 + 1 / 63, 1 / 62, 1 / 61])
