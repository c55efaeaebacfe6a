"""Bets, value by value."""

from __future__ import annotations

import math

import numpy as np
import pytest

from events.errors import InvalidInput
from tuning.gate.evalues import ALARM_STAKES, MAX_STAKE, MIN_STAKE, STAKE, Bet, Detector, SampleRatio, stakes


def test_a_bet_grows_with_gains_and_shrinks_with_losses() -> None:
    bet = Bet()
    assert bet.value == 1.0
    bet.observe(0.0)
    assert bet.value == 1.0
    bet.observe(1.0)
    assert bet.value == pytest.approx(1.0 + STAKE)
    bet.observe(-5.0)
    assert 0.0 < bet.value < 1.0 + STAKE


def test_stakes_stay_within_their_limits() -> None:
    assert stakes(np.zeros(1), np.zeros(1)).tolist() == [pytest.approx(STAKE)]
    assert stakes(np.array([1e6, -1e6]), np.array([1.0, 1.0])).tolist() == [MAX_STAKE, MIN_STAKE]


def test_a_detector_starts_a_bet_at_each_event_that_says_something() -> None:
    detector = Detector()
    detector.observe(0.0)
    assert detector.value == 0.0
    detector.observe(1.0)
    assert detector.value == pytest.approx(1.0 + np.mean(ALARM_STAKES))


def test_a_sample_ratio_is_the_ratio_of_predicted_and_given_shares() -> None:
    ratio = SampleRatio((1.0, 3.0))
    ratio.observe(0)
    assert ratio.value == pytest.approx(1.0)
    ratio.observe(0)
    assert ratio.value == pytest.approx((251.0 / 1001.0) / 0.25)
    restored = SampleRatio((1.0, 3.0))
    restored.restore(ratio.counts)
    assert math.isclose(restored.value, ratio.value)
    with pytest.raises(InvalidInput):
        SampleRatio((1.0, 0.0))
