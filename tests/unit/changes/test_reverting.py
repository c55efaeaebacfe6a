"""The edits of a rollback and of a revert, for every kind of edit."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from events.edits import (
    DeleteRule,
    DeleteSegment,
    Edit,
    SetLearning,
    SetLimits,
    SetPolicy,
    SetRule,
    SetSegment,
    SetTrial,
    SetWeights,
)
from events.errors import Conflict
from events.learning import Learning, Trial
from events.policies import Policy
from events.rules import Conditions, HideAction, Rule
from events.segments import Segment
from searchsvc.changes.differences import difference
from searchsvc.changes.reverting import revert_edits, rollback_edits
from tests.factories import index_after

RULE = Rule((HideAction("d1"),))
SEGMENT = Segment(Conditions(user_segment="trade"), {"cosine": 3.0})
TRIAL = Trial("t1", "gate", {"cosine": 2.0}, 0.25)
AUTOMATIC = SetLearning(Learning(mode="automatic"))

# Edits before a change, the change, and the edits that take it back.
REVERTS: list[tuple[list[Edit], Edit, list[Edit]]] = [
    ([SetWeights({"cosine": 1.0})], SetWeights({"cosine": 2.0}), [SetWeights({"cosine": 1.0})]),
    ([], SetWeights({"cosine>1/3": 2.0}), [SetWeights({"cosine>1/3": 0.0})]),
    ([], SetRule("r", RULE), [DeleteRule("r")]),
    ([SetRule("r", RULE)], DeleteRule("r"), [SetRule("r", RULE)]),
    ([], SetSegment("s", SEGMENT), [DeleteSegment("s")]),
    ([SetSegment("s", SEGMENT)], DeleteSegment("s"), [SetSegment("s", SEGMENT)]),
    (
        [SetLimits({"phrase": (0.0, 1.0)})],
        SetLimits({"phrase": None, "cosine": (0.0, 5.0)}, {"cosine": True}),
        [SetLimits({"phrase": (0.0, 1.0), "cosine": None}, {"cosine": False})],
    ),
    ([], SetPolicy(Policy(approvals=1)), [SetPolicy(Policy())]),
    ([], AUTOMATIC, [SetLearning(Learning())]),
    ([AUTOMATIC, SetTrial(TRIAL)], SetTrial(None), [SetTrial(TRIAL)]),
]


def test_every_kind_of_edit_is_reverted_here() -> None:
    assert {type(edit) for _, edit, _ in REVERTS} == {*get_args(Edit)}


@pytest.mark.parametrize(("before", "change", "expected"), REVERTS)
def test_a_change_is_reverted_by_edits_that_restore_what_was_there(
    before: list[Edit], change: Edit, expected: list[Edit]
) -> None:
    changed = index_after(before, [change])
    edits = revert_edits(index_after(before), changed, changed, force=False)
    assert edits == expected
    assert difference(index_after(before), index_after(before, [change], edits)).is_empty
    # Reverted already: nothing is left to do.
    assert revert_edits(index_after(before), changed, index_after(before, [change], edits), force=True) == []


@pytest.mark.parametrize(
    ("change", "since", "conflict"),
    [
        (SetWeights({"cosine": 4.0}), SetWeights({"cosine": 5.0}), "weights.cosine"),
        (SetRule("r", RULE), SetRule("r", Rule((HideAction("d2"),))), "rules.r"),
        (SetLimits(locks={"cosine": True}), SetLimits(locks={"cosine": False}), ""),
        (SetPolicy(Policy(approvals=1)), SetPolicy(Policy(approvals=2)), "policy"),
        (AUTOMATIC, SetLearning(Learning(mode="suggest")), "learning"),
        # A trial goes on by itself.
        (SetTrial(TRIAL), SetTrial(msgspec.structs.replace(TRIAL, solo_share=0.5)), ""),
    ],
)
def test_what_was_changed_again_is_reverted_only_by_force(change: Edit, since: Edit, conflict: str) -> None:
    before, changed, now = index_after(), index_after([change]), index_after([change], [since])
    if not conflict:
        revert_edits(before, changed, now, force=False)
        return
    with pytest.raises(Conflict) as refused:
        revert_edits(before, changed, now, force=False)
    assert (refused.value.field, refused.value.value) == (conflict, conflict)
    edits = revert_edits(before, changed, now, force=True)
    assert difference(before, index_after([change], [since], edits)).is_empty


def test_a_rollback_restores_the_ranking_and_leaves_policy_and_learning() -> None:
    past = index_after([SetWeights({"cosine": 1.0}), SetRule("r", RULE)])
    changes: list[list[Edit]] = [
        [SetWeights({"cosine": 1.0}), SetRule("r", RULE)],
        [SetWeights({"cosine": 2.0}), DeleteRule("r"), SetSegment("s", SEGMENT)],
        [SetPolicy(Policy(approvals=1)), AUTOMATIC, SetTrial(TRIAL)],
    ]
    edits = rollback_edits(index_after(*changes), past)
    assert edits == [SetWeights({"cosine": 1.0}), SetRule("r", RULE), DeleteSegment("s")]
    now = index_after(*changes, edits)
    assert (now.policy.approvals, now.learning.mode, now.trial) == (1, "automatic", None)
    assert rollback_edits(now, past) == []


def test_a_revert_of_weights_sets_no_trial() -> None:
    before = index_after([AUTOMATIC, SetTrial(TRIAL)])
    changed = index_after([AUTOMATIC, SetTrial(TRIAL)], [SetWeights({"phrase": 2.0})])
    assert changed.trial is None
    assert revert_edits(before, changed, changed, force=False) == [SetWeights({"phrase": before.weights["phrase"]})]
