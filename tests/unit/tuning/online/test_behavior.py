"""Behavior values of documents: one vote for each user, query and document; published when they change."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from tests.simulation.shop import Shop, click, index
from tuning.clicks.pages import SETTLE
from tuning.learners.behavior import MIN_USERS
from tuning.learners.coec import UserQuery
from tuning.online.behavior import LearntBehavior
from tuning.online.learner import IndexLearner


def test_of_several_interactions_the_highest_counts_and_none_after_an_hour() -> None:
    shop = Shop(index())
    learner = IndexLearner(shop.control, SETTLE)
    ranking, _ = shop.page()
    learner.observe_ranking(ranking)
    first, second = ranking.document_ids[:2]
    for kind in ("click", "add_to_cart", "click", "purchase", "view", "feedback"):
        learner.observe_interaction(ranking, click(ranking, first, shop.now, kind))
    learner.observe_interaction(ranking, click(ranking, second, shop.now + timedelta(hours=2)))
    assert learner.behavior.coec.documents.subjects[first].clicks == pytest.approx(10.0, rel=1e-4)
    assert learner.behavior.coec.documents.subjects[second].clicks == 0.0


def test_a_user_who_repeats_a_query_demotes_nothing() -> None:
    learner, shop = IndexLearner(index(), SETTLE), Shop(index())
    ranking, _ = shop.page()
    lamp = msgspec.structs.replace(ranking, query_key="lamp")
    for n in range(200):
        learner.observe_ranking(msgspec.structs.replace(lamp, id=f"r{n}"))
    expected = learner.behavior.coec.documents.subjects[ranking.document_ids[0]].expected
    learner.observe_ranking(msgspec.structs.replace(lamp, id="other", user="another"))
    assert learner.behavior.coec.documents.subjects[ranking.document_ids[0]].expected == pytest.approx(
        2 * expected, rel=0.1
    )


def test_a_factor_is_published_when_it_changes_and_only_then() -> None:
    learner = IndexLearner(index(), SETTLE)
    shop = Shop(index())
    ranking, _ = shop.page()
    clicked = ranking.document_ids[4]
    factors = []
    for n in range(2 * MIN_USERS):
        shown = msgspec.structs.replace(ranking, id=f"r{n}", user=f"u{n}")
        learner.observe_ranking(shown)
        learner.observe_interaction(shown, click(shown, clicked, shop.now))
        factors.append(
            next((learnt.factor for learnt in learner.learnt_behavior(shop.now) if learnt.document_id == clicked), None)
        )
    assert factors[: MIN_USERS - 1] == [None] * (MIN_USERS - 1)
    assert learner.learnt_behavior(shop.now) == []
    published = [learnt for learnt in factors if learnt is not None]
    assert published
    assert max(published) <= 1.2


def test_what_users_prefer_under_one_query_is_published_for_that_query_alone() -> None:
    learner, shop = IndexLearner(index(), SETTLE), Shop(index())
    ranking, _ = shop.page()
    liked, values = ranking.document_ids[4], dict[tuple[str, str], LearntBehavior]()
    for n in range(200):
        shown = msgspec.structs.replace(ranking, id=f"r{n}", user=f"u{n}")
        query_of_user = UserQuery("sofa" if n % 2 else "lamp", n)
        learner.observe_ranking(shown, query_of_user)
        clicked = liked if query_of_user.words == "lamp" else ranking.document_ids[5]
        learner.observe_interaction(shown, click(shown, clicked, shop.now), query_of_user)
        values |= {(learnt.query, learnt.document_id): learnt for learnt in learner.learnt_behavior(shop.now)}
        if n < 2 * MIN_USERS - 2:
            assert not any(query for query, _ in values), "fewer than twenty users publish nothing"
    assert values["lamp", liked].factor == 1.2
    assert values["lamp", liked].log2_lift > 0.3
    assert values["sofa", liked].factor < 1.0
    assert values["sofa", liked].log2_lift < -0.3


def test_feedback_counts_for_a_document_or_against_it() -> None:
    learner, shop = IndexLearner(index(), SETTLE), Shop(index())
    ranking, _ = shop.page()
    liked, disliked, clicked = ranking.document_ids[:3]
    learner.observe_ranking(ranking)
    before = learner.behavior.coec.documents.subjects[disliked].expected
    for document_id, grade in ((liked, 0.5), (disliked, -1.0), (clicked, -1.0), (disliked, -0.5)):
        feedback = click(ranking, document_id, shop.now, "feedback")
        learner.observe_interaction(ranking, click(ranking, clicked, shop.now))
        learner.observe_interaction(ranking, msgspec.structs.replace(feedback, value=grade))
    assert learner.behavior.coec.documents.subjects[liked].clicks == pytest.approx(2.5, rel=1e-4)
    assert learner.behavior.coec.documents.subjects[disliked].expected == pytest.approx(before + 5.0, rel=1e-4)
    (page,) = learner._pages.close(shop.now + timedelta(hours=1))
    assert page.clicked == {liked}


def test_a_new_document_starts_from_its_families() -> None:
    learner, shop = IndexLearner(index(), SETTLE), Shop(index())
    ranking, _ = shop.page()
    liked = ranking.document_ids[4]
    assert learner.unseen_documents(ranking) == list(ranking.document_ids)
    learner.register({name: ["brand=Norvik"] if name == liked else [] for name in ranking.document_ids})
    for n in range(3 * MIN_USERS):
        shown = msgspec.structs.replace(ranking, id=f"r{n}", user=f"u{n}")
        learner.observe_ranking(shown)
        learner.observe_interaction(shown, click(shown, liked, shop.now))
    learner.learnt_behavior(shop.now)
    first = msgspec.structs.replace(ranking, id="new", user="first", document_ids=("new", *ranking.document_ids[:9]))
    assert learner.unseen_documents(first) == ["new"]
    assert learner.unseen_documents(msgspec.structs.replace(first, user="")) == []
    learner.register({"new": ["brand=Norvik"]})
    learner.observe_ranking(first)
    values = {learnt.document_id: learnt for learnt in learner.learnt_behavior(shop.now)}
    assert values["new"].log2_lift > 0.5
    assert values["new"].factor == 1.0


def test_a_document_that_is_no_longer_shown_becomes_neutral() -> None:
    learner, shop = IndexLearner(index(), SETTLE), Shop(index())
    ranking, _ = shop.page()
    liked = ranking.document_ids[4]
    for n in range(2 * MIN_USERS):
        shown = msgspec.structs.replace(ranking, id=f"r{n}", user=f"u{n}")
        learner.observe_ranking(shown)
        learner.observe_interaction(shown, click(shown, liked, shop.now))
    assert {learnt.document_id: learnt.factor for learnt in learner.learnt_behavior(shop.now)}[liked] > 1.1
    (later,) = (
        learnt for learnt in learner.learnt_behavior(shop.now + timedelta(days=365)) if learnt.document_id == liked
    )
    assert (later.factor, later.log2_lift) == (1.0, 0.0)
    assert learner.behavior.n_boosted == 0


def test_served_values_of_unknown_documents_are_published_as_neutral() -> None:
    learner, shop = IndexLearner(index(), SETTLE), Shop(index())
    learner.republish([("", "boosted"), ("lamp", "liked")])
    values = {(learnt.query, learnt.document_id): learnt for learnt in learner.learnt_behavior(shop.now)}
    assert [(learnt.factor, learnt.log2_lift, learnt.statistics.users) for learnt in values.values()] == [
        (1.0, 0.0, [])
    ] * 2
    assert learner.learnt_behavior(shop.now) == []


def test_a_silent_learner_remembers_only_what_is_worth_publishing() -> None:
    learner, shop = IndexLearner(index(), SETTLE, silent=True), Shop(index())
    ranking, _ = shop.page()
    for n in range(100):
        shown = msgspec.structs.replace(ranking, id=f"r{n}", user=f"u{n}")
        learner.observe_ranking(shown, UserQuery(f"lamp {n}" if n >= 30 else "lamp", n))
    assert {words for words, _ in learner.behavior.published._changed} == {"lamp"}
    present = IndexLearner(index(), SETTLE)
    learner.take_over(present)
    assert {words for words, _ in learner.behavior.published._changed} == {"lamp", ""}
