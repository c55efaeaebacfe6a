"""The learner that learns nothing."""

from __future__ import annotations

import numpy as np

from tuning.learners.learner import Impression, Off


def test_off_ranks_by_production_whatever_is_clicked() -> None:
    learner, features = Off(np.array([1.0, 2.0])), np.array([[1.0, 0.0], [0.0, 1.0]])
    learner.learn(Impression(features, np.array([True, False])))
    assert learner.scores(features).tolist() == [1.0, 2.0]
    assert learner.order(features, np.random.default_rng(0)).tolist() == [1.0, 2.0]
