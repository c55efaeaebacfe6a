"""Simulated shoppers and bots."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.shoppers import MODELS, Attack, Shoppers
from events.errors import InvalidInput


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("max_grade", [1, 4])
def test_shoppers_click_what_is_relevant_and_examine_the_top(model: str, max_grade: int) -> None:
    shoppers = Shoppers(model, Attack(), max_grade, np.random.default_rng(3))
    worst, best = np.zeros(10, np.int64), np.full(10, max_grade)
    bad, good = (np.mean([shoppers.click(grades)[0] for _ in range(4000)], axis=0) for grades in (worst, best))
    assert good[0] > bad[0]
    if model != "perfect":
        assert good[0] > good[5]


@pytest.mark.parametrize(
    ("model", "grade", "expected"),
    [
        ("navigational", 1, 0.95),
        ("informational", 0, 0.4),
        ("near-random", 1, 0.6),
        ("pbm", 1, 0.35),
        ("pbm-trust", 0, 0.67),
        ("pbm-trust-low", 0, 0.2),
    ],
)
def test_the_first_hit_is_clicked_as_often_as_the_model_says(model: str, grade: int, expected: float) -> None:
    shoppers = Shoppers(model, Attack(), 1, np.random.default_rng(4))
    n = sum(bool(shoppers.click(np.array([grade, 0]))[0][0]) for _ in range(20_000))
    assert n / 20_000 == pytest.approx(expected, abs=0.012)


@pytest.mark.parametrize(
    ("attack", "clicks_irrelevant"), [("random:0.3", 0.5), ("spam:0.3", 1.0), ("inverse:0.3", 1.0)]
)
def test_few_bots_make_their_share_of_the_searches(attack: str, clicks_irrelevant: float) -> None:
    shoppers = Shoppers("perfect", Attack.parse(attack), 1, np.random.default_rng(5))
    clicks = [shoppers.click(np.array([0])) for _ in range(5000)]
    bots = [clicked[0] for clicked, user in clicks if user.startswith("bot")]
    assert len({user for _, user in clicks if user.startswith("bot")}) == 20
    assert len(bots) / 5000 == pytest.approx(0.3, abs=0.03)
    assert np.mean(bots) == pytest.approx(clicks_irrelevant, abs=0.05)


@pytest.mark.parametrize("text", ["spam", "spam:x", "spam:0", "spam:1", "drift:0", "drift:1.5", "flood:0.1"])
def test_a_malformed_attack_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Attack.parse(text)
    assert refused.value.field == "attack"
