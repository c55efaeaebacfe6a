"""E-values: evidence that may be looked at after every event. Pure.

A bet against a null hypothesis starts with a capital of 1. Where the hypothesis is true, the capital reaches 1 / alpha
with a probability of at most alpha, however often one looks (Ville's inequality). `Bet` is for one question that is
asked once. `Detector` starts a bet at every event, so that it detects a change that comes late. `SampleRatio` bets
against given shares of several kinds of events.

Sources: Waudby-Smith & Ramdas 2024, Estimating means of bounded random variables by betting (also for the stakes);
Shin, Ramdas & Rinaldo 2024, E-detectors, for the Shiryaev-Roberts form; Lindon & Malek 2022, Anytime-valid inference
for multinomial count data, for the sample ratio.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from events.errors import require
from tuning.arrays import ScoreArray

# A bet starts with this stake. `STAKE_PRIOR` is the sum of squares at which the data weigh as much as the start.
STAKE: Final = 0.4
STAKE_PRIOR: Final = 40.0
MIN_STAKE: Final = 0.02
MAX_STAKE: Final = 0.9
ALARM_STAKES: Final = (0.3, 0.6, 0.9)
# Number of prior events that fell as the shares say: a difference of 5 % is found soon, one of 1 % late.
SHARES_PRIOR: Final = 1000.0
MAX_LOG: Final = 600.0


def stakes(totals: ScoreArray, squares: ScoreArray) -> ScoreArray:
    """Return what bets stake next: the mean over the variance, which is nearly optimal where both are small.

    totals: (n,) sums of the values so far.
    squares: (n,) sums of their squares.

    Returns (n,), each in [MIN_STAKE, MAX_STAKE].
    """
    best = (STAKE_PRIOR * STAKE + totals) / (STAKE_PRIOR + squares)
    return np.clip(best, MIN_STAKE, MAX_STAKE)


class Bet:
    """A bet against the hypothesis that the mean of values in [-1, 1] is 0 or less.

    sums: (3,) logarithm of the capital, sum of the values, sum of their squares.
    """

    def __init__(self) -> None:
        self.sums: ScoreArray = np.zeros(3)

    def observe(self, value: float) -> None:
        value = min(max(value, -1.0), 1.0)
        if value:
            (stake,) = stakes(self.sums[1:2], self.sums[2:3])
            self.sums += math.log1p(stake * value), value, value * value

    @property
    def value(self) -> float:
        """The capital; 1 at the start."""
        return math.exp(min(self.sums[0], MAX_LOG))


class Detector:
    """Detects a mean above 0 that may begin at any time. By chance, the value reaches n at most once in n events.

    values: (n_stakes,) sums of the capital of all bets so far.
    """

    def __init__(self, stakes: Sequence[float] = ALARM_STAKES) -> None:
        self._stakes = np.array(stakes)
        self.values: ScoreArray = np.zeros(len(stakes))

    def observe(self, value: float) -> None:
        if not value:
            # No bet starts at a value of 0: the rate of false alarms then counts informative events alone.
            return
        grown = (self.values + 1.0) * (1.0 + self._stakes * min(max(value, -1.0), 1.0))
        self.values = np.minimum(grown, 1e300)

    @property
    def value(self) -> float:
        """The alarm value; 0 at the start."""
        return float(self.values.mean())


class SampleRatio:
    """A bet against the hypothesis that events fall into kinds with given shares.

    shares: expected shares, each above 0; they are normalized.
    """

    def __init__(self, shares: Sequence[float]) -> None:
        require(min(shares) > 0.0, "shares", list(shares), "above 0")
        total = sum(shares)
        self._shares = [share / total for share in shares]
        self.counts = [0] * len(shares)
        self._log = 0.0

    def observe(self, kind: int) -> None:
        """Bet that the event falls as events did so far. kind: index into the shares."""
        share, n = self._shares[kind], sum(self.counts)
        predicted = (SHARES_PRIOR * share + self.counts[kind]) / (SHARES_PRIOR + n)
        self._log += math.log(predicted / share)
        self.counts[kind] += 1

    def restore(self, counts: Sequence[int]) -> None:
        """Continue from counts of earlier events; the order of these does not matter."""
        self.counts = [*counts]
        rising = [
            math.lgamma(SHARES_PRIOR * share + n) - math.lgamma(SHARES_PRIOR * share) - n * math.log(share)
            for share, n in zip(self._shares, counts, strict=True)
        ]
        self._log = sum(rising) + math.lgamma(SHARES_PRIOR) - math.lgamma(SHARES_PRIOR + sum(counts))

    @property
    def value(self) -> float:
        """The capital; 1 at the start."""
        return math.exp(min(self._log, MAX_LOG))
