"""Evidence that may be looked at after every event. Pure.

A bet that nothing is there starts at 1 and cannot be expected to grow while nothing is: the chance that it ever reaches
1 / alpha is at most alpha, however often one looks. A `Bet` is for one question that is asked once; a `Detector` starts
one anew at each moment, so that it hears what changes late. A `SampleRatio` is against: things fall where they do with
given shares.

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

# A bet begins with this stake, and goes over to what would have been best so far as squares add up beside these.
STAKE: Final = 0.4
STAKE_PRIOR: Final = 40.0
LEAST_STAKE: Final = 0.02
MOST_STAKE: Final = 0.9
STAKES_OF_ALARM: Final = (0.3, 0.6, 0.9)
# So many that are believed to have come as they should: about a twentieth off is foretold soon, a hundredth late.
SHARES_PRIOR: Final = 1000.0


def stakes(totals: ScoreArray, squares: ScoreArray) -> ScoreArray:
    """(n,) what bets stake next: the mean over the variance is best where both are small. totals, squares: (n,) sums of
    what came, and of its squares."""
    best = (STAKE_PRIOR * STAKE + totals) / (STAKE_PRIOR + squares)
    return np.clip(best, LEAST_STAKE, MOST_STAKE)


class Bet:
    """Against: the mean of what comes, each in [-1, 1], is 0 or less. held: the logarithm of what it has become, and
    the sums that the next stake follows from."""

    def __init__(self) -> None:
        self.held: ScoreArray = np.zeros(3)

    def take(self, value: float) -> None:
        value = min(max(value, -1.0), 1.0)
        if value:
            (stake,) = stakes(self.held[1:2], self.held[2:3])
            self.held += math.log1p(stake * value), value, value * value

    @property
    def value(self) -> float:
        """What one has become; from 1."""
        return math.exp(min(self.held[0], 600.0))


class Detector:
    """Of a mean above 0, from whenever it is: a value of n is reached by chance once in n events, or more seldom. held:
    (n_stakes,) what those begun so far have become."""

    def __init__(self, stakes: Sequence[float] = STAKES_OF_ALARM) -> None:
        self._stakes = np.array(stakes)
        self.held: ScoreArray = np.zeros(len(stakes))

    def take(self, value: float) -> None:
        if not value:
            # Nothing begins with what says nothing, so that a value is reached once in so many that do.
            return
        grown = (self.held + 1.0) * (1.0 + self._stakes * min(max(value, -1.0), 1.0))
        self.held = np.minimum(grown, 1e300)

    @property
    def value(self) -> float:
        """From 0."""
        return float(self.held.mean())


class SampleRatio:
    """Against: what comes falls into kinds with these shares, each above 0. counts: of what came."""

    def __init__(self, shares: Sequence[float]) -> None:
        require(min(shares) > 0.0, "shares", list(shares), "above 0")
        total = sum(shares)
        self._shares = [share / total for share in shares]
        self.counts = [0] * len(shares)
        self._log = 0.0

    def take(self, kind: int) -> None:
        """kind: an index of the shares. What is foretold by what came before is bet on."""
        share, n = self._shares[kind], sum(self.counts)
        foretold = (SHARES_PRIOR * share + self.counts[kind]) / (SHARES_PRIOR + n)
        self._log += math.log(foretold / share)
        self.counts[kind] += 1

    def count(self, counts: Sequence[int]) -> None:
        """Go on where so many of each came."""
        self.counts = [*counts]
        rising = [
            math.lgamma(SHARES_PRIOR * share + n) - math.lgamma(SHARES_PRIOR * share) - n * math.log(share)
            for share, n in zip(self._shares, counts, strict=True)
        ]
        self._log = sum(rising) + math.lgamma(SHARES_PRIOR) - math.lgamma(SHARES_PRIOR + sum(counts))

    @property
    def value(self) -> float:
        """From 1."""
        return math.exp(min(self._log, 600.0))
