"""The attributes of a document: members with short values, which can be filtered, counted, sorted and grouped. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

from rapidfuzz import process

from events.errors import InvalidInput
from searchsvc.engines.filters import Comparison, Exists, Filter, Range, clauses
from searchsvc.engines.values import AttributeValue, canonical_number, normal

# Of an index. A member that comes later is stored, and searched if a field names it, but is no attribute: each costs
# kilobytes for as long as the index lives.
MAX_ATTRIBUTES: Final = 50_000
# Longer texts are prose: to be searched, not to be chosen from a list.
MAX_VALUE_CHARS: Final = 200
MAX_NESTING: Final = 3
MAX_FAMILIES: Final = 8
# What shoppers choose by, for all kinds of products. Of each kind, the first attribute that a document has counts.
USUAL_FAMILIES: Final = (
    ("brand", "manufacturer", "maker", "vendor", "supplier", "publisher", "artist", "author"),
    ("category", "categories", "product_type", "department", "genre", "genres"),
)

_N_SIMILAR: Final = 3
_MIN_SIMILARITY: Final = 60
_N_EXAMPLES: Final = 10
_LARGEST: Final = 1e300


def attributes_of(
    members: Mapping[str, object], prefix: str = "", depth: int = 0
) -> Iterator[tuple[str, list[AttributeValue]]]:
    """Yield the name and the values of each attribute of a document.

    A member `b` of a member `a`, or of the objects in a list `a`, is named `a.b`. True and false are the texts `true`
    and `false`. The id is not an attribute.

    members: the document, or at a depth a member of it
    prefix: what the names begin with
    depth: how many members it is nested in
    """
    for name, member in members.items():
        if name == "id" and not prefix:
            continue
        if isinstance(member, Mapping):
            if depth < MAX_NESTING:
                yield from attributes_of(member, f"{prefix}{name}.", depth + 1)
            continue
        if isinstance(member, list):
            if depth < MAX_NESTING:
                yield from _of_objects(member, f"{prefix}{name}.", depth + 1)
            values = [value for item in member if (value := _attribute_value(item)) is not None]
        else:
            value = _attribute_value(member)
            values = [value] if value is not None else []
        if values:
            yield prefix + name, values


def _of_objects(items: Sequence[object], prefix: str, depth: int) -> Iterator[tuple[str, list[AttributeValue]]]:
    """Yield the attributes of the objects in a list, such as variants: each name once, with the values of all."""
    together: dict[str, list[AttributeValue]] = {}
    for item in items:
        if isinstance(item, Mapping):
            for name, values in attributes_of(item, prefix, depth):
                together.setdefault(name, []).extend(values)
    yield from together.items()


def families(members: Mapping[str, object], names: Sequence[str]) -> list[str]:
    """Return the families of a document, such as `brand=HP`: at most `MAX_FAMILIES`, in order.

    names: attributes whose values are families; if empty, those of `USUAL_FAMILIES`
    """
    attributes = dict(attributes_of(members))
    usual = [next((name for name in kind if name in attributes), "") for kind in USUAL_FAMILIES]
    values = [f"{name}={value}" for name in names or usual for value in attributes.get(name, ())]
    return sorted(values)[:MAX_FAMILIES]


def check_filter(
    condition: Filter, field: str, names: Callable[[], Sequence[str]], holds: Callable[[Comparison], bool]
) -> None:
    """Raise InvalidInput as `searchsvc.engines.protocol.EngineSnapshot.check_filter` says.

    names: gives the attributes that documents have or had, for the message
    holds: as `searchsvc.engines.protocol.EngineSnapshot.holds`
    """
    for clause in clauses(condition):
        if clause.field == "id" or holds(clause):
            continue
        if isinstance(clause, Range) and holds(Exists(clause.field)):
            raise no_range_values(clause.field, field, dates=clause.dates)
        raise unknown_attribute(clause.field, names(), field, lambda name: holds(Exists(name)))


def unknown_attribute(name: str, names: Sequence[str], field: str, exists: Callable[[str], bool]) -> InvalidInput:
    """Return the error for an attribute that no document has, with the most similar names that exist.

    field: path of the name in the request
    exists: whether a document has an attribute now
    """
    # Only the few that are shown are checked: there may be tens of thousands.
    similar = process.extract(name[:MAX_VALUE_CHARS], names, limit=2 * _N_SIMILAR, score_cutoff=_MIN_SIMILARITY)
    examples = [example for example, _, _ in similar if exists(example)][:_N_SIMILAR]
    examples = examples or list(islice(filter(exists, sorted(names)), _N_EXAMPLES))
    limit = f"a member that documents have, such as {', '.join(examples)}"
    message = f"{field} names {name[:80]!r}, which no document has; allowed: {limit}"
    return InvalidInput(message, field=field, value=name, limit=limit)


def no_range_values(name: str, field: str, *, dates: bool) -> InvalidInput:
    """Return the error for a range of an attribute without numbers, or without dates.

    field: path of the filter in the request
    """
    kind = "dates" if dates else "numbers"
    message = f"{name} has no {kind}, so it has no range of them"
    return InvalidInput(message, field=field, value=name, limit=f"a member of {kind}")


def _attribute_value(value: object) -> AttributeValue | None:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return canonical_number(value) if abs(value) < _LARGEST else None
        case str():
            return normal(value) if 0 < len(value) <= MAX_VALUE_CHARS and not value.startswith("\0") else None
        case _:
            return None
