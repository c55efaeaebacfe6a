"""What clicks say of pairs whose order was left to chance: before anybody is shown other weights. Pure.

Two neighbours that might have changed places with one chance in two got the same attention, on the average. So where
just one of them was clicked, whichever way the coin fell, that is a vote for it; and weights that would turn some of
those pairs round are worse where the votes are against that.

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
    """(n_features,) of the document that was clicked, and of its neighbour that was not."""

    chosen: list[float]
    other: list[float]


class FlipVotes(msgspec.Struct, frozen=True):
    """Pairs that other weights turn round. share: of votes that are for that, with the ends of its 95 % interval."""

    n: int
    share: float
    low: float
    high: float

    def __str__(self) -> str:
        ends = f"{self.low:.0%} to {self.high:.0%}"
        return (
            f"; of {self.n} pairs left to chance that it turns round, clicks are for that in {self.share:.0%} ({ends})"
        )


def pair_votes(swaps: Iterable[PairSwap], features: ScoreArray, clicked: BoolArray) -> Iterator[PairVote]:
    """The votes of one page. features: (n, n_features), clicked: (n,), as shown."""
    for swap in swaps:
        upper, lower = swap.rank - 1, swap.rank
        if swap.probability == FAIR and lower < len(clicked) and clicked[upper] != clicked[lower]:
            chosen, other = (upper, lower) if clicked[upper] else (lower, upper)
            yield PairVote(features[chosen].tolist(), features[other].tolist())


def votes_on_flips(votes: Sequence[PairVote], now: ScoreArray, then: ScoreArray) -> FlipVotes | None:
    """What votes say of going from some weights to others, (n_pieces,) each; None where they are too few to say
    anything. Interval: Wilson 1927."""
    if not votes:
        return None
    chosen, other = (pieces(np.array([getattr(one, name) for one in votes])) for name in ("chosen", "other"))
    before, after = ((chosen - other) @ weights for weights in (now, then))
    turned = before * after < 0.0
    n = int(turned.sum())
    if n < MIN_FLIPPED:
        return None
    share = float((after[turned] > 0.0).mean())
    middle = (share + Z_95**2 / (2 * n)) / (1 + Z_95**2 / n)
    wide = Z_95 / (1 + Z_95**2 / n) * math.sqrt(share * (1 - share) / n + Z_95**2 / (4 * n * n))
    return FlipVotes(n, share, middle - wide, middle + wide)
