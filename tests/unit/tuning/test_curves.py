"""Scores as sums of curves."""

from __future__ import annotations

import numpy as np
import pytest

from tuning.curves import curves, piece_names, pieces

NAMES = piece_names(("a", "b", "c"))


def test_curves_bend_at_their_knots_and_nowhere_else() -> None:
    weights = np.array([1.0, -1.0, 4.0])
    values = (pieces(np.array([[0.0], [0.2], [0.25], [0.4], [0.5], [1.0]]), (0.25, 0.5)) @ weights).tolist()
    assert values == pytest.approx([0.0, 0.2, 0.25, 0.25, 0.25, 2.25])


def test_scores_by_named_hinges_equal_scores_by_all_pieces() -> None:
    features = np.random.default_rng(4).random((20, 3)).astype(np.float32)
    weights = {"a": 1.0, "b": 0.5, "c": 0.0, "b>2/3": -2.0, "a>1/3": 0.7, "gone>1/3": 5.0}
    terms = curves(("a", "b", "c"), weights)
    every = np.array([weights.get(name, 0.0) for name in NAMES])
    assert terms.names == ("a", "b", "c", "b>2/3", "a>1/3")
    np.testing.assert_allclose(terms.columns(features) @ terms.weights, pieces(features) @ every, atol=1e-12)
    plain = curves(("a", "b", "c"), {"a": 1.0})
    assert plain.columns(features) is features, "who does not bend pays nothing for it"
