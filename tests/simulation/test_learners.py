"""Learners of weights under simulated shoppers and bots."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.shoppers import Attack, Shoppers
from benchmarks.simulation import LEARNERS
from tuning.arrays import ScoreArray
from tuning.learners.browsing import BrowsingLearner
from tuning.learners.learner import Impression, Learner

N_FEATURES = 6
# Production is wrong about the first two features.
PRODUCTION = np.array([1.0, 0.0, 0.5, 0.0, 0.2, 0.0])
TASTE = np.array([0.0, 3.0, 1.0, 0.0, 0.0, 0.0])
MakeLearner = Callable[[ScoreArray], Learner]


def teach(make: MakeLearner, n: int, *, seed: int = 0, bots: float = 0.0, named: bool = True) -> Learner:
    """Return a learner that saw n pages of ten of thirty documents, relevant by `TASTE`."""
    rng = np.random.default_rng(seed)
    shoppers = Shoppers("informational", Attack("inverse", bots) if bots else Attack(), 1, np.random.default_rng(seed))
    learner = make(PRODUCTION)
    for _ in range(n):
        features = rng.random((30, N_FEATURES))
        grades = (features @ TASTE > 2.6).astype(np.int64)
        order = np.argsort(-learner.order(features, rng), kind="stable")[:10]
        clicked, user = shoppers.click(grades[order])
        learner.learn(Impression(features[order], clicked, user if named else ""))
    return learner


def agreement(learner: Learner) -> float:
    """Return the correlation of a learner's scores of new documents with `TASTE`, from -1 to 1."""
    features = np.random.default_rng(99).random((2000, N_FEATURES))
    return float(np.corrcoef(learner.scores(features), features @ TASTE)[0, 1])


@pytest.mark.parametrize("name", LEARNERS)
def test_a_learner_starts_as_production_and_is_repeatable(name: str) -> None:
    features = np.random.default_rng(1).random((50, N_FEATURES))
    assert np.array_equal(np.argsort(LEARNERS[name](PRODUCTION).scores(features)), np.argsort(features @ PRODUCTION))
    once, again = (teach(LEARNERS[name], 200).scores(features) for _ in range(2))
    assert np.array_equal(once, again)


@pytest.mark.parametrize(("name", "least"), [("default", 0.93), ("pdgd", 0.9)])
def test_a_learner_finds_the_planted_taste(name: str, least: float) -> None:
    assert agreement(LEARNERS["off"](PRODUCTION)) < 0.5
    assert agreement(teach(LEARNERS[name], 2000)) > least


def test_where_production_is_best_already_learning_costs_little() -> None:
    assert agreement(teach(lambda _: BrowsingLearner(TASTE), 300)) > 0.99


def test_a_few_bots_do_not_outvote_the_shoppers() -> None:
    assert agreement(teach(BrowsingLearner, 2000, bots=0.4)) > 0.85
    # With a new user name on each page, the same clicks do move the weights.
    assert agreement(teach(BrowsingLearner, 2000, bots=0.4, named=False)) < 0.7


def test_learning_starts_from_zero_weights_too() -> None:
    assert agreement(teach(lambda _: BrowsingLearner(np.zeros(N_FEATURES)), 2000)) > 0.9


def test_a_page_that_fair_coins_predict_better_is_not_learnt_from() -> None:
    learner = teach(BrowsingLearner, 600, named=False)
    assert isinstance(learner, BrowsingLearner)
    features = np.random.default_rng(5).random((30, N_FEATURES))
    order = np.argsort(-learner.scores(features), kind="stable")
    before = learner.parts()
    # The best documents are skipped, and six worse ones are clicked, down to the last.
    page = features[np.concatenate([order[:4], order[-6:]])]
    learner.learn(Impression(page, np.arange(10) >= 4, "bot"))
    after = learner.parts()
    assert {name for name in before if before[name] != after[name]} == {"counts"}, (
        "but for how often the user was counted"
    )
    learner.learn(Impression(page, np.arange(10) == 0, "user"))
    assert learner.parts()["means"] != before["means"]
