"""Propensities of randomized rankings."""

from __future__ import annotations

from events.types import PairSwap
from tuning.clicks.offpolicy import propensities


def test_propensities_are_those_of_the_coins() -> None:
    probabilities = propensities(
        tuple("bacd"), [PairSwap(1, 0.1, True), PairSwap(3, 0.2, False), PairSwap(4, 0.5, True)]
    )
    assert probabilities == {
        ("a", 1): 0.9,
        ("b", 2): 0.9,
        ("a", 2): 0.1,
        ("b", 1): 0.1,
        ("c", 3): 0.8,
        ("d", 4): 0.8,
        ("c", 4): 0.2,
        ("d", 3): 0.2,
    }
