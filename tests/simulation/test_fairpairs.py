"""Votes on randomly ordered pairs under simulated shoppers."""

from __future__ import annotations

import numpy as np
import pytest

from events.types import PairSwap
from tuning.clicks.fairpairs import MIN_FLIPPED, PairVote, pair_votes, votes_on_flips
from tuning.curves import piece_names

N_PIECES = len(piece_names(("a", "b")))


def weights(a: float, b: float) -> np.ndarray:
    return np.array([a, b, *[0.0] * (N_PIECES - 2)])


@pytest.mark.parametrize(("liked", "lowest", "highest"), [(0.8, 0.6, 1.0), (0.5, 0.35, 0.65), (0.2, 0.0, 0.4)])
def test_votes_tell_whether_to_flip_pairs(liked: float, lowest: float, highest: float) -> None:
    """Shoppers click the upper of two hits twice as often; one of the documents is more attractive."""
    rng = np.random.default_rng(1)
    votes: list[PairVote] = []
    for _ in range(3000):
        swapped = bool(rng.random() < 0.5)
        pair = np.array([[0.2, 0.8], [0.8, 0.2]] if swapped else [[0.8, 0.2], [0.2, 0.8]])
        attraction = np.where(pair[:, 1] > 0.5, liked, 1.0 - liked) * np.array([0.6, 0.3])
        votes += pair_votes([PairSwap(1, 0.5, swapped)], pair, rng.random(2) < attraction)
    flips = votes_on_flips(votes, weights(2.0, 1.0), weights(1.0, 2.0))
    assert flips is not None
    assert lowest <= flips.low <= flips.share <= flips.high <= highest
    assert str(flips.n) in str(flips)
    assert votes_on_flips(votes, weights(2.0, 1.0), weights(1.5, 1.0)) is None, "that turns none of them round"
    assert votes_on_flips(votes[: MIN_FLIPPED - 1], weights(2.0, 1.0), weights(1.0, 2.0)) is None
    assert votes_on_flips([], weights(2.0, 1.0), weights(1.0, 2.0)) is None
