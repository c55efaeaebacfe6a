"""The learner of one index, from pages to decisions, in a shop with planted tastes."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import numpy as np
import pytest

from events.edits import SetTrial
from events.errors import InvalidInput
from events.learning import Ignored, Learning, RampTrial, Trial, check_trial
from events.types import PairSwap
from tests.factories import NOW
from tests.simulation.shop import WEIGHTS, Shop, apply_decision, index, teach
from tuning.clicks.fairpairs import pair_votes
from tuning.clicks.pages import SETTLE
from tuning.gate.pipeline import Step
from tuning.online.decision import Decision, edits_of
from tuning.online.learner import PROPOSE_EVERY, IndexLearner


def test_what_shoppers_like_is_proposed_compared_and_published() -> None:
    shop = Shop(index())
    learner = IndexLearner(shop.control, SETTLE)
    kinds = []
    for _ in range(6):
        for decision in teach(learner, shop, 500):
            kinds.append(decision.step.kind)
            apply_decision(learner, shop, decision)
        if "published" in kinds:
            break
    assert kinds[0] == "proposed"
    assert "published" in kinds, kinds
    assert shop.control.weights["cosine"] > WEIGHTS["cosine"]
    assert shop.control.trial is not None
    assert shop.control.trial.weights == WEIGHTS, "the last good ones are still there"


def test_a_restored_learner_decides_as_the_original_does() -> None:
    shops = Shop(index()), Shop(index())
    learners = [IndexLearner(shop.control, SETTLE) for shop in shops]
    for learner, shop in zip(learners, shops, strict=True):
        for decision in teach(learner, shop, PROPOSE_EVERY + 150):
            apply_decision(learner, shop, decision)
    again = IndexLearner(shops[1].control, SETTLE)
    again.restore(learners[1].parts())
    assert again.weights.n_pages == learners[0].weights.n_pages
    decisions = [
        [(decision.step, decision.trial) for decision in teach(learner, shop, 900)]
        for learner, shop in ((learners[0], shops[0]), (again, shops[1]))
    ]
    assert decisions[0] == decisions[1]
    assert np.array_equal(again.weights.model.weights, learners[0].weights.model.weights)


def test_a_suggestion_starts_no_trial() -> None:
    shop = Shop(index(learning=Learning(mode="suggest")))
    (decision,) = teach(IndexLearner(shop.control, SETTLE), shop, PROPOSE_EVERY)
    assert (decision.step.kind, decision.trial) == ("suggested", "")
    assert decision.weights["cosine"] > WEIGHTS["cosine"]


def test_locked_weights_stay_and_a_frozen_learner_proposes_nothing() -> None:
    locked = Shop(index(locks=("cosine",)))
    for decision in teach(IndexLearner(locked.control, SETTLE), locked, 2 * PROPOSE_EVERY):
        assert decision.weights["cosine"] == WEIGHTS["cosine"]
        assert "cosine>1/3" not in decision.weights
    frozen = Shop(index(learning=Learning(mode="automatic", frozen="an alarm")))
    assert list(teach(IndexLearner(frozen.control, SETTLE), frozen, 2 * PROPOSE_EVERY)) == []


def test_a_person_who_changes_weights_ends_the_trial() -> None:
    shop = Shop(index())
    learner = IndexLearner(shop.control, SETTLE)
    for decision in teach(learner, shop, PROPOSE_EVERY):
        apply_decision(learner, shop, decision)
    stages = [learner.trial.pipeline.stage]
    learner.follow(index(weights={**WEIGHTS, "bm25.title": 3.0}))
    assert [*stages, learner.trial.pipeline.stage] == ["gate", "idle"]


def test_nothing_is_learnt_from_ignored_windows() -> None:
    window = Ignored(NOW, NOW + timedelta(days=1), "u1")
    shop = Shop(index(learning=Learning(mode="automatic", ignored=(window,))))
    learner = IndexLearner(shop.control, SETTLE)
    list(teach(learner, shop, 20))
    assert learner.weights.n_pages == 19
    assert not any(name.startswith("d1-") for name in learner.behavior.coec.documents.subjects)


def test_a_step_names_the_searches_that_moved_it_and_a_publication_resets_them() -> None:
    shop = Shop(index())
    learner = IndexLearner(shop.control, SETTLE)
    first = next(teach(learner, shop, PROPOSE_EVERY))
    assert first.step.kind == "proposed"
    moved = {name for name, weight in first.weights.items() if weight != WEIGHTS.get(name, 0.0)}
    assert first.moved_by.keys() <= {*moved, *WEIGHTS}
    assert first.moved_by["cosine"], "that is what shoppers like here"
    assert all(query_id.startswith("q") for ids in first.moved_by.values() for query_id in ids)
    (edit,) = edits_of(shop.control, first)
    assert isinstance(edit, SetTrial)
    assert edit.trial is not None
    assert edit.trial.moved_by == first.moved_by
    for _ in range(20):
        apply_decision(learner, shop, first)
        for decision in teach(learner, shop, 400):
            if decision.step.kind == "published":
                assert learner.moved_by() == {}
                return
            first = decision
    pytest.fail("nothing was published")


def test_a_candidate_that_randomized_searches_speak_against_is_not_proposed() -> None:
    steps = []
    for hostile in (False, True):
        shop = Shop(index())
        learner = IndexLearner(shop.control, SETTLE)
        # On pages where a pair was ordered at random, always the same document of the pair is clicked.
        pair = np.array([[0.5, 0.5, 0.1], [0.4, 0.45, 0.9]])
        for n in range(200):
            order = [1, 0] if n % 2 else [0, 1]
            clicked = np.array([(position == 1) != hostile for position in order])
            learner.weights.pair_votes.extend(pair_votes([PairSwap(1, 0.5, bool(n % 2))], pair[order], clicked))
        steps.append([decision.step for decision in teach(learner, shop, PROPOSE_EVERY)])
    friendly, none = steps
    assert [step.kind for step in friendly] == ["proposed"]
    assert "clicks are for that in 100%" in friendly[0].why
    assert none == []


def test_a_suspended_ramp_resumes_where_the_next_candidate_is_given_up() -> None:
    watched = Trial("good", "ramp", WEIGHTS, 0.95)
    shop = Shop(index(trial=watched, weights=WEIGHTS | {"cosine": 0.4}))
    learner = IndexLearner(shop.control, SETTLE)
    for decision in teach(learner, shop, 20 * PROPOSE_EVERY):
        if decision.step.kind == "proposed":
            break
    (edit,) = edits_of(shop.control, decision)
    assert isinstance(edit, SetTrial)
    assert edit.trial is not None
    assert edit.trial.stage == "gate"
    assert edit.trial.ramp == RampTrial("good", WEIGHTS, 0.95)
    check_trial(edit.trial)
    shop.control = index(trial=edit.trial, weights=shop.control.weights)
    learner.follow(shop.control)
    assert learner.trial.pipeline.stage == "gate"
    (resumed,) = edits_of(shop.control, Decision(Step("given_up", "worse", 1.0), edit.trial.id, {}, 0))
    assert resumed == SetTrial(watched)
    before = learner.trial.pipeline.alarm
    shop.control = index(trial=watched, weights=shop.control.weights)
    learner.follow(shop.control)
    assert (learner.trial.pipeline.stage, learner.trial.pipeline.solo_share) == ("ramp", 0.95)
    assert learner.trial.pipeline.alarm >= before
    with pytest.raises(InvalidInput, match=r"trial\.ramp"):
        check_trial(msgspec.structs.replace(watched, ramp=edit.trial.ramp))


def test_pages_shown_before_a_rung_do_not_count_on_it() -> None:
    ramp = Trial("good", "ramp", WEIGHTS, 0.01)
    shop = Shop(index(trial=ramp))
    learner = IndexLearner(shop.control, SETTLE)
    steps = [decision.step.kind for decision in teach(learner, shop, 500)]
    assert steps == ["ramped"]
    # Pages shown before the decision is in force still close afterwards. None of them counts for the next step.
    assert not list(teach(learner, shop, 600))
    learner.follow(index(trial=msgspec.structs.replace(ramp, solo_share=0.1), config_version=2))
    assert learner.trial.pipeline.solo_share == 0.1
    assert not list(teach(learner, shop, 600))
    assert (learner.trial.pipeline.stage, learner.trial.pipeline.solo_share) == ("ramp", 0.1)
    again = IndexLearner(index(trial=msgspec.structs.replace(ramp, solo_share=0.1), config_version=2), SETTLE)
    again.restore(learner.parts())
    fresh = IndexLearner(index(trial=msgspec.structs.replace(ramp, solo_share=0.5), config_version=3), SETTLE)
    fresh.restore(learner.parts())
    for restored in (again, fresh):
        assert "frozen" not in [decision.step.kind for decision in teach(restored, shop, 300)]
    # Pages shown in the old way after the change is in force do count.
    shop.control = index(trial=msgspec.structs.replace(ramp, solo_share=0.01), config_version=9)
    unaligned = IndexLearner(index(trial=msgspec.structs.replace(ramp, solo_share=0.95)), SETTLE)
    assert "frozen" in [decision.step.kind for decision in teach(unaligned, shop, 300)]
