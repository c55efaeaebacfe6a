"""The edits that roll an index back to a past state, and those that revert one change. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

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
from events.errors import Conflict
from events.hinges import feature_of, is_hinge
from events.index_control import IndexControl
from events.learning import Learning
from events.policies import Policy
from searchsvc.changes.differences import NAMED, Difference, contents_of, difference

T = TypeVar("T")


def rollback_edits(now: IndexControl, past: IndexControl) -> list[Edit]:
    """Return the edits after which an index ranks as it did in a past state.

    Features that were added since keep their weights; those that are gone stay gone. The policy and the learning
    settings stay as they are. A trial ends where weights change.
    """
    changed = difference(now, past)
    return _edits(msgspec.structs.replace(changed, policy=None, learning=None, trial=None), now)


def revert_edits(before: IndexControl, after: IndexControl, now: IndexControl, *, force: bool) -> list[Edit]:
    """Return the edits that take one change back.

    before: the index before the change
    after: the index after the change
    now: the index at present
    force: also take back what was changed again since

    Raises Conflict, naming it, if something was changed again since and `force` is not set.
    """
    changed = difference(before, after)
    changed_again = [*_named_changed_again(changed, after, now), *_whole_changed_again(changed, before, after, now)]
    if changed_again and not force:
        listed = ", ".join(changed_again)
        raise Conflict(
            f"{listed} changed again since: revert that first, or force it",
            field=changed_again[0],
            value=listed,
            actual=now.config_version,
        )
    present = contents_of(now)
    back = Difference(
        weights=_back(changed.weights, present.weights),
        rules=_back(changed.rules, present.rules),
        segments=_back(changed.segments, present.segments),
        bounds=_back(changed.bounds, present.bounds),
        locks=_back(changed.locks, present.locks),
        policy=_whole_back(changed.policy, now.policy, before.policy),
        learning=_whole_back(changed.learning, now.learning, before.learning),
        trial=_whole_back(changed.trial, now.trial, before.trial),
    )
    return _edits(back, now)


def _named_changed_again(changed: Difference, after: IndexControl, now: IndexControl) -> Iterator[str]:
    since = difference(after, now)
    for member in NAMED:
        changed_since = getattr(since, member)
        for name, (old, _) in getattr(changed, member).items():
            # What has its old value again needs no revert.
            if name in changed_since and changed_since[name][1] != old:
                yield f"{member}.{name}"


def _whole_changed_again(
    changed: Difference, before: IndexControl, after: IndexControl, now: IndexControl
) -> Iterator[str]:
    """A trial goes on by itself, so it never counts as changed again."""
    for member in ("policy", "learning"):
        sides = getattr(after, member), getattr(before, member)
        if getattr(changed, member) is not None and getattr(now, member) not in sides:
            yield member


def _back(
    changed: Mapping[str, tuple[T | None, T | None]], present: Mapping[str, T]
) -> dict[str, tuple[T | None, T | None]]:
    return {name: (present.get(name), old) for name, (old, _) in changed.items()}


def _whole_back(changed: object, present: T, old: T) -> tuple[T, T] | None:
    return (present, old) if changed is not None and present != old else None


def _edits(target: Difference, now: IndexControl) -> list[Edit]:
    """Return the edits that make a difference real.

    target: (present, target) of each thing
    """
    set_weights = _weights_edit(target, now)
    edits = [*set_weights, *_rule_edits(target), *_segment_edits(target), *_limits_edit(target, now)]
    if target.policy is not None:
        edits.append(SetPolicy(target.policy[1] or Policy()))
    if target.learning is not None:
        edits.append(SetLearning(target.learning[1] or Learning()))
    if target.trial is not None and not set_weights:
        # The previous trial compared with weights that this change replaces.
        edits.append(SetTrial(target.trial[1]))
    return edits


def _weights_edit(target: Difference, now: IndexControl) -> list[Edit]:
    weights = {
        # A hinge that did not exist has weight 0.
        name: value or 0.0
        for name, (present, value) in target.weights.items()
        if (value is not None or is_hinge(name)) and feature_of(name) in now.weights and present != value
    }
    return [SetWeights(weights)] if weights else []


def _rule_edits(target: Difference) -> Iterator[Edit]:
    for rule_id, (present, rule) in target.rules.items():
        if rule is not None and rule != present:
            yield SetRule(rule_id, rule)
        elif rule is None and present is not None:
            yield DeleteRule(rule_id)


def _segment_edits(target: Difference) -> Iterator[Edit]:
    for segment_id, (present, segment) in target.segments.items():
        if segment is not None and segment != present:
            yield SetSegment(segment_id, segment)
        elif segment is None and present is not None:
            yield DeleteSegment(segment_id)


def _limits_edit(target: Difference, now: IndexControl) -> list[Edit]:
    """A feature that is gone has no limits."""
    bounds = {
        name: bounds for name, (present, bounds) in target.bounds.items() if present != bounds and name in now.weights
    }
    locks = {
        name: bool(is_locked)
        for name, (present, is_locked) in target.locks.items()
        if bool(present) != bool(is_locked) and name in now.weights
    }
    return [SetLimits(bounds, locks)] if bounds or locks else []
