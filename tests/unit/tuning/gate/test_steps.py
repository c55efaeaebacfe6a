"""How far one publication may move the weights."""

from __future__ import annotations

import numpy as np
import pytest

from tuning.arrays import ScoreArray
from tuning.curves import piece_names
from tuning.gate.steps import MAX_MOVED_ON_PAGES, StepLimits, exposure_moved, largest_step, rounded_weight

NAMES = piece_names(("a", "b", "c"))
IN_FORCE = np.array([2.0, 1.0, 1.0, *[0.0] * 6])


def rankings(seed: int, n: int = 30) -> list[ScoreArray]:
    rng = np.random.default_rng(seed)
    return [rng.random((10, 3)) for _ in range(n)]


def test_a_step_keeps_locks_bounds_signs_and_the_maximum_step() -> None:
    learnt = np.array([1.0, -3.0, 2.0, *[0.5] * 6])
    limits = StepLimits(bounds={"c": (0.0, 1.1)}, locks=("a",), max_step=0.4)
    step = largest_step(NAMES, IN_FORCE, learnt, rankings(1), limits)
    assert step is not None
    by_name = dict(zip(NAMES, step.weights, strict=True))
    assert (by_name["a"], by_name["a>1/3"], by_name["a>2/3"]) == (2.0, 0.0, 0.0)
    assert 0.0 <= by_name["b"] <= 1.0, "no weight changes its sign"
    assert by_name["c"] <= 1.1
    assert np.abs(step.weights - IN_FORCE).max() <= 0.4 + 1e-12


@pytest.mark.parametrize("seed", range(8))
def test_a_step_moves_at_most_the_allowed_exposure(seed: int) -> None:
    learnt = np.random.default_rng(seed).random(9)
    step = largest_step(NAMES, IN_FORCE, learnt, rankings(seed), StepLimits())
    if step is not None:
        assert exposure_moved(rankings(seed), IN_FORCE, step.weights) == pytest.approx(step.exposure_moved)
        assert step.exposure_moved <= MAX_MOVED_ON_PAGES


def test_there_is_no_step_to_the_weights_in_force_or_without_rankings() -> None:
    assert largest_step(NAMES, IN_FORCE, IN_FORCE * 7.0, rankings(2), StepLimits()) is None
    assert largest_step(NAMES, IN_FORCE, IN_FORCE[::-1].copy(), [], StepLimits()) is None


def test_rounding_never_exceeds_the_step() -> None:
    for now in np.random.default_rng(1).uniform(-2, 2, 300).tolist():
        for step in (0.1, 0.25, 0.00003):
            after = rounded_weight(now, now + step)
            assert 0.0 <= after - now <= step
            assert -step <= rounded_weight(now, now - step) - now <= 0.0
    assert rounded_weight(0.123456789, 0.123456789) == 0.123456789
