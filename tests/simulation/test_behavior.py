"""Behavior values under simulated shoppers."""

from __future__ import annotations

import numpy as np
import pytest

from tests.simulation.behavior import NOW_S, PAGE, simulate_pages, simulate_query
from tuning.learners.behavior import HALF_LIFE_S, MIN_USERS
from tuning.learners.coec import Coec


def test_liked_documents_are_promoted_disliked_ones_demoted_and_others_left() -> None:
    coec = Coec()
    simulate_pages(coec, 3000, {"d0": 2.0, "d1": 0.3})
    factors = {name: statistics.factor(1.5) for name, statistics in coec.documents.subjects.items()}
    assert factors["d0"] > 1.2
    assert factors["d1"] < 0.8
    assert all(0.85 < factors[name] < 1.15 for name in PAGE[2:])


def test_a_document_is_not_better_for_being_on_top() -> None:
    coec, rng = Coec(), np.random.default_rng(1)
    for i in range(4000):
        # Two sets of pages, each with its own first document.
        page = [f"{'ab'[i % 2]}{rank}" for rank in range(10)]
        coec.observe_ranking(page, 1, 1 + i, NOW_S)
        for rank, document_id in enumerate(page, start=1):
            if rng.random() < 0.3 / rank:
                coec.observe_value(document_id, rank, 1.0, 1 + i, NOW_S)
    assert all(0.8 < statistics.factor(2.0) < 1.25 for statistics in coec.documents.subjects.values())


@pytest.mark.parametrize("users", [1, MIN_USERS - 1])
def test_a_few_users_move_nothing(users: int) -> None:
    coec = Coec()
    simulate_pages(coec, 2000, {"d0": 3.0}, users=users)
    assert {statistics.factor(1.5) for statistics in coec.documents.subjects.values()} == {1.0}


def test_an_old_preference_decays() -> None:
    coec = Coec()
    simulate_pages(coec, 2000, {"d0": 3.0})
    liked = coec.documents.subjects["d0"]
    before = liked.bounds()
    liked.decay(NOW_S + 2000 + 12 * HALF_LIFE_S)
    assert before[0] > 1.3
    assert liked.bounds()[0] < 1.0 < liked.bounds()[1]
    clicks = liked.clicks
    liked.decay(NOW_S)
    assert liked.clicks == clicks, "time does not go back"


def test_a_preference_under_one_query_is_learnt_for_that_query() -> None:
    coec = Coec()
    simulate_query(coec, 1000, {"d0": 3.0, "d1": 0.3}, "lamp")
    simulate_query(coec, 1000, {"d0": 0.3, "d1": 3.0}, "shoe", seed=1, first_user=5000)
    for query, liked, disliked in (("lamp", "d0", "d1"), ("shoe", "d1", "d0")):
        for document_id, lowest, highest in ((liked, 1.3, 2.0), (disliked, 0.5, 0.8)):
            pair, prior = coec.pair(query, document_id, NOW_S + 1000)
            assert lowest <= pair.factor(2.0, prior) <= highest
    elsewhere, prior = coec.pair("sofa", "d0", NOW_S)
    assert (elsewhere.factor(2.0, prior), elsewhere.mean(prior)) == (1.0, prior)


def test_a_query_with_many_clicks_promotes_none_of_its_documents() -> None:
    coec = Coec()
    simulate_query(coec, 1500, {}, "shoe", seed=1, first_user=5000)
    simulate_query(coec, 1500, dict.fromkeys(PAGE, 3.0), "lamp")
    factors = []
    for document_id in PAGE:
        pair, _ = coec.pair("lamp", document_id, NOW_S + 1500)
        factors.append(pair.factor(2.0))
    assert all(0.8 < factor < 1.25 for factor in factors)


def test_a_new_document_starts_from_its_families() -> None:
    coec = Coec()
    for name in PAGE:
        coec.register(name, ["brand=Norvik"] if name in PAGE[:3] else ["brand=Marisol", "category=shoes"])
    simulate_pages(coec, 2000, dict.fromkeys(PAGE[:3], 2.5))
    assert coec.unseen_documents([*PAGE, "new", "other"]) == ["new", "other"]
    coec.register("new", ["brand=Norvik"])
    coec.register("other", ["brand=Marisol", "category=shoes"])
    means = {}
    for name in ("new", "other", "nobody"):
        statistics, prior = coec.document(name, NOW_S + 2000)
        means[name] = statistics.mean(prior)
        assert statistics.factor(2.0, prior) == 1.0, "no user has seen it"
    assert means["new"] > 1.5
    assert 0.5 < means["other"] < 0.9
    assert means["nobody"] == 1.0


def test_a_document_does_not_count_twice_through_its_family_or_a_query() -> None:
    coec = Coec()
    coec.register("d0", ["brand=alone"])
    simulate_query(coec, 400, {"d0": 2.0}, "lamp")
    statistics, prior = coec.document("d0", NOW_S + 400)
    assert prior == 1.0, "there is nobody else in its family"
    pair, elsewhere = coec.pair("lamp", "d0", NOW_S + 400)
    assert elsewhere == pytest.approx(prior)
    assert pair.mean(elsewhere) == pytest.approx(statistics.mean(prior))
