"""Decisions and the edits that carry them out."""

from __future__ import annotations

from datetime import timedelta

import pytest

from events.edits import SetTrial, SetWeights
from events.learning import Ignored, Learning, RampTrial, Trial
from tests.factories import NOW
from tests.simulation.shop import WEIGHTS, index
from tuning.gate.pipeline import Kind, Step
from tuning.online.decision import QUARANTINE, Decision, changed_weights, edits_of, frozen_learning

CANDIDATE = {**WEIGHTS, "cosine": 0.5}
GATE = Trial("t", "gate", CANDIDATE, 0.0, moved_by={"cosine": ("q1",)}, judged_baseline=0.9)
RAMP = Trial("t", "ramp", WEIGHTS, 0.01)


def decision(kind: Kind, trial: str = "t", solo_share: float = 1.0) -> Decision:
    weights = CANDIDATE if kind == "proposed" else {}
    return Decision(Step(kind, "why", solo_share), trial, weights, 250)


def test_a_proposal_begins_a_trial_at_the_gate_in_the_automatic_mode_alone() -> None:
    assert edits_of(index(), decision("proposed", solo_share=0.0)) == [
        SetTrial(Trial("t", "gate", CANDIDATE, 0.0, "why"))
    ]
    assert edits_of(index(learning=Learning(mode="suggest")), decision("proposed")) == []
    assert edits_of(index(learning=Learning(mode="automatic", frozen="alarm")), decision("proposed")) == []


def test_a_proposal_suspends_the_ramp_of_the_weights_in_force() -> None:
    (edit,) = edits_of(index(trial=RAMP), decision("proposed", "u"))
    assert isinstance(edit, SetTrial)
    assert edit.trial is not None
    assert edit.trial.ramp == RampTrial("t", WEIGHTS, 0.01)
    (again,) = edits_of(index(trial=edit.trial), decision("proposed", "v"))
    assert isinstance(again, SetTrial)
    assert again.trial is not None
    assert again.trial.ramp == edit.trial.ramp


def test_a_publication_puts_the_candidate_in_force_and_keeps_the_weights_before() -> None:
    assert edits_of(index(trial=GATE), decision("published", solo_share=0.01)) == [
        SetWeights({"cosine": 0.5}),
        SetTrial(Trial("t", "ramp", WEIGHTS, 0.01, "why", {"cosine": ("q1",)}, judged_baseline=0.9)),
    ]


@pytest.mark.parametrize("kind", ["ramped", "settled"])
def test_a_rung_changes_the_share_alone(kind: Kind) -> None:
    (edit,) = edits_of(index(trial=RAMP), decision(kind, solo_share=0.5))
    assert edit == SetTrial(Trial("t", "ramp", WEIGHTS, 0.5, "why"))


def test_a_rollback_restores_the_weights_before_and_a_freeze_keeps_those_in_force() -> None:
    control = index(trial=RAMP, weights=CANDIDATE)
    assert edits_of(control, decision("rolled_back")) == [SetWeights({"cosine": 0.2}), SetTrial(None)]
    assert edits_of(control, decision("frozen")) == [SetTrial(None)]


@pytest.mark.parametrize(
    ("trial", "kind"),
    [(None, "published"), (GATE, "rolled_back"), (RAMP, "published"), (RAMP, "given_up"), (GATE, "ramped")],
)
def test_a_decision_about_another_stage_has_no_edits(trial: Trial | None, kind: Kind) -> None:
    assert edits_of(index(trial=trial), decision(kind)) == []
    assert edits_of(index(trial=trial), decision(kind, trial="another")) == []


def test_a_weight_that_is_not_given_becomes_zero() -> None:
    assert changed_weights(index(), {"bm25.title": 2.0, "cosine": 0.3, "cosine>1/3": 0.1}) == {
        "bm25.text": 0.0,
        "cosine": 0.3,
        "cosine>1/3": 0.1,
    }


def test_a_freeze_ignores_the_minutes_before_the_alarm() -> None:
    before = Ignored(NOW - timedelta(days=1), NOW - timedelta(hours=1))
    learning = frozen_learning(Learning(ignored=(before,)), why="alarm", now=NOW)
    assert learning.frozen == "alarm"
    assert learning.ignored == (before, Ignored(NOW - QUARANTINE, NOW, reason="alarm"))
