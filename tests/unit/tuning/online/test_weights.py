"""Learning weights from pages: which pages count, what is restored, and what is reset when the features change."""

from __future__ import annotations

import msgspec
import numpy as np

from events.types import PairSwap
from tests.factories import ranking
from tests.simulation.shop import NAMES, WEIGHTS, Shop, index
from tuning.learners.exploration import PRIOR
from tuning.online.weights import WeightLearner

CLICKED = np.array([True] + [False] * 9)


def test_an_explored_page_counts_as_a_vote_and_lowers_the_share() -> None:
    learner, shop = WeightLearner(index()), Shop(index())
    page, _ = shop.page()
    explored = msgspec.structs.replace(page, exploration=(PairSwap(1, 0.5, False),))
    learner.observe(explored, CLICKED, index())
    assert len(learner.pair_votes) == 1
    assert learner.exploration.n_votes > PRIOR[1] * 0.99
    learner.observe(page, CLICKED, index())
    assert len(learner.pair_votes) == 1


def test_restored_weights_equal_the_original_and_other_features_take_the_counts_alone() -> None:
    learner, shop = WeightLearner(index()), Shop(index())
    for _ in range(30):
        page, _ = shop.page()
        learner.observe(page, CLICKED, index())
    restored, other = WeightLearner(index()), WeightLearner(index(weights={"cosine": 1.0}))
    restored.restore(learner.parts())
    other.restore(learner.parts())
    assert np.array_equal(restored.model.weights, learner.model.weights)
    assert restored.moved_by(index()) == learner.moved_by(index()) != {}
    assert (other.n_pages, other.names, len(other.recent)) == (30, ("cosine",), 0)


def test_a_page_is_accepted_where_the_features_alone_ordered_it() -> None:
    learner = WeightLearner(index())
    page, _ = Shop(index()).page()
    assert page.feature_names == NAMES == tuple(WEIGHTS)
    assert learner.accepts(page)
    assert not learner.accepts(ranking()), "it has other features"
    unsorted = msgspec.structs.replace(page, scores=page.scores[::-1])
    assert not learner.accepts(unsorted)
    assert learner.accepts(msgspec.structs.replace(unsorted, exploration=()))


def test_without_pages_there_is_no_proposal() -> None:
    page, _ = Shop(index()).page()
    assert WeightLearner(index()).propose(index(), page) is None
