"""Attributes of the oracle's documents: filters, sort keys and facets. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from searchsvc.engines.filters import AllOf, AnyOf, Exists, Filter, Is, Not, Range
from searchsvc.engines.protocol import Upsert
from searchsvc.engines.retrieval import Facet, FacetStats, FacetValue, most_frequent_first
from searchsvc.engines.values import (
    AttributeValue,
    Number,
    Reading,
    beginnings_of,
    canonical_number,
    collation_key,
    equal_keys,
    has_words_beginning_with,
    kinds_of,
    normal,
    number_text,
    parse_number,
    read_text,
    value_key,
)

# Larger numbers are no values.
LARGEST: Final = 1e300


def values_of(document: Upsert, field: str) -> list[AttributeValue]:
    """Return the distinct short values of an attribute; booleans are the texts `true` and `false`."""
    values = _members(document.members, field.split("."))
    spelled = ("true" if value is True else "false" if value is False else value for value in values)
    short = [
        canonical_number(value) if isinstance(value, int | float) else normal(value)
        for value in spelled
        if isinstance(value, str | int | float) and value != "" and (isinstance(value, str) or abs(value) < LARGEST)
    ]
    return list(dict.fromkeys(short))


def kinds_of_attribute(documents: Iterable[Upsert], field: str) -> frozenset[str]:
    """Return the kinds of all values of an attribute."""
    return frozenset(kind for document in documents for value in values_of(document, field) for kind in kinds_of(value))


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


def passes(document: Upsert, condition: Filter | None, kinds: Callable[[str], frozenset[str]]) -> bool:
    """Return whether a document passes a filter; every document passes None. kinds: of the values of an attribute"""
    match condition:
        case None:
            return True
        case Not(part=part):
            return not passes(document, part, kinds)
        case AllOf(parts=parts):
            return all(passes(document, part, kinds) for part in parts)
        case AnyOf(parts=parts):
            return any(passes(document, part, kinds) for part in parts)
        case Is(field="id", values=ids):
            return document.id in ids
        case Exists(field=field):
            return bool(values_of(document, field))
        case Is(field=field, values=allowed):
            keys = {key for text in allowed for key in equal_keys(text, kinds(field))}
            return any(value_key(value) in keys for value in values_of(document, field))
        case Range(field=field):
            return _is_in_range(values_of(document, field), condition, kinds(field))


def _is_in_range(values: Sequence[AttributeValue], limits: Range, kinds: frozenset[str]) -> bool:
    if limits.dates and "no date" in kinds:
        return False
    reading = Reading.of_kinds(kinds)
    for value in values:
        number = _date(value) if limits.dates else _number(value, reading)
        if number is not None:
            above = number >= limits.low if limits.low_included else number > limits.low
            below = number <= limits.high if limits.high_included else number < limits.high
            if above and below:
                return True
    return False


def sort_values(
    documents: Mapping[int, Upsert], field: str, kinds: frozenset[str], *, descending: bool
) -> dict[int, float]:
    """Return a number to sort each slot by, infinity for a document without the attribute."""
    reading = Reading.of_kinds(kinds)

    def order(value: AttributeValue) -> tuple[object, ...]:
        number = _number(value, reading)
        if number is not None:
            return (0, number)
        if reading.truths:
            return (1, read_text(str(value)).truth)
        return (1, _date(value)) if reading.dates else (2, collation_key(str(value)), value_key(value))

    values = {slot: values_of(document, field) for slot, document in documents.items()}
    ordered = sorted({order(value) for row in values.values() for value in row})
    sign = -1 if descending else 1
    return {
        slot: min((sign * float(ordered.index(order(value))) for value in row), default=math.inf)
        for slot, row in values.items()
    }


def facet(documents: Sequence[Upsert], field: str, max_values: int, kinds: frozenset[str], query: str = "") -> Facet:
    """Count the documents that have each value of an attribute, equal ones together, most frequent first.

    It is written as in most of these documents. kinds: of the values of all documents

    query: only values that have a word which begins with it
    """
    reading, values = Reading.of_kinds(kinds), [values_of(document, field) for document in documents]
    spellings = Counter((_key(value, reading), _text(value)) for row in values for value in row)
    usual: dict[str, str] = {}
    for (key, text), _ in sorted(spellings.items(), key=lambda item: (-item[1], item[0][1])):
        usual.setdefault(key, text)
    counts = Counter(key for row in values for key in {_key(value, reading) for value in row})
    counted = [
        FacetValue(usual[key], n)
        for key, n in counts.items()
        if not beginnings_of(query) or has_words_beginning_with(usual[key], beginnings_of(query))
    ]
    numbers = [float(n) for row in values for value in row if (n := _number(value, reading)) is not None]
    stats = FacetStats.from_totals(min(numbers), max(numbers), sum(numbers), len(numbers)) if numbers else None
    stats = None if beginnings_of(query) else stats
    return Facet(most_frequent_first(counted)[:max_values], len(counted), stats)


def _number(value: AttributeValue, reading: Reading) -> Number | None:
    if isinstance(value, str):
        return read_text(value).amount if reading.amounts else None
    # Numbers that are written alike are equal.
    return parse_number(number_text(value))


def _date(value: AttributeValue) -> float | None:
    return read_text(value).moment if isinstance(value, str) else None


def _key(value: AttributeValue, reading: Reading) -> str:
    return str(read_text(str(value)).truth) if reading.truths else value_key(value)


def _text(value: AttributeValue) -> str:
    return value if isinstance(value, str) else number_text(value)
