"""The browsing learner on single pages."""

from __future__ import annotations

import numpy as np

from tuning.learners.browsing import BrowsingLearner
from tuning.learners.learner import Impression

N_FEATURES = 6
# Production is wrong about the first two features.
PRODUCTION = np.array([1.0, 0.0, 0.5, 0.0, 0.2, 0.0])


def test_short_empty_and_fully_clicked_pages_do_no_harm() -> None:
    learner = BrowsingLearner(PRODUCTION)
    for n in (0, 1, 3, 10, 40):
        learner.learn(Impression(np.random.default_rng(n).random((n, N_FEATURES)), np.zeros(n, np.bool_)))
    for n in (1, 3):
        learner.learn(Impression(np.random.default_rng(n).random((n, N_FEATURES)), np.ones(n, np.bool_)))
    assert np.isfinite(learner.weights).all()
    before = learner.weights
    for n in (10, 40):
        learner.learn(Impression(np.random.default_rng(n).random((n, N_FEATURES)), np.ones(n, np.bool_)))
    assert np.array_equal(learner.weights, before), "such a page does not count"
