"""Whether a policy lets somebody change an index now. Pure.

Taking back is a change like others to freezes and publishers; what it leads to was there before, so it needs no
approval, and may be as far away as it was. A policy is no such thing: to have less of one is never a matter of one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import msgspec

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
from events.hinges import is_hinge
from events.index_control import IndexControl
from events.policies import Part, Policy


class Refusal(msgspec.Struct, frozen=True):
    """policy: the member that does not allow it. detail: why, for a person."""

    policy: str
    detail: str


def refusal(
    before: IndexControl,
    edits: Sequence[Edit],
    actor: str,
    now: datetime,
    *,
    approved_by: Collection[str],
    takes_back: bool,
) -> Refusal | None:
    """Why some edits of an index are not allowed; None where they are. approved_by: others than their author."""
    policy = before.policy
    parts = list(dict.fromkeys(map(part_of, edits)))
    found = refusal_of_parts(policy, parts, actor, now)
    if found is not None or (takes_back and "policy" not in parts):
        return found
    if policy.approvals > len(approved_by):
        missing = policy.approvals - len(approved_by)
        return Refusal(
            "approvals",
            f"the index asks for {policy.approvals} approvals by others than the author, and {missing} are missing: "
            "write a draft and have it approved",
        )
    if policy.max_step is not None and not takes_back:
        for name, (old, new) in _moved_weights(before, edits).items():
            if abs(new - old) > policy.max_step:
                detail = f"{name} would move by {abs(new - old):g}, from {old:g} to {new:g}; allowed at once: "
                return Refusal("max_step", detail + f"{policy.max_step:g}")
    return None


def refusal_of_parts(policy: Policy, parts: Sequence[Part], actor: str, now: datetime) -> Refusal | None:
    """Why an actor may not change parts of an index now; None where they may."""
    for i, freeze in enumerate(policy.freezes):
        # The policy itself is not frozen: or nobody could end what was a slip of the pen.
        if freeze.holds(now) and actor not in freeze.exempt and {*parts} != {"policy"}:
            why = f" ({freeze.reason})" if freeze.reason else ""
            detail = f"the index is not to be changed from {freeze.since.isoformat()} until {freeze.until.isoformat()}"
            return Refusal(f"freezes[{i}]", detail + why)
    for part in parts:
        allowed = policy.publishers.get(part)
        if allowed is not None and actor not in allowed:
            return Refusal(f"publishers.{part}", f"{actor} may not change {part}; who may: {', '.join(allowed)}")
    return None


def part_of(edit: Edit) -> Part:
    match edit:
        case SetWeights() | SetTrial():
            return "weights"
        case SetLearning():
            return "learning"
        case SetLimits():
            return "limits"
        case SetRule() | DeleteRule():
            return "rules"
        case SetSegment() | DeleteSegment():
            return "segments"
        case SetPolicy():
            return "policy"


def _moved_weights(before: IndexControl, edits: Sequence[Edit]) -> Mapping[str, tuple[float, float]]:
    """(before, after) of each weight that edits set, by its name; those of segments behind the segment's."""
    moved: dict[str, tuple[float, float]] = {}
    for edit in edits:
        if isinstance(edit, SetWeights | SetTrial):
            moved |= {
                # A bend that is not there has weight 0.
                name: (before.weights.get(name, 0.0 if is_hinge(name) else new), new)
                for name, new in _asked_for(edit).items()
            }
        elif isinstance(edit, SetSegment | DeleteSegment):
            stored = before.segments.get(edit.id)
            held = stored.segment.weights if stored is not None else {}
            wanted = edit.segment.weights if isinstance(edit, SetSegment) else {}
            for name in {**held, **wanted}:
                usual = before.weights.get(name, 0.0)
                moved[f"segments.{edit.id}.{name}"] = (held.get(name, usual), wanted.get(name, usual))
    return moved


def _asked_for(edit: SetWeights | SetTrial) -> Mapping[str, float]:
    """The weights that shoppers are to see more of; those before a candidate were there already."""
    if isinstance(edit, SetWeights):
        return edit.weights
    return edit.trial.weights if edit.trial is not None and edit.trial.stage == "gate" else {}
