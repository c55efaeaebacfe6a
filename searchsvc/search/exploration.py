"""Leaving a little to chance, with known odds, so that the log can say what other orders would have earned. Pure.

On a small share of searches (`tuning.learners.exploration`), neighbours whose scores are nearly alike change places
with one chance in two: pairs do not overlap, and the first hit stays where it is but for one such search in ten. A
rule's order is never touched. All is drawn from the query's id, so that it can be had again.

Source: disjoint pairs are those of FairPairs, Radlinski & Joachims, AAAI 2006.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from events.types import PairSwap
from tuning.arrays import ScoreArray
from tuning.learners.exploration import DEPTH, NEAR_TIE

TOP: Final = 0.1
CHANCE: Final = 0.5


def is_exploring(share: float, query_id: str) -> bool:
    """Whether a search is one of that share."""
    return _drawn(query_id, "explores") < share


def swap_neighbors(order: Sequence[int], scores: ScoreArray, query_id: str) -> tuple[list[int], tuple[PairSwap, ...]]:
    """An order with some neighbours in each other's place, and what was left to chance. order: positions, best first;
    scores: (n,) by position."""
    shown, swaps = list(order), []
    # From the first or the second rank on, so that each place is left to chance now and then.
    at = 0 if _drawn(query_id, "top") < TOP else 1 + (_drawn(query_id, "from") < CHANCE)
    while at + 1 < min(len(shown), DEPTH):
        upper, lower = float(scores[shown[at]]), float(scores[shown[at + 1]])
        if upper - lower <= NEAR_TIE * abs(upper):
            changes = _drawn(query_id, str(at)) < CHANCE
            swaps.append(PairSwap(at + 1, CHANCE, changes))
            if changes:
                shown[at], shown[at + 1] = shown[at + 1], shown[at]
        at += 2
    return shown, tuple(swaps)


def _drawn(query_id: str, what: str) -> float:
    """In [0, 1)."""
    digest = hashlib.blake2b(f"{query_id}\0{what}".encode(), digest_size=6).digest()
    return int.from_bytes(digest) / 2**48
