"""Uncertainty under simulated clicks."""

from __future__ import annotations

import numpy as np

from tuning.curves import pieces
from tuning.learners.browsing import BrowsingLearner
from tuning.learners.exploration import order_uncertainty
from tuning.learners.learner import Impression


def test_uncertainty_falls_where_clicks_tell_neighbours_apart_and_stays_elsewhere() -> None:
    """Shoppers click by the second feature; the third has no effect."""
    rng = np.random.default_rng(3)
    weights = np.array([1.0, 0.1, 0.1])
    learner = BrowsingLearner(weights)

    def page() -> np.ndarray:
        features = rng.random((10, 3))
        features[:, 0] = 0.5
        return features

    def uncertainty_about(feature: int) -> float:
        """Return how unsure the learner is of documents that differ by this feature alone."""
        pages = []
        for _ in range(20):
            features = np.full((10, 3), 0.5)
            features[:, feature] = rng.random(10)
            pages.append(pieces(features))
        return order_uncertainty(learner, pages, np.append(weights, np.zeros(6)))

    before = uncertainty_about(1), uncertainty_about(2)
    for n in range(1500):
        features = page()
        clicked = rng.random(10) < 0.05 + 0.8 * features[:, 1]
        if clicked.sum() <= 5:
            learner.learn(Impression(features, clicked, f"user-{n}"))
    after = uncertainty_about(1), uncertainty_about(2)
    assert before[0] > 0.5
    assert after[0] < 0.2 * before[0]
    assert after[1] > 2.0 * after[0]
