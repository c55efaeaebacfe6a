"""Which neighbours swap places."""

from __future__ import annotations

import numpy as np
import pytest

from searchsvc.search.exploration import is_exploring, swap_neighbours

IDS = [f"q{n}" for n in range(4000)]


def test_nearly_tied_neighbours_swap_half_of_the_time_and_the_first_seldom() -> None:
    scores = np.linspace(5.0, 3.0, 21)[:20].astype(np.float64)
    order = list(range(20))
    moved = np.zeros(10)
    for name in IDS:
        shown, swaps = swap_neighbours(order, scores, name)
        assert sorted(shown) == order
        assert shown[10:] == order[10:]
        ranks = [rank for swap in swaps for rank in (swap.rank, swap.rank + 1)]
        assert len(ranks) == len(set(ranks)), "pairs share no rank"
        repeated = list(order)
        for swap in swaps:
            assert swap.probability == 0.5
            if swap.swapped:
                upper = swap.rank - 1
                repeated[upper], repeated[upper + 1] = repeated[upper + 1], repeated[upper]
        assert repeated == shown
        moved += np.array(shown[:10]) != np.arange(10)
        assert swap_neighbours(order, scores, name) == (shown, swaps)
    moved /= len(IDS)
    assert moved[0] == pytest.approx(0.05, abs=0.015)
    assert moved[2:9] == pytest.approx([0.5] * 7, abs=0.05)


def test_clearly_better_documents_keep_their_places() -> None:
    shown, swaps = swap_neighbours([0, 1, 2, 3], np.array([9.0, 5.0, 2.0, 1.0]), "q1")
    assert (shown, swaps) == ([0, 1, 2, 3], ())
    assert swap_neighbours([], np.zeros(0), "q1") == ([], ())


def test_the_share_of_searches_that_explore_is_as_set() -> None:
    assert np.mean([is_exploring(0.02, name) for name in IDS]) == pytest.approx(0.02, abs=0.008)
    assert not any(is_exploring(0.0, name) for name in IDS)
