"""The tree that a filter is parsed into, and what can be told of it. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec


class Is(msgspec.Struct, frozen=True):
    """A document has any of these values in an attribute.

    field: name of the attribute; `id` is compared exactly, others without regard to case
    values: as text, also numbers, true and false
    """

    field: str
    values: tuple[str, ...]


class Range(msgspec.Struct, frozen=True):
    """A number or a date of an attribute lies in a range.

    low: lower bound; a date as seconds since 1970
    high: upper bound, in the same way
    dates: whether the bounds are dates
    """

    field: str
    low: float = -math.inf
    high: float = math.inf
    low_included: bool = True
    high_included: bool = True
    dates: bool = False


class Exists(msgspec.Struct, frozen=True):
    """A document has a value in an attribute."""

    field: str


class Not(msgspec.Struct, frozen=True):
    """A document does not pass the filter."""

    part: Filter


class AllOf(msgspec.Struct, frozen=True):
    """A document passes every part."""

    parts: tuple[Filter, ...]


class AnyOf(msgspec.Struct, frozen=True):
    """A document passes at least one part."""

    parts: tuple[Filter, ...]


Comparison = Is | Range | Exists
Filter = Comparison | Not | AllOf | AnyOf


def clauses(condition: Filter) -> Iterator[Comparison]:
    """Yield every comparison in a filter."""
    match condition:
        case Is() | Range() | Exists():
            yield condition
        case Not(part=part):
            yield from clauses(part)
        case AllOf(parts=parts) | AnyOf(parts=parts):
            for part in parts:
                yield from clauses(part)


def excludes(condition: Filter) -> bool:
    """Return whether a filter has a negation, so that documents without a value may pass."""
    match condition:
        case Not():
            return True
        case AllOf(parts=parts) | AnyOf(parts=parts):
            return any(map(excludes, parts))
        case _:
            return False


def both(first: Filter | None, second: Filter | None) -> Filter | None:
    """Return the filter that a document passes if it passes both; None is passed by all."""
    if first is None or second is None:
        return first or second
    return AllOf((first, second))


def without_field(condition: Filter | None, field: str) -> Filter | None:
    """Drop the AND-ed parts of a filter that are about one attribute only.

    A disjunctive facet counts under the filter that is left. Returns None if nothing is left.
    """
    if condition is None:
        return None
    parts = condition.parts if isinstance(condition, AllOf) else (condition,)
    remaining = tuple(part for part in parts if any(clause.field != field for clause in clauses(part)))
    return AllOf(remaining) if len(remaining) > 1 else remaining[0] if remaining else None
