"""Interleaving under simulated shoppers."""

from __future__ import annotations

import numpy as np

from tuning.gate.interleaving import N_COINS, preference, team_draft


def test_cascading_shoppers_prefer_neither_of_two_equal_rankings() -> None:
    rng = np.random.default_rng(3)
    first = list(range(12))
    for second in (first[1:], [99, *first], first[::-1]):
        preferences = []
        for _ in range(4000):
            coins = [bool(coin) for coin in rng.random(N_COINS) < 0.5]
            clicked = set()
            for document in team_draft(first, second, coins):
                if rng.random() < 0.25:
                    clicked.add(document)
                    if rng.random() < 0.5:
                        break
            preferences.append(preference(first, second, coins, clicked))
        assert abs(np.mean(preferences)) < 3.5 * np.std(preferences) / len(preferences) ** 0.5
