"""What each kind of edit says of itself."""

from __future__ import annotations

from typing import Any, get_args

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
from events.errors import InvalidInput
from events.learning import Learning, RampTrial, Trial
from events.policies import Policy
from events.rules import Conditions, HideAction, Rule
from events.segments import Segment
from tests.factories import SETTINGS, index_after
from tuning.features import default_weights

RULE = Rule((HideAction("d1"),))
SEGMENT = Segment(Conditions(user_segment="trade"), {"cosine": 3.0})
TRIAL = Trial("t1", "gate", {"cosine": 2.0}, 0.25)
TITLE, COSINE = (default_weights(SETTINGS)[name] for name in ("bm25.title", "cosine"))

# Edit, part, targets, words.
KINDS: list[tuple[Edit, str, list[str], str]] = [
    (
        SetWeights({"cosine": 1.0, "bm25.title": 2.5}),
        "weights",
        ["weights.cosine", "weights.bm25.title"],
        "cosine=1 bm25.title=2.5",
    ),
    (
        SetLimits({"cosine": (0.0, 5.0)}, {"cosine": True, "phrase": False}),
        "limits",
        ["bounds.cosine", "locks.cosine", "locks.phrase"],
        "limits of cosine phrase",
    ),
    (SetRule("r", RULE), "rules", ["rules.r"], "rule r"),
    (DeleteRule("r"), "rules", ["rules.r"], "rule r deleted"),
    (SetSegment("s", SEGMENT), "segments", ["segments.s"], "segment s"),
    (DeleteSegment("s"), "segments", ["segments.s"], "segment s deleted"),
    (SetPolicy(Policy(approvals=1)), "policy", ["policy"], "policy"),
    (
        SetLearning(Learning(mode="suggest", frozen="alarm")),
        "learning",
        ["learning"],
        "learning suggest, frozen: alarm",
    ),
    (SetTrial(TRIAL), "weights", ["trial"], "trial t1, gate, 25% solo"),
]


def test_every_kind_of_edit_is_tested_here() -> None:
    assert {type(edit) for edit, *_ in KINDS} == {*get_args(Edit)}


@pytest.mark.parametrize(("edit", "part", "targets", "words"), KINDS)
def test_an_edit_says_its_part_its_targets_and_its_words(edit: Edit, part: str, targets: list[str], words: str) -> None:
    assert (edit.part, [str(target) for target in edit.targets], edit.describe()) == (part, targets, words)


@pytest.mark.parametrize("edit", [edit for edit, *_ in KINDS])
def test_what_an_edit_says_of_itself_is_not_stored(edit: Edit) -> None:
    data = msgspec.json.encode(edit)
    assert msgspec.json.decode(data, type=Edit) == edit
    fields = {*msgspec.json.decode(data)}
    assert fields <= {"type", *edit.__struct_fields__}


@pytest.mark.parametrize("edit", [edit for edit, *_ in KINDS])
def test_a_member_that_no_edit_has_is_refused(edit: Edit) -> None:
    members = msgspec.json.decode(msgspec.json.encode(edit)) | {"part": "weights"}
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert(members, type=Edit)


def test_an_ended_trial_says_so() -> None:
    assert SetTrial(None).describe() == "trial ended"


def test_only_an_edit_that_deletes_what_is_gone_is_done() -> None:
    without, with_both = index_after(), index_after([SetRule("r", RULE), SetSegment("s", SEGMENT)])
    assert [edit for edit, *_ in KINDS if edit.is_done(without)] == [DeleteRule("r"), DeleteSegment("s")]
    assert [edit for edit, *_ in KINDS if edit.is_done(with_both)] == []


@pytest.mark.parametrize(
    ("edit", "moved"),
    [
        (SetWeights({"bm25.title": TITLE + 2.0}), {"bm25.title": (TITLE, TITLE + 2.0)}),
        # A hinge that is not there has weight 0; a feature that is not there is not moved.
        (
            SetWeights({"bm25.title>1/3": 2.0, "gone": 2.0}),
            {"bm25.title>1/3": (0.0, 2.0), "gone": (2.0, 2.0)},
        ),
        # A segment moves from what it set, or from the weight of the index, to what it sets.
        (
            SetSegment("s", msgspec.structs.replace(SEGMENT, weights={"bm25.title": 9.0})),
            {"segments.s.cosine": (3.0, COSINE), "segments.s.bm25.title": (TITLE, 9.0)},
        ),
        (DeleteSegment("s"), {"segments.s.cosine": (3.0, COSINE)}),
        (SetTrial(TRIAL), {"cosine": (COSINE, 2.0)}),
        # On the ramp, the trial names the previous weights, which shoppers have seen already.
        (SetTrial(msgspec.structs.replace(TRIAL, stage="ramp")), {}),
        (SetTrial(None), {}),
        (SetRule("r", RULE), {}),
        (SetLearning(Learning()), {}),
    ],
)
def test_an_edit_says_how_far_it_moves_weights(edit: Edit, moved: dict[str, tuple[float, float]]) -> None:
    assert edit.moved_weights(index_after([SetSegment("s", SEGMENT)])) == moved


@pytest.mark.parametrize(
    ("edit", "field"),
    [
        (SetRule("a b", RULE), "rule"),
        (SetRule("r", Rule(())), "actions"),
        (SetSegment("a b", SEGMENT), "segment"),
        (SetSegment("s", Segment(Conditions(), {})), "conditions"),
        (SetPolicy(Policy(approvals=6)), "approvals"),
        (SetLearning(Learning(max_boost=3.0)), "max_boost"),
        (SetTrial(msgspec.structs.replace(TRIAL, solo_share=1.5)), "trial.solo_share"),
        (
            SetTrial(msgspec.structs.replace(TRIAL, stage="ramp", ramp=RampTrial("t0", {}, 0.5))),
            "trial.ramp",
        ),
    ],
)
def test_an_edit_that_cannot_be_honoured_names_the_member(edit: Any, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        edit.check()
    assert refused.value.field == field


@pytest.mark.parametrize("edit", [edit for edit, *_ in KINDS])
def test_an_edit_that_can_be_honoured_passes_its_check(edit: Edit) -> None:
    edit.check()
