"""Pairwise differentiable gradient descent, on single pages."""

from __future__ import annotations

import numpy as np

from tuning.learners.learner import Impression
from tuning.learners.pdgd import Pdgd


def test_a_click_raises_the_weight_of_the_feature_that_sets_the_document_apart() -> None:
    learner = Pdgd(np.array([1.0, 0.0]))
    features = np.array([[1.0, 0.0], [0.5, 1.0], [0.2, 0.0]])
    learner.learn(Impression(features, np.array([False, True, False])))
    low, high = learner.scores(np.array([[0.5, 0.0], [0.5, 1.0]]))
    assert high > low


def test_a_page_without_clicks_changes_no_weight() -> None:
    learner = Pdgd(np.array([1.0, 0.5]))
    features = np.random.default_rng(0).random((5, 2))
    before = learner.scores(features)
    learner.learn(Impression(features, np.zeros(5, np.bool_)))
    assert np.array_equal(learner.scores(features), before)


def test_the_displayed_order_is_a_draw_around_the_scores() -> None:
    learner, features = Pdgd(np.array([8.0])), np.array([[0.0], [1.0]])
    first = [int(np.argmax(learner.order(features, np.random.default_rng(seed)))) for seed in range(200)]
    assert 150 < sum(first) < 200 or sum(first) == 200
    assert np.array_equal(
        learner.order(features, np.random.default_rng(1)), learner.order(features, np.random.default_rng(1))
    )
