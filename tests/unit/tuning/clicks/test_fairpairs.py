"""Votes on randomly ordered pairs."""

from __future__ import annotations

import numpy as np

from events.types import PairSwap
from tuning.clicks.fairpairs import MIN_FLIPPED, PairVote, pair_votes, votes_on_flips
from tuning.curves import piece_names, pieces

N_PIECES = len(piece_names(("a", "b")))


def weights(a: float, b: float) -> np.ndarray:
    return np.array([a, b, *[0.0] * (N_PIECES - 2)])


def test_a_vote_is_one_click_on_a_fair_pair_and_nothing_else() -> None:
    features = np.arange(8.0).reshape(4, 2) / 10
    swaps = [PairSwap(1, 0.5, True), PairSwap(3, 0.5, False)]
    (vote,) = pair_votes(swaps, features, np.array([False, True, True, True]))
    assert vote == PairVote([0.2, 0.3], [0.0, 0.1])
    assert not list(pair_votes(swaps, features, np.array([True, True, False, False])))
    assert not list(pair_votes([PairSwap(1, 0.1, True)], features, np.array([True, False, False, False])))
    assert not list(pair_votes([PairSwap(4, 0.5, True)], features, np.array([True, False, False, True])))


def test_votes_count_hinges_too() -> None:
    vote = PairVote([0.9, 0.0], [0.5, 0.5])
    hinged = weights(1.0, 0.5)
    hinged[2] = -2.0
    assert (pieces(np.array([vote.chosen])) @ hinged < pieces(np.array([vote.passed_over])) @ hinged).all()
    flips = votes_on_flips([vote] * MIN_FLIPPED, weights(1.0, 0.5), hinged)
    assert flips is not None
    assert flips.share == 0.0
