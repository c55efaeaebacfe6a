"""What differs between two states of an index, and how it is said in words."""

from __future__ import annotations

import pytest

from events.edits import (
    DeleteRule,
    Edit,
    SetLearning,
    SetLimits,
    SetPolicy,
    SetRule,
    SetSegment,
    SetTrial,
    SetWeights,
)
from events.learning import Learning, Trial
from events.policies import Policy
from events.rules import Conditions, HideAction, PinAction, Rule
from events.segments import Segment
from searchsvc.changes.differences import Difference, difference
from tests.factories import SETTINGS, index_after
from tuning.features import default_weights

RULE = Rule((HideAction("d1"),))
SEGMENT = Segment(Conditions(user_segment="trade"), {"cosine": 1.0})
TRIAL = Trial("t1", "gate", {"cosine": 2.0}, 0.25)
COSINE = f"{default_weights(SETTINGS)['cosine']:g}"


@pytest.mark.parametrize(
    ("before", "edits", "words"),
    [
        ([], [SetWeights({"cosine": 7.5})], f"cosine {COSINE} → 7.5"),
        ([], [SetWeights({"cosine>1/3": 2.0})], "cosine>1/3 — → 2"),
        ([], [SetRule("r", RULE)], "rule r new"),
        ([SetRule("r", RULE)], [SetRule("r", Rule((PinAction("d1", 1),)))], "rule r changed"),
        ([SetRule("r", RULE)], [DeleteRule("r")], "rule r gone"),
        ([], [SetSegment("s", SEGMENT)], "segment s new"),
        (
            [SetLimits({"phrase": (0.0, 1.0)}, {"phrase": True})],
            [SetLimits({"cosine": (0.0, 5.0), "phrase": None}, {"cosine": True, "phrase": False})],
            "phrase without bounds, cosine from 0 to 5, phrase unlocked, cosine locked",
        ),
        ([], [SetPolicy(Policy(approvals=1))], "policy"),
        ([], [SetLearning(Learning(mode="automatic"))], "learning.mode off → automatic"),
        (
            [SetLearning(Learning(mode="automatic", frozen="alarm"))],
            [SetLearning(Learning(mode="automatic", max_boost=1.5, judgments={"lamp": {"d1": 1}}))],
            "learning.frozen alarm → —, learning.max_boost 1.2 → 1.5, learning.judgments changed",
        ),
        ([], [SetTrial(TRIAL)], "trial t1, gate, 25% solo"),
        ([SetTrial(TRIAL)], [SetTrial(None)], "trial t1 ended"),
        ([SetTrial(TRIAL)], [SetTrial(TRIAL), SetPolicy(Policy())], "nothing"),
        ([SetWeights({"cosine": 1.0})], [SetWeights({"cosine": 2.0}), SetRule("r", RULE)], "cosine 1 → 2, rule r new"),
    ],
)
def test_a_difference_says_what_differs(before: list[Edit], edits: list[Edit], words: str) -> None:
    changed = difference(index_after(before), index_after([*before, *edits]))
    assert changed.describe() == words
    assert changed.is_empty == (words == "nothing")


def test_an_index_that_is_created_or_deleted_differs_in_its_settings_and_weights() -> None:
    created, deleted = difference(None, index_after()), difference(index_after(), None)
    assert created.settings
    assert deleted.settings
    assert created.weights == {name: (None, value) for name, value in index_after().weights.items()}
    assert deleted.weights == {name: (value, None) for name, value in index_after().weights.items()}
    assert (created.policy, created.learning, created.trial) == (None, None, None)
    assert difference(None, None) == Difference()
