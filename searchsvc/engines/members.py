"""What of a document can be filtered, counted, sorted and grouped: its members with short values. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from rapidfuzz import process

from events.errors import InvalidInput

# Longer texts are prose: to be searched, not to be chosen from a list.
MAX_VALUE_CHARS: Final = 200
MAX_NESTING: Final = 3
N_NEAR: Final = 3
NEAR_SCORE: Final = 60
N_EXAMPLES: Final = 10
MAX_FAMILIES: Final = 8
# What shoppers choose by, whatever else they look for: of each kind, the first that a document has.
USUAL_FAMILIES: Final = (
    ("brand", "manufacturer", "maker", "vendor", "supplier", "publisher", "artist", "author"),
    ("category", "categories", "product_type", "department", "genre", "genres"),
)

Value = str | float


def short_values(members: Mapping[str, object], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, list[Value]]]:
    """Each member that has short values, with them; `a.b` for a member of a member. True and false are texts."""
    for name, value in members.items():
        if name == "id" and not prefix:
            continue
        if isinstance(value, Mapping):
            if depth < MAX_NESTING:
                yield from short_values(value, f"{prefix}{name}.", depth + 1)
            continue
        values = [one for item in (value if isinstance(value, list) else [value]) if (one := _value(item)) is not None]
        if values:
            yield prefix + name, values


def families(members: Mapping[str, object], names: Sequence[str]) -> list[str]:
    """What a document belongs to: each value of the members that say so, with the member's name. At most a few. names:
    of those members; none for the usual ones."""
    short = dict(short_values(members))
    usual = [next((name for name in kind if name in short), "") for kind in USUAL_FAMILIES]
    found = [f"{name}={one}" for name in names or usual for one in short.get(name, ())]
    return sorted(found)[:MAX_FAMILIES]


def as_number(text: str) -> float | None:
    """A text as the number it spells; None where it spells none."""
    try:
        return float(text)
    except ValueError:
        return None


def shown(number: float) -> str:
    """A number as people write it: 3, not 3.0."""
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)


def unknown(name: str, known: Sequence[str], field: str) -> InvalidInput:
    """For a member that no document has: with those that are spelt alike. field: what the request calls it."""
    alike = process.extract(name[:MAX_VALUE_CHARS], known, limit=N_NEAR, score_cutoff=NEAR_SCORE)
    examples = [one for one, _, _ in alike] or sorted(known)[:N_EXAMPLES]
    limit = f"a member that documents have, such as {', '.join(examples)}"
    message = f"{field} names {name[:80]!r}, which no document has; allowed: {limit}"
    return InvalidInput(message, field=field, value=name, limit=limit)


def out_of_kind(name: str, field: str, *, dates: bool) -> InvalidInput:
    """For a range of a member that has no such values. field: what the request calls the filter."""
    kind = "dates" if dates else "numbers"
    message = f"{name} has no {kind}, so it has no range of them"
    return InvalidInput(message, field=field, value=name, limit=f"a member of {kind}")


def _value(value: object) -> Value | None:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return float(value) if abs(value) < 1e300 else None
        case str():
            return value if 0 < len(value) <= MAX_VALUE_CHARS and not value.startswith("\0") else None
        case _:
            return None
