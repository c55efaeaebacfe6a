"""Whether the policy of an index allows a change now. Pure.

Freezes and publishers apply to a change that takes something back as to any other. But the state that it restores was
in force before, so it needs no approval and may move weights by any distance. This does not hold for the policy itself:
one person alone can never loosen it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

import msgspec

from events.edits import Edit
from events.index_control import IndexControl
from events.policies import Part, Policy


class Refusal(msgspec.Struct, frozen=True):
    """Why a change is not allowed.

    policy: member of the policy that does not allow it
    detail: the reason, in words
    """

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
    """Return why edits of an index are not allowed; None if they are.

    before: the index as it is
    approved_by: actors other than the author
    takes_back: whether the edits roll back or revert
    """
    policy = before.policy
    parts = list(dict.fromkeys(edit.part for edit in edits))
    refused = refusal_of_parts(policy, parts, actor, now)
    if refused is not None or (takes_back and "policy" not in parts):
        return refused
    if policy.approvals > len(approved_by):
        n_missing = policy.approvals - len(approved_by)
        return Refusal(
            "approvals",
            f"the index requires {policy.approvals} approvals by others than the author, and {n_missing} are missing: "
            "write a draft and have it approved",
        )
    if takes_back:
        return None
    return _refusal_of_step(policy, before, edits)


def refusal_of_parts(policy: Policy, parts: Sequence[Part], actor: str, now: datetime) -> Refusal | None:
    """Return why an actor may not change parts of an index now; None if they may."""
    for i, freeze in enumerate(policy.freezes):
        # The policy itself is never frozen: a freeze that was set by mistake can be ended.
        if freeze.holds(now) and actor not in freeze.exempt and {*parts} != {"policy"}:
            reason = f" ({freeze.reason})" if freeze.reason else ""
            window = f"from {freeze.since.isoformat()} until {freeze.until.isoformat()}"
            return Refusal(f"freezes[{i}]", f"the index is frozen {window}{reason}")
    for part in parts:
        publishers = policy.publishers.get(part)
        if publishers is not None and actor not in publishers:
            return Refusal(f"publishers.{part}", f"{actor} may not change {part}; allowed: {', '.join(publishers)}")
    return None


def _refusal_of_step(policy: Policy, before: IndexControl, edits: Sequence[Edit]) -> Refusal | None:
    """Return why edits move a weight too far at once; None if they do not."""
    if policy.max_step is None:
        return None
    moved: dict[str, tuple[float, float]] = {}
    for edit in edits:
        moved |= edit.moved_weights(before)
    for name, (old, new) in moved.items():
        if abs(new - old) > policy.max_step:
            step = f"{name} would move by {abs(new - old):g}, from {old:g} to {new:g}"
            return Refusal("max_step", f"{step}; allowed at once: {policy.max_step:g}")
    return None
