"""Interleaved rankings, and what clicks on them say."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuning.gate.interleaving import N_COINS, preference, team_draft

COINS = [list(coins) for coins in product((False, True), repeat=N_COINS)]
RANKINGS = st.lists(st.integers(0, 14), unique=True, max_size=12)
LOOKS: dict[str, Callable[[int], float]] = {
    "as usual": lambda rank: 1.0 / rank,
    "hardly below the first": lambda rank: rank**-2.0,
    "at all alike": lambda rank: 0.9,
    "on and on": lambda rank: 0.85**rank,
}


@given(RANKINGS, RANKINGS, st.sampled_from(COINS))
def test_an_interleaved_ranking_holds_the_best_of_both_and_nothing_twice(
    first: list[int], second: list[int], coins: list[bool]
) -> None:
    shown = team_draft(first, second, coins)
    assert len(shown) == len(set(shown)) == min(len({*first, *second}), 10)
    for ranking in (first, second):
        if ranking and len(shown) > 1:
            assert ranking[0] in shown[:2]
    assert team_draft(first, first, coins) == first[:10]


@settings(deadline=None)  # compiled at first
@given(st.permutations(range(12)), st.permutations(range(12)), st.integers(1, 10))
def test_clicks_by_rank_alone_prefer_neither_ranking(first: list[int], second: list[int], n_shown: int) -> None:
    """Over all coins and lengths of the page: no page says more than 1, and the expected credit of each place is 0."""
    first, second = first[:n_shown], second[:n_shown]
    total = np.zeros(10)
    for coins in COINS:
        shown = team_draft(first, second, coins)[:n_shown]
        others = [not coin for coin in coins]
        assert abs(preference(first, second, coins, set(shown), n_shown)) <= 1.0
        for place, document in enumerate(shown):
            value = preference(first, second, coins, {document}, n_shown)
            assert value == pytest.approx(-preference(second, first, others, {document}, n_shown))
            total[place] += value / len(COINS)
    assert total == pytest.approx(np.zeros(10), abs=1e-9), "for every place, whatever attention it gets"


@pytest.mark.parametrize("looks", LOOKS)
@pytest.mark.parametrize("dropped", range(3))
@pytest.mark.parametrize("better", [1.0, 1.3])
def test_a_ranking_that_drops_a_document_and_moves_the_others_up_is_not_better(
    looks: str, dropped: int, better: float
) -> None:
    """For any examination of ranks, the loss equals the sum of the gains, or is larger if the document was better."""
    first = list(range(12))
    second = [document for document in first if document != dropped]
    total = 0.0
    for coins in COINS:
        for rank, document in enumerate(team_draft(first, second, coins), start=1):
            attraction = better if document == dropped else 1.0
            total += attraction * LOOKS[looks](rank) * preference(first, second, coins, {document})
    assert total == pytest.approx(0.0, abs=1e-9) if better == 1.0 else total < -1e-6


def test_a_click_prefers_the_ranking_that_has_the_document_higher() -> None:
    first, second = list("abcdefghij"), list("bacdefghij")
    for coins in COINS:
        assert preference(first, second, coins, {"b"}) > 0.0 > preference(first, second, coins, {"a"})
        assert preference(first, second, coins, {"c"}) == 0.0
        assert preference(first, second, coins, set()) == 0.0
        assert preference(first, first, coins, {"a"}) == 0.0
        assert preference(first, second, coins, {"j"}, 5) == 0.0, "it was not shown"
