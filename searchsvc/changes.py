"""What differs between two moments of an index, and the edits that lead from one to another. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec

from events.control import IndexControl
from events.edits import DeleteRule, Edit, SetRule, SetWeights
from events.errors import Conflict
from events.rules import Rule

T = TypeVar("T")


class Difference(msgspec.Struct, frozen=True):
    """(before, after) of each weight and each rule that differs, null where there is none. settings: whether they
    differ."""

    weights: dict[str, tuple[float | None, float | None]]
    rules: dict[str, tuple[Rule | None, Rule | None]]
    settings: bool = False

    @property
    def is_empty(self) -> bool:
        return not (self.weights or self.rules or self.settings)


def difference(before: IndexControl | None, after: IndexControl | None) -> Difference:
    """None for an index that is not there."""
    weights = [one.weights if one is not None else {} for one in (before, after)]
    rules = [{name: stored.rule for name, stored in one.rules.items()} if one else {} for one in (before, after)]
    settings = [one.settings if one is not None else None for one in (before, after)]
    return Difference(_apart(*weights), _apart(*rules), settings[0] != settings[1])


def edits_to(now: IndexControl, wanted: IndexControl) -> list[Edit]:
    """What makes an index rank as it did. Features that came since keep their weights; those that went are gone."""
    return _edits(difference(now, wanted), now)


def undoing(before: IndexControl, after: IndexControl, now: IndexControl, *, force: bool) -> list[Edit]:
    """What takes a change back. before, after: the index on either side of it.

    force: also of what was changed again since; else that raises Conflict, naming it.
    """
    changed, since = difference(before, after), difference(after, now)
    again = [*(f"weights.{name}" for name in changed.weights if name in since.weights)]
    again += [f"rules.{name}" for name in changed.rules if name in since.rules]
    if again and not force:
        listed = ", ".join(again)
        raise Conflict(
            f"{listed} changed again since: take that back first, or force it",
            field=again[0],
            value=listed,
            actual=now.config_version,
        )
    back = Difference(
        {name: (now.weights.get(name), old) for name, (old, _) in changed.weights.items()},
        {name: (_rule(now, name), old) for name, (old, _) in changed.rules.items()},
    )
    return _edits(back, now)


def _edits(wanted: Difference, now: IndexControl) -> list[Edit]:
    edits: list[Edit] = []
    weights = {
        name: value
        for name, (current, value) in wanted.weights.items()
        if value is not None and name in now.weights and current != value
    }
    if weights:
        edits.append(SetWeights(weights))
    for name, (current, rule) in wanted.rules.items():
        if rule is not None and rule != current:
            edits.append(SetRule(name, rule))
        elif rule is None and current is not None:
            edits.append(DeleteRule(name))
    return edits


def _rule(index: IndexControl, name: str) -> Rule | None:
    stored = index.rules.get(name)
    return stored.rule if stored is not None else None


def _apart(before: Mapping[str, T], after: Mapping[str, T]) -> dict[str, tuple[T | None, T | None]]:
    names: Sequence[str] = [*before, *(name for name in after if name not in before)]
    return {name: (before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)}
