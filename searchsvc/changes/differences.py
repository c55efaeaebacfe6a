"""What differs between two moments of an index, and the edits that lead from one to another. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

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
from events.learning import Learning, Trial
from events.policies import Policy
from events.rules import Rule
from events.segments import Segment

T = TypeVar("T")


Bound = tuple[float, float]


# What an index has one of, and edits set whole.
WHOLE: Final = ("policy", "learning", "trial")


class Difference(msgspec.Struct, frozen=True):
    """(before, after) of all that differs, null where there is none. policy, learning, trial: null where they are the
    same. settings: whether they differ."""

    weights: dict[str, tuple[float | None, float | None]] = {}
    rules: dict[str, tuple[Rule | None, Rule | None]] = {}
    segments: dict[str, tuple[Segment | None, Segment | None]] = {}
    bounds: dict[str, tuple[Bound | None, Bound | None]] = {}
    locks: dict[str, tuple[bool | None, bool | None]] = {}
    policy: tuple[Policy | None, Policy | None] | None = None
    learning: tuple[Learning | None, Learning | None] | None = None
    trial: tuple[Trial | None, Trial | None] | None = None
    settings: bool = False

    @property
    def is_empty(self) -> bool:
        return not any(getattr(self, name) for name in self.__struct_fields__)


class _Contents(msgspec.Struct, frozen=True):
    """What edits can change of an index; nothing of one that is not there."""

    weights: Mapping[str, float] = {}
    rules: Mapping[str, Rule] = {}
    segments: Mapping[str, Segment] = {}
    bounds: Mapping[str, Bound] = {}
    locks: Mapping[str, bool] = {}

    @staticmethod
    def of(index: IndexControl | None) -> _Contents:
        if index is None:
            return _Contents()
        return _Contents(
            index.weights,
            {name: stored.rule for name, stored in index.rules.items()},
            {name: stored.segment for name, stored in index.segments.items()},
            index.bounds,
            dict.fromkeys(index.locks, True),
        )


def difference(before: IndexControl | None, after: IndexControl | None) -> Difference:
    """None for an index that is not there."""
    one, other = _Contents.of(before), _Contents.of(after)
    settings = [index.settings if index is not None else None for index in (before, after)]
    policies = before.policy if before is not None else None, after.policy if after is not None else None
    learnings = before.learning if before is not None else None, after.learning if after is not None else None
    trials = before.trial if before is not None else None, after.trial if after is not None else None
    return Difference(
        weights=_apart(one.weights, other.weights),
        rules=_apart(one.rules, other.rules),
        segments=_apart(one.segments, other.segments),
        bounds=_apart(one.bounds, other.bounds),
        locks=_apart(one.locks, other.locks),
        policy=policies if (policies[0] or Policy()) != (policies[1] or Policy()) else None,
        learning=learnings if (learnings[0] or Learning()) != (learnings[1] or Learning()) else None,
        trial=trials if trials[0] != trials[1] else None,
        settings=settings[0] != settings[1],
    )


def edits_to(now: IndexControl, wanted: IndexControl) -> list[Edit]:
    """What makes an index rank as it did. Features that came since keep their weights; those that went are gone. Its
    policy stays, and how it learns; what is compared is no more where weights change."""
    return _edits(msgspec.structs.replace(difference(now, wanted), policy=None, learning=None, trial=None), now)


def undoing(before: IndexControl, after: IndexControl, now: IndexControl, *, force: bool) -> list[Edit]:
    """What takes a change back. before, after: the index on either side of it.

    force: also of what was changed again since; else that raises Conflict, naming it.
    """
    changed, since = difference(before, after), difference(after, now)
    parts = [name for name in Difference.__struct_fields__ if name not in (*WHOLE, "settings")]
    again = [
        f"{part}.{name}"
        for part in parts
        for name, (old, _) in getattr(changed, part).items()
        # What is back to what it was needs no more.
        if name in getattr(since, part) and getattr(since, part)[name][1] != old
    ]
    again += [
        part
        for part in ("policy", "learning")
        if getattr(changed, part) is not None
        and getattr(now, part) not in (getattr(after, part), getattr(before, part))
    ]
    if again and not force:
        listed = ", ".join(again)
        raise Conflict(
            f"{listed} changed again since: take that back first, or force it",
            field=again[0],
            value=listed,
            actual=now.config_version,
        )
    held = _Contents.of(now)
    back = Difference(
        weights={name: (held.weights.get(name), old) for name, (old, _) in changed.weights.items()},
        rules={name: (held.rules.get(name), old) for name, (old, _) in changed.rules.items()},
        segments={name: (held.segments.get(name), old) for name, (old, _) in changed.segments.items()},
        bounds={name: (held.bounds.get(name), old) for name, (old, _) in changed.bounds.items()},
        locks={name: (held.locks.get(name), old) for name, (old, _) in changed.locks.items()},
        policy=(now.policy, before.policy) if changed.policy is not None and now.policy != before.policy else None,
        learning=(now.learning, before.learning)
        if changed.learning is not None and now.learning != before.learning
        else None,
        trial=(now.trial, before.trial) if changed.trial is not None and now.trial != before.trial else None,
    )
    return _edits(back, now)


def _edits(wanted: Difference, now: IndexControl) -> list[Edit]:
    edits: list[Edit] = []
    weights = {
        # A bend that is not there has none.
        name: value or 0.0
        for name, (current, value) in wanted.weights.items()
        if (value is not None or is_hinge(name)) and feature_of(name) in now.weights and current != value
    }
    if weights:
        edits.append(SetWeights(weights))
    for rule_id, (rule_now, rule) in wanted.rules.items():
        if rule is not None and rule != rule_now:
            edits.append(SetRule(rule_id, rule))
        elif rule is None and rule_now is not None:
            edits.append(DeleteRule(rule_id))
    for segment_id, (segment_now, segment) in wanted.segments.items():
        if segment is not None and segment != segment_now:
            edits.append(SetSegment(segment_id, segment))
        elif segment is None and segment_now is not None:
            edits.append(DeleteSegment(segment_id))
    # A feature that is gone has neither weight nor limits.
    there = now.weights
    bounds = {name: given for name, (held, given) in wanted.bounds.items() if held != given and name in there}
    locks = {name: bool(on) for name, (held, on) in wanted.locks.items() if bool(held) != bool(on) and name in there}
    if bounds or locks:
        edits.append(SetLimits(bounds, locks))
    if wanted.policy is not None:
        edits.append(SetPolicy(wanted.policy[1] or Policy()))
    if wanted.learning is not None:
        edits.append(SetLearning(wanted.learning[1] or Learning()))
    if wanted.trial is not None and not weights:
        # Who takes weights back wants nothing compared with them.
        edits.append(SetTrial(wanted.trial[1]))
    return edits


def _apart(before: Mapping[str, T], after: Mapping[str, T]) -> dict[str, tuple[T | None, T | None]]:
    names: Sequence[str] = [*before, *(name for name in after if name not in before)]
    return {name: (before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)}
