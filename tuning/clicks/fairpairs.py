"""FairPairs: what clicks say about candidate weights before any shopper sees them. Pure.

Exploration swaps two neighbours with a probability of one half. Both get the same attention on average. So if just one
of the two was clicked, this is a vote for it, whether they were swapped or not. Candidate weights that would flip such
pairs are worse if the votes are against the flips.

Source: Radlinski & Joachims, Minimally Invasive Randomization for Collecting Unbiased Preferences, AAAI 2006.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec
import numpy as np

from events.types import PairSwap
from tuning.arrays import BoolArray, ScoreArray
from tuning.curves import pieces

MIN_FLIPPED: Final = 30
FAIR: Final = 0.5
Z_95: Final = 1.959964


class PairVote(msgspec.Struct, frozen=True, array_like=True):
    """One vote.

    chosen: (n_features,) of the document that was clicked.
    passed_over: (n_features,) of its neighbour that was not.
    """

    chosen: list[float]
    passed_over: list[float]


class FlipVotes(msgspec.Struct, frozen=True):
    """Votes on the pairs whose order candidate weights flip.

    share: share of the votes that are for the flip, in [0, 1].
    low: lower end of its 95 % interval.
    high: upper end of its 95 % interval.
    """

    n: int
    share: float
    low: float
    high: float

    def __str__(self) -> str:
        share = f"{self.share:.0%} ({self.low:.0%} to {self.high:.0%})"
        return f"; of {self.n} randomly ordered pairs that it flips, clicks are for that in {share}"


def pair_votes(swaps: Iterable[PairSwap], features: ScoreArray, clicked: BoolArray) -> Iterator[PairVote]:
    """Yield the votes of one page.

    features: (n, n_features), as shown.
    clicked: (n,), as shown.
    """
    for swap in swaps:
        upper, lower = swap.rank - 1, swap.rank
        if swap.probability == FAIR and lower < len(clicked) and clicked[upper] != clicked[lower]:
            chosen, passed_over = (upper, lower) if clicked[upper] else (lower, upper)
            yield PairVote(features[chosen].tolist(), features[passed_over].tolist())


def votes_on_flips(votes: Sequence[PairVote], before: ScoreArray, after: ScoreArray) -> FlipVotes | None:
    """Count the votes on pairs whose order changes between two sets of weights.

    before: (n_pieces,) weights in force.
    after: (n_pieces,) candidate weights.

    Returns None if fewer than `MIN_FLIPPED` votes are on such pairs.
    Source: Wilson 1927, for the interval.
    """
    if not votes:
        return None
    chosen = pieces(np.array([vote.chosen for vote in votes]))
    passed_over = pieces(np.array([vote.passed_over for vote in votes]))
    margin_before, margin_after = ((chosen - passed_over) @ weights for weights in (before, after))
    flipped = margin_before * margin_after < 0.0
    n = int(flipped.sum())
    if n < MIN_FLIPPED:
        return None
    share = float((margin_after[flipped] > 0.0).mean())
    middle = (share + Z_95**2 / (2 * n)) / (1 + Z_95**2 / n)
    half_width = Z_95 / (1 + Z_95**2 / n) * math.sqrt(share * (1 - share) / n + Z_95**2 / (4 * n * n))
    return FlipVotes(n, share, middle - half_width, middle + half_width)
