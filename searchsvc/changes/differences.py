"""What differs between two states of an index, and how to say it in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, TypeVar

import msgspec

from events.edits import SetTrial
from events.index_control import IndexControl
from events.learning import Learning, Trial
from events.policies import Policy
from events.rules import Rule
from events.segments import Segment

T = TypeVar("T")

Bounds = tuple[float, float]

# Members of a difference by name, and those that are one whole.
NAMED: Final = ("weights", "rules", "segments", "bounds", "locks")
WHOLE: Final = ("policy", "learning", "trial")


class Difference(msgspec.Struct, frozen=True):
    """(before, after) of everything that differs; None on a side where there is none.

    weights: by feature
    rules: by id
    segments: by id
    bounds: by feature; None for the default bounds
    locks: by feature
    policy: None if it is the same
    learning: None if it is the same
    trial: None if it is the same
    settings: whether they differ
    """

    weights: dict[str, tuple[float | None, float | None]] = {}
    rules: dict[str, tuple[Rule | None, Rule | None]] = {}
    segments: dict[str, tuple[Segment | None, Segment | None]] = {}
    bounds: dict[str, tuple[Bounds | None, Bounds | None]] = {}
    locks: dict[str, tuple[bool | None, bool | None]] = {}
    policy: tuple[Policy | None, Policy | None] | None = None
    learning: tuple[Learning | None, Learning | None] | None = None
    trial: tuple[Trial | None, Trial | None] | None = None
    settings: bool = False

    @property
    def is_empty(self) -> bool:
        return not any(getattr(self, name) for name in self.__struct_fields__)

    def describe(self) -> str:
        """Return what differs, in words: `cosine 1 → 2, rule sale new`."""
        return ", ".join(_phrases(self)) or "nothing"


class Contents(msgspec.Struct, frozen=True):
    """What edits can change of an index by name; empty if there is no index."""

    weights: Mapping[str, float] = {}
    rules: Mapping[str, Rule] = {}
    segments: Mapping[str, Segment] = {}
    bounds: Mapping[str, Bounds] = {}
    locks: Mapping[str, bool] = {}


def contents_of(index: IndexControl | None) -> Contents:
    """Return what edits can change of an index by name."""
    if index is None:
        return Contents()
    return Contents(
        index.weights,
        {rule_id: stored.rule for rule_id, stored in index.rules.items()},
        {segment_id: stored.segment for segment_id, stored in index.segments.items()},
        index.bounds,
        dict.fromkeys(index.locks, True),
    )


def difference(before: IndexControl | None, after: IndexControl | None) -> Difference:
    """Return what differs between two states of an index; None stands for an index that does not exist."""
    old, new = contents_of(before), contents_of(after)
    policies = before.policy if before is not None else None, after.policy if after is not None else None
    learnings = before.learning if before is not None else None, after.learning if after is not None else None
    trials = before.trial if before is not None else None, after.trial if after is not None else None
    settings = before.settings if before is not None else None, after.settings if after is not None else None
    return Difference(
        weights=_differing(old.weights, new.weights),
        rules=_differing(old.rules, new.rules),
        segments=_differing(old.segments, new.segments),
        bounds=_differing(old.bounds, new.bounds),
        locks=_differing(old.locks, new.locks),
        policy=policies if (policies[0] or Policy()) != (policies[1] or Policy()) else None,
        learning=learnings if (learnings[0] or Learning()) != (learnings[1] or Learning()) else None,
        trial=trials if trials[0] != trials[1] else None,
        settings=settings[0] != settings[1],
    )


def _differing(before: Mapping[str, T], after: Mapping[str, T]) -> dict[str, tuple[T | None, T | None]]:
    names = [*before, *(name for name in after if name not in before)]
    return {name: (before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)}


def _phrases(changed: Difference) -> Iterator[str]:
    for name, (old, new) in changed.weights.items():
        yield f"{name} {_number(old)} → {_number(new)}"
    for rule_id, rules in changed.rules.items():
        yield f"rule {rule_id} {_verb(rules)}"
    for segment_id, segments in changed.segments.items():
        yield f"segment {segment_id} {_verb(segments)}"
    for name, (_, bounds) in changed.bounds.items():
        yield f"{name} from {bounds[0]:g} to {bounds[1]:g}" if bounds is not None else f"{name} without bounds"
    for name, (_, is_locked) in changed.locks.items():
        yield f"{name} {'locked' if is_locked else 'unlocked'}"
    if changed.policy is not None:
        yield "policy"
    if changed.learning is not None:
        yield from _learning_phrases(*(learning or Learning() for learning in changed.learning))
    if changed.trial is not None:
        yield _trial_phrase(*changed.trial)
    if changed.settings:
        yield "settings"


def _learning_phrases(before: Learning, after: Learning) -> Iterator[str]:
    """Name each member of the learning settings that differs; with its values if they are short."""
    for name in Learning.__struct_fields__:
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            is_short = isinstance(new, int | float | str)
            yield f"learning.{name} {_short(old)} → {_short(new)}" if is_short else f"learning.{name} changed"


def _trial_phrase(before: Trial | None, after: Trial | None) -> str:
    if after is None and before is not None:
        return f"trial {before.id} ended"
    return SetTrial(after).describe()


def _verb(sides: tuple[object, object]) -> str:
    before, after = sides
    return "new" if before is None else "gone" if after is None else "changed"


def _number(value: float | None) -> str:
    return "—" if value is None else f"{value:g}"


def _short(value: float | str) -> str:
    return (value or "—") if isinstance(value, str) else f"{value:g}"
