"""Weights fitted to labels."""

from __future__ import annotations

import math

import numpy as np

from benchmarks import fitting
from tuning import metrics

N_FEATURES = 6
TASTE = np.array([0.0, 3.0, 1.0, 0.0, 0.0, 0.0])


def test_the_best_weights_are_found_from_labels() -> None:
    rng = np.random.default_rng(5)
    features = [rng.random((20, N_FEATURES)) for _ in range(400)]
    grades = [(rows @ TASTE + rng.normal(0.0, 0.2, 20) > 2.6).astype(np.int64) for rows in features]
    weights = fitting.best_linear(features, grades)
    assert np.corrcoef(np.concatenate(features) @ weights, np.concatenate(features) @ TASTE)[0, 1] > 0.99


def test_fitting_finds_the_relevant_feature_and_never_gets_worse() -> None:
    rng = np.random.default_rng(0)
    features = [rng.random((30, 3)).astype(np.float32) for _ in range(60)]
    grades = [(rows[:, 1] > 0.9).astype(np.int64) for rows in features]
    candidates = fitting.candidates(features, grades, grades)
    start = np.array([1.0, 0.0, 0.0])
    fitted = fitting.fit(candidates, start)
    assert fitting.ndcg(candidates, fitted).mean() > 0.95 > fitting.ndcg(candidates, start).mean()
    by_hand = metrics.ndcg(
        [str(i) for i in np.argsort(-features[0][:, 0])], {str(i): int(g) for i, g in enumerate(grades[0])}
    )
    assert math.isclose(fitting.ndcg(candidates, start)[0], by_hand, abs_tol=1e-5) or not grades[0].any()
