"""How often gate and guard are wrong by chance: simulated runs between two sides that are equally good. Seeded."""

from __future__ import annotations

from typing import Final

import numpy as np

from tuning.arrays import ScoreArray
from tuning.gate.evalues import ALARM_STAKES, stakes
from tuning.gate.guard import ALARM
from tuning.gate.pipeline import BETTER

WITHIN: Final = 4000
N_GATE_RUNS: Final = 1000
N_ALARM_RUNS: Final = 300
ALARM_IMPRESSIONS: Final = 100_000


def rates_by_chance(preferences: ScoreArray) -> tuple[float, float]:
    """Return the shares of runs in which the gate opened, and in which there was an alarm, though neither is better.

    preferences: between equals; resampled, either side counting as the candidate
    """
    rng = np.random.default_rng(4)

    def draw(n_runs: int) -> ScoreArray:
        values = preferences[rng.integers(len(preferences), size=n_runs)]
        signs: ScoreArray = rng.choice((-1.0, 1.0), size=n_runs)
        either: ScoreArray = values * signs
        return either[:, None]

    logs, totals, squares = np.zeros((3, N_GATE_RUNS))
    opened = np.zeros(N_GATE_RUNS, np.bool_)
    for _ in range(WITHIN):
        value = draw(N_GATE_RUNS)[:, 0]
        logs += np.log1p(stakes(totals, squares) * value)
        totals += value
        squares += value * value
        opened |= np.exp(logs) >= BETTER
    sums, alarmed = np.zeros((N_ALARM_RUNS, len(ALARM_STAKES))), np.zeros(N_ALARM_RUNS, np.bool_)
    for _ in range(ALARM_IMPRESSIONS):
        value = draw(N_ALARM_RUNS)
        grown = (sums + 1.0) * (1.0 + np.array(ALARM_STAKES) * value)
        sums = np.minimum(np.where(value != 0.0, grown, sums), 1e300)
        alarmed |= sums.mean(axis=1) >= ALARM
    return float(opened.mean()), float(alarmed.mean())
