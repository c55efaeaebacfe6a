"""The learner of one index: which pages and interactions it learns from."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from tests.factories import NOW
from tests.simulation.shop import Shop, click, index
from tuning.clicks.pages import SETTLE
from tuning.online.learner import IndexLearner


@pytest.mark.parametrize(
    "changed",
    [
        {"pinned_ids": ("d1-0",)},
        {"rule_factors": (2.0,) + (1.0,) * 9},
        {"typing": True},
        {"degraded": ("vector",)},
        {"first_rank": 11},
        {"scores": tuple(range(10))},
        {"feature_names": ("other",)},
    ],
)
def test_a_page_that_the_features_did_not_order_teaches_no_weights(changed: dict[str, object]) -> None:
    shop = Shop(index())
    learner = IndexLearner(shop.control, SETTLE)
    ranking, _ = shop.page()
    learner.observe_ranking(msgspec.structs.replace(ranking, **changed))
    assert list(learner.decide(shop.now + timedelta(hours=1))) == []
    assert learner.weights.n_pages == 0


def test_pages_of_unknown_users_teach_weights_and_no_behavior_values() -> None:
    learner, shop = IndexLearner(index(), SETTLE), Shop(index())
    ranking, _ = shop.page()
    for n in range(300):
        shown = msgspec.structs.replace(ranking, id=f"r{n}", user="")
        learner.observe_ranking(shown)
        learner.observe_interaction(shown, click(shown, ranking.document_ids[3], shop.now, "purchase"))
    assert learner.learnt_behavior(shop.now) == []
    assert len(list(learner.decide(shop.now + timedelta(hours=1)))) <= 1
    assert learner.weights.n_pages == 300, "of weights they say something all the same"


def test_the_lines_of_an_order_are_not_rate_limited() -> None:
    learner, shop = IndexLearner(index(), SETTLE), Shop(index())
    for _ in range(12):
        ranking, _ = shop.page()
        ranking = msgspec.structs.replace(ranking, user="buyer")
        learner.observe_ranking(ranking)
        for document_id in ranking.document_ids:
            learner.observe_interaction(ranking, click(ranking, document_id, NOW, "purchase"))
    assert all(
        learner.behavior.coec.documents.subjects[document_id].clicks > 9.0 for document_id in ranking.document_ids
    )
