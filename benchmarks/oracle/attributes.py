"""Attributes of the oracle's documents: filters, sort keys and facets. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from searchsvc.engines.dates import epoch_seconds
from searchsvc.engines.filters import AllOf, AnyOf, Exists, Filter, Is, Not, Range
from searchsvc.engines.protocol import Upsert
from searchsvc.engines.retrieval import Facet, FacetStats, FacetValue

Value = str | float


def values_of(document: Upsert, field: str) -> list[Value]:
    """Return the distinct short values of an attribute: numbers as floats, booleans as `true` and `false`."""
    values = _members(document.members, field.split("."))
    spelled = ("true" if value is True else "false" if value is False else value for value in values)
    short = [
        float(value) if isinstance(value, int | float) else value
        for value in spelled
        if isinstance(value, str | int | float) and value != ""
    ]
    return list(dict.fromkeys(short))


def _members(value: object, path: Sequence[str]) -> list[object]:
    """Return what is found along a path of names, through objects and lists of them."""
    if isinstance(value, list):
        return [found for item in value for found in _members(item, path)]
    if not path:
        return [value]
    if not isinstance(value, dict):
        return []
    whole, (name, *rest) = ".".join(path), path
    return _members(value[whole], []) if whole in value else _members(value.get(name), rest)


def passes(document: Upsert, condition: Filter | None) -> bool:
    """Return whether a document passes a filter; every document passes None."""
    match condition:
        case None:
            return True
        case Not(part=part):
            return not passes(document, part)
        case AllOf(parts=parts):
            return all(passes(document, part) for part in parts)
        case AnyOf(parts=parts):
            return any(passes(document, part) for part in parts)
        case Is(field="id", values=ids):
            return document.id in ids
        case Exists(field=field):
            return bool(values_of(document, field))
        case Is(field=field, values=allowed):
            texts = {text.casefold() for text in allowed}
            numbers = {number for text in allowed if (number := _number(text)) is not None}
            return any(
                value.casefold() in texts if isinstance(value, str) else value in numbers
                for value in values_of(document, field)
            )
        case Range():
            return _is_in_range(values_of(document, condition.field), condition)


def _is_in_range(values: Sequence[Value], limits: Range) -> bool:
    for value in values:
        number = epoch_seconds(value) if isinstance(value, str) else None if limits.dates else value
        if number is not None:
            above = number >= limits.low if limits.low_included else number > limits.low
            below = number <= limits.high if limits.high_included else number < limits.high
            if above and below:
                return True
    return False


def sort_values(documents: Mapping[int, Upsert], field: str, *, descending: bool) -> dict[int, float]:
    """Return a number to sort each slot by, infinity for a document without the attribute.

    Sorts by numbers if any of the documents has one, else by dates, else by the order of the texts.
    """
    values = {slot: values_of(document, field) for slot, document in documents.items()}
    texts = {slot: [value for value in row if isinstance(value, str)] for slot, row in values.items()}
    ordered = sorted({text for row in texts.values() for text in row}, key=lambda text: (text.casefold(), text))
    numbers = {slot: [value for value in row if isinstance(value, float)] for slot, row in values.items()}
    dates = {
        slot: [moment for text in row if (moment := epoch_seconds(text)) is not None] for slot, row in texts.items()
    }
    positions = {slot: [float(ordered.index(text)) for text in row] for slot, row in texts.items()}
    chosen = next((kind for kind in (numbers, dates, positions) if any(kind.values())), numbers)
    sign = -1 if descending else 1
    return {slot: min((sign * number for number in row), default=math.inf) for slot, row in chosen.items()}


def facet(documents: Sequence[Upsert], field: str, max_values: int) -> Facet:
    """Count the values of an attribute, most frequent first."""
    values = [value for document in documents for value in values_of(document, field)]
    counts = Counter(_text(value) for value in values)
    counted = sorted((FacetValue(text, n) for text, n in counts.items()), key=lambda entry: (-entry.count, entry.value))
    numbers = [value for value in values if isinstance(value, float)]
    stats = FacetStats(min(numbers), max(numbers), sum(numbers) / len(numbers), sum(numbers)) if numbers else None
    return Facet(counted[:max_values], len(counted), stats)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _text(value: Value) -> str:
    return value if isinstance(value, str) else str(int(value)) if value.is_integer() else repr(value)
