"""Exploration: random swaps with known probabilities, so that the log can say what other orders would have earned.

On a small share of searches (`tuning.learners.exploration`), nearly tied neighbours swap places with probability 1/2.
Pairs do not overlap; the first hit takes part in one such search in ten. Rankings with boosts or pins do not explore.
Everything is drawn from the query id, so that it can be repeated.

Source: disjoint pairs are those of FairPairs, Radlinski & Joachims, AAAI 2006.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from events.types import PairSwap
from tuning.arrays import ScoreArray
from tuning.learners.exploration import DEPTH, NEAR_TIE

TOP_PROBABILITY: Final = 0.1
SWAP_PROBABILITY: Final = 0.5


def is_exploring(share: float, query_id: str) -> bool:
    """Return whether a search belongs to a share of all searches, in [0, 1]."""
    return _draw(query_id, "explores") < share


def swap_neighbours(order: Sequence[int], scores: ScoreArray, query_id: str) -> tuple[list[int], tuple[PairSwap, ...]]:
    """Return an order with some neighbours swapped, and every pair that could be swapped.

    order: positions of candidates, best first.
    scores: (n,) by position.
    """
    shown, swaps = list(order), []
    # Pairs begin at an odd or an even rank, so that every rank takes part now and then.
    upper = 0 if _draw(query_id, "top") < TOP_PROBABILITY else 1 + (_draw(query_id, "from") < SWAP_PROBABILITY)
    while upper + 1 < min(len(shown), DEPTH):
        upper_score, lower_score = float(scores[shown[upper]]), float(scores[shown[upper + 1]])
        if upper_score - lower_score <= NEAR_TIE * abs(upper_score):
            is_swapped = _draw(query_id, str(upper)) < SWAP_PROBABILITY
            swaps.append(PairSwap(upper + 1, SWAP_PROBABILITY, is_swapped))
            if is_swapped:
                shown[upper], shown[upper + 1] = shown[upper + 1], shown[upper]
        upper += 2
    return shown, tuple(swaps)


def _draw(query_id: str, purpose: str) -> float:
    """Return a number in [0, 1) that is fixed for a query id and a purpose."""
    digest = hashlib.blake2b(f"{query_id}\0{purpose}".encode(), digest_size=6).digest()
    return int.from_bytes(digest) / 2**48
