"""Error rates and power of bets over simulated events."""

from __future__ import annotations

import numpy as np
import pytest

from tuning.gate.evalues import Bet, Detector, SampleRatio
from tuning.gate.guard import ALARM, ALARM_OF_SHARES
from tuning.gate.pipeline import BETTER


def test_a_bet_is_rarely_won_where_there_is_no_effect_however_often_one_looks() -> None:
    rng = np.random.default_rng(1)
    won = 0
    for _ in range(400):
        bet, best = Bet(), 1.0
        for value in rng.choice((-1.0, 0.0, 1.0), size=400, p=(0.2, 0.6, 0.2)):
            bet.observe(float(value))
            best = max(best, bet.value)
        won += best >= BETTER
    assert won / 400 <= 1.5 / BETTER


def test_a_bet_on_an_effect_is_won_and_a_late_change_is_detected() -> None:
    rng = np.random.default_rng(2)
    bet, deaf, detector = Bet(), Bet(), Detector()
    for _ in range(2000):
        bet.observe(float(rng.choice((-1.0, 1.0), p=(0.4, 0.6))))
    for _ in range(5000):
        value = float(rng.choice((-1.0, 1.0), p=(0.6, 0.4)))
        detector.observe(value)
        deaf.observe(value)
    n = 0
    while detector.value < ALARM and n < 500:
        detector.observe(0.8)
        deaf.observe(0.8)
        n += 1
    assert bet.value > BETTER
    assert n < 60
    assert deaf.value < 1.0, "one bet for all time is lost by then"


def test_a_sample_ratio_off_by_two_percent_is_detected_and_a_right_one_hardly_ever_alarms() -> None:
    rng = np.random.default_rng(5)
    shares_of_alarms = []
    for share in (0.5, 0.52):
        n_alarms = 0
        for _ in range(60):
            ratio = SampleRatio((0.5, 0.5))
            best = 1.0
            for kind in (rng.random(20_000) < share).astype(int).tolist():
                ratio.observe(kind)
                best = max(best, ratio.value)
            n_alarms += best >= ALARM_OF_SHARES
            again = SampleRatio((0.5, 0.5))
            again.restore(ratio.counts)
            assert again.value == pytest.approx(ratio.value, rel=1e-6)
        shares_of_alarms.append(n_alarms / 60)
    assert shares_of_alarms[0] <= 0.02
    assert shares_of_alarms[1] >= 0.8
    assert ALARM > ALARM_OF_SHARES
