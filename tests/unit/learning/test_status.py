"""How far a learner is."""

from __future__ import annotations

from searchsvc.learning.status import LearningStatus, status_of
from tests.simulation.shop import Shop, index, teach
from tuning.clicks.pages import SETTLE
from tuning.online.learner import IndexLearner


def test_an_index_that_does_not_learn_is_idle() -> None:
    assert status_of(None, "no") == LearningStatus("idle", 0, 0, 0, 1.0, 0.0, message="no")


def test_the_status_tells_what_was_learnt_from() -> None:
    shop = Shop(index())
    learner = IndexLearner(shop.control, SETTLE)
    assert list(teach(learner, shop, 20)) == []
    assert status_of(learner, "").exploration_share == 0.0, "none was published"
    learner.new_exploration_share()
    status = status_of(learner, "learnt")
    assert (status.stage, status.n_pages, status.n_documents, status.message) == ("idle", 20, 200, "learnt")
    assert (status.evidence, status.alarm, status.uncertainty) == (1.0, 0.0, 1.0)
    assert status.exploration_share == 0.02
    assert status.moved_by.keys() >= {"cosine"}
