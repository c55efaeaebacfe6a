"""What a policy allows, as a table."""

from __future__ import annotations

from datetime import timedelta

import pytest

from events.edits import DeleteRule, DeleteSegment, Edit, SetLimits, SetPolicy, SetRule, SetSegment, SetWeights
from events.index_control import IndexControl
from events.policies import Freeze, Policy
from events.rules import Conditions, HideAction, Rule
from events.segments import Segment
from searchsvc.changes.policies import refusal
from tests.factories import NOW, SETTINGS, index_after
from tuning.features import default_weights

SALE = Freeze(since=NOW, until=NOW + timedelta(hours=1), reason="sale", exempt=("ops",))
RULE = SetRule("r", Rule((HideAction("1"),)))
LIMITS = SetLimits(locks={"cosine": True})
TITLE = default_weights(SETTINGS)["bm25.title"]


def weight(step: float) -> SetWeights:
    return SetWeights({"bm25.title": TITLE + step})


def segment(step: float) -> SetSegment:
    return SetSegment("trade", Segment(Conditions(user_segment="trade"), {"bm25.title": TITLE + step}))


def index(policy: Policy, *edits: Edit) -> IndexControl:
    return index_after([*edits, SetPolicy(policy)])


@pytest.mark.parametrize(
    ("policy", "edits", "actor", "approved_by", "takes_back", "refused_by"),
    [
        # Without a policy, everything is allowed.
        (Policy(), [weight(50.0), RULE], "ada", (), False, ""),
        # A freeze holds from its first moment for all but the exempt, also for a change that takes back.
        (Policy(freezes=(SALE,)), [RULE], "ada", (), False, "freezes[0]"),
        (Policy(freezes=(SALE,)), [RULE], "ada", (), True, "freezes[0]"),
        (Policy(freezes=(SALE,)), [RULE], "ops", (), False, ""),
        (Policy(freezes=(Freeze(since=NOW - timedelta(hours=1), until=NOW),)), [RULE], "ada", (), False, ""),
        # Each part has its publishers; any actor may change a part that is not named.
        (Policy(publishers={"weights": ("tuner",)}), [weight(1.0)], "ada", (), False, "publishers.weights"),
        (Policy(publishers={"weights": ("tuner",)}), [weight(1.0)], "tuner", (), False, ""),
        (Policy(publishers={"weights": ("tuner",)}), [RULE], "ada", (), False, ""),
        (Policy(publishers={"weights": ("tuner",)}), [RULE, weight(1.0)], "ada", (), False, "publishers.weights"),
        (Policy(publishers={"rules": ("ada",)}), [DeleteRule("r")], "bob", (), True, "publishers.rules"),
        (Policy(publishers={"limits": ("ada",)}), [LIMITS], "bob", (), False, "publishers.limits"),
        (Policy(publishers={"segments": ("ada",)}), [segment(0.0)], "bob", (), False, "publishers.segments"),
        (Policy(publishers={"policy": ("ada",)}), [SetPolicy(Policy())], "bob", (), False, "publishers.policy"),
        # A step is limited up and down; in a segment it starts at the weight in force there.
        (Policy(max_step=1.0), [weight(1.0)], "ada", (), False, ""),
        (Policy(max_step=1.0), [weight(1.1)], "ada", (), False, "max_step"),
        (Policy(max_step=1.0), [weight(-1.1)], "ada", (), False, "max_step"),
        (Policy(max_step=1.0), [segment(1.1)], "ada", (), False, "max_step"),
        (Policy(max_step=1.0), [weight(9.0)], "ada", (), True, ""),
        # One person alone cannot end required approvals, not by a revert either; the policy itself is never frozen.
        (Policy(approvals=1), [SetPolicy(Policy())], "ada", (), True, "approvals"),
        (Policy(freezes=(SALE,)), [SetPolicy(Policy())], "ada", (), False, ""),
        (Policy(freezes=(SALE,)), [SetPolicy(Policy()), RULE], "ada", (), False, "freezes[0]"),
        # Others than the author have to approve, unless the change only takes something back.
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
    refused = refusal(index(policy), edits, actor, NOW, approved_by=approved_by, takes_back=takes_back)
    assert (refused.policy if refused is not None else "") == refused_by


def test_a_step_in_a_segment_starts_at_the_weight_of_the_segment() -> None:
    before = index(Policy(max_step=1.0), segment(5.0))
    near = refusal(before, [segment(5.5)], "ada", NOW, approved_by=(), takes_back=False)
    far = refusal(before, [segment(0.0)], "ada", NOW, approved_by=(), takes_back=False)
    deleted = refusal(before, [DeleteSegment("trade")], "ada", NOW, approved_by=(), takes_back=False)
    other = SetSegment("trade", Segment(Conditions(user_segment="trade"), {"cosine": 0.5}))
    left_out = refusal(before, [other], "ada", NOW, approved_by=(), takes_back=False)
    assert [refused is not None and "would move by 5" in refused.detail for refused in (deleted, left_out)] == [
        True,
        True,
    ]
    assert near is None
    assert far is not None
    assert "segments.trade.bm25.title would move by 5" in far.detail
