"""What a policy allows, as a table; and that a policy that makes no sense is refused by the member that is wrong."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from events import control
from events.edits import DeleteRule, DeleteSegment, Edit, SetLimits, SetPolicy, SetRule, SetSegment, SetWeights
from events.errors import InvalidInput
from events.index_control import IndexControl
from events.policies import Freeze, Policy, check_policy
from events.rules import Conditions, HideAction, Rule
from events.segments import Segment
from events.types import ChangePublished, IndexConfigured
from searchsvc.changes.policies import refusal
from tests.factories import NOW, SETTINGS
from tuning.features import default_weights

SALE = Freeze(since=NOW, until=NOW + timedelta(hours=1), reason="sale", exempt=("ops",))
RULE = SetRule("r", Rule((HideAction("1"),)))
LIMITS = SetLimits(locks={"cosine": True})
TITLE = default_weights(SETTINGS)["bm25.title"]


def weight(by: float) -> SetWeights:
    return SetWeights({"bm25.title": TITLE + by})


def segment(by: float) -> SetSegment:
    return SetSegment("trade", Segment(Conditions(user_segment="trade"), {"bm25.title": TITLE + by}))


def index(policy: Policy, *edits: Edit) -> IndexControl:
    first = IndexConfigured(
        id="1", timestamp=NOW, index="shop", settings=SETTINGS, default_weights=default_weights(SETTINGS)
    )
    state = control.fold(control.ControlState(), first, 1)
    made = ChangePublished(id="2", timestamp=NOW, index="shop", edits=(*edits, SetPolicy(policy)))
    return control.fold(state, made, 2).index("shop")


@pytest.mark.parametrize(
    ("policy", "edits", "actor", "approved_by", "takes_back", "refused_by"),
    [
        # Without a policy, anything goes.
        (Policy(), [weight(50.0), RULE], "ada", (), False, ""),
        # A freeze holds from its first moment, for all but the exempt, also for who takes back.
        (Policy(freezes=(SALE,)), [RULE], "ada", (), False, "freezes[0]"),
        (Policy(freezes=(SALE,)), [RULE], "ada", (), True, "freezes[0]"),
        (Policy(freezes=(SALE,)), [RULE], "ops", (), False, ""),
        (Policy(freezes=(Freeze(since=NOW - timedelta(hours=1), until=NOW),)), [RULE], "ada", (), False, ""),
        # Each part has its publishers; a part that is not named is anybody's.
        (Policy(publishers={"weights": ("tuner",)}), [weight(1.0)], "ada", (), False, "publishers.weights"),
        (Policy(publishers={"weights": ("tuner",)}), [weight(1.0)], "tuner", (), False, ""),
        (Policy(publishers={"weights": ("tuner",)}), [RULE], "ada", (), False, ""),
        (Policy(publishers={"weights": ("tuner",)}), [RULE, weight(1.0)], "ada", (), False, "publishers.weights"),
        (Policy(publishers={"rules": ("ada",)}), [DeleteRule("r")], "bob", (), True, "publishers.rules"),
        (Policy(publishers={"limits": ("ada",)}), [LIMITS], "bob", (), False, "publishers.limits"),
        (Policy(publishers={"segments": ("ada",)}), [segment(0.0)], "bob", (), False, "publishers.segments"),
        (Policy(publishers={"policy": ("ada",)}), [SetPolicy(Policy())], "bob", (), False, "publishers.policy"),
        # A step is as far as it goes, up or down, in a segment from what counted there.
        (Policy(max_step=1.0), [weight(1.0)], "ada", (), False, ""),
        (Policy(max_step=1.0), [weight(1.1)], "ada", (), False, "max_step"),
        (Policy(max_step=1.0), [weight(-1.1)], "ada", (), False, "max_step"),
        (Policy(max_step=1.0), [segment(1.1)], "ada", (), False, "max_step"),
        (Policy(max_step=1.0), [weight(9.0)], "ada", (), True, ""),
        # One person does not end what two are asked for, not by taking it back either; nor is a policy ever frozen.
        (Policy(approvals=1), [SetPolicy(Policy())], "ada", (), True, "approvals"),
        (Policy(freezes=(SALE,)), [SetPolicy(Policy())], "ada", (), False, ""),
        (Policy(freezes=(SALE,)), [SetPolicy(Policy()), RULE], "ada", (), False, "freezes[0]"),
        # Others than the author have to approve, unless something is only taken back.
        (Policy(approvals=1), [RULE], "ada", (), False, "approvals"),
        (Policy(approvals=1), [SetPolicy(Policy())], "ada", (), False, "approvals"),
        (Policy(approvals=1), [RULE], "ada", ("bea",), False, ""),
        (Policy(approvals=2), [RULE], "ada", ("bea",), False, "approvals"),
        (Policy(approvals=1), [RULE], "ada", (), True, ""),
    ],
)
def test_a_policy_allows_what_it_says(
    policy: Policy, edits: list[Edit], actor: str, approved_by: tuple[str, ...], takes_back: bool, refused_by: str
) -> None:
    found = refusal(index(policy), edits, actor, NOW, approved_by=approved_by, takes_back=takes_back)
    assert (found.policy if found is not None else "") == refused_by


def test_a_step_in_a_segment_starts_at_what_it_was_there() -> None:
    before = index(Policy(max_step=1.0), segment(5.0))
    near = refusal(before, [segment(5.5)], "ada", NOW, approved_by=(), takes_back=False)
    far = refusal(before, [segment(0.0)], "ada", NOW, approved_by=(), takes_back=False)
    gone = refusal(before, [DeleteSegment("trade")], "ada", NOW, approved_by=(), takes_back=False)
    other = SetSegment("trade", Segment(Conditions(user_segment="trade"), {"cosine": 0.5}))
    left_out = refusal(before, [other], "ada", NOW, approved_by=(), takes_back=False)
    assert [one is not None and "would move by 5" in one.detail for one in (gone, left_out)] == [True, True]
    assert near is None
    assert far is not None
    assert "segments.trade.bm25.title would move by 5" in far.detail


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"max_step": 0.0}, "max_step"),
        ({"max_step": float("inf")}, "max_step"),
        ({"approvals": 6}, "approvals"),
        ({"approvals": -1}, "approvals"),
        ({"freezes": (Freeze(since=NOW, until=NOW),)}, "freezes[0].until"),
        ({"freezes": (SALE, Freeze(since=NOW.replace(tzinfo=None), until=NOW))}, "freezes[1].from"),
        ({"freezes": (SALE,) * 101}, "freezes"),
        ({"publishers": {"rules": ()}}, "publishers.rules"),
        ({"publishers": {"rules": ("",)}}, "publishers.rules"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_with_its_member(given: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_policy(Policy(**given))
    assert refused.value.field == field
