"""Filter, count, sort and group the documents of one snapshot by their attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from searchsvc.engines.attributes import AttributeValue, check_filter, parse_number
from searchsvc.engines.embedded.ids import IdsView
from searchsvc.engines.embedded.kernels.attributes import count_values, mark_slots
from searchsvc.engines.filters import AllOf, AnyOf, Exists, Filter, Is, Not, Range
from searchsvc.engines.retrieval import Facet, FacetStats, FacetValue
from tuning.arrays import AnyArray, BoolArray, ScoreArray


class AttributeValues(Protocol):
    """What a view reads of one attribute: see `attributes.Attribute`. The writer may be ahead."""

    @property
    def numbers(self) -> AnyArray: ...
    @property
    def dates(self) -> AnyArray: ...
    def pairs(self, n_slots: int) -> tuple[AnyArray, AnyArray]: ...
    def text(self, code: int) -> str: ...
    def first(self, codes: AnyArray, n: int) -> AnyArray: ...
    def codes_of(self, value: AttributeValue) -> Sequence[int]: ...
    def alphabetical_ranks(self) -> ScoreArray: ...


class AttributesView:
    """The reader's side: the attributes of one snapshot.

    live: (n_slots,)
    """

    def __init__(self, by_name: Mapping[str, AttributeValues], ids: IdsView, live: BoolArray) -> None:
        self._by_name = by_name
        self._ids = ids
        self._live = live
        self._n_slots = len(live)

    def mask(self, condition: Filter) -> BoolArray:
        """Return (n_slots,) which slots pass a filter, dead ones too."""
        match condition:
            case Not(part=inner):
                return ~self.mask(inner)
            case AllOf(parts=parts):
                passes_all: BoolArray = np.logical_and.reduce([self.mask(part) for part in parts])
                return passes_all
            case AnyOf(parts=parts):
                passes_any: BoolArray = np.logical_or.reduce([self.mask(part) for part in parts])
                return passes_any
            case Is(field="id", values=ids):
                mask = np.zeros(self._n_slots, np.bool_)
                slots = [self._ids.slot(document_id, self._live) for document_id in ids]
                mask[[slot for slot in slots if slot is not None]] = True
                return mask
            case Is() | Range() | Exists():
                attribute = self._by_name.get(condition.field)
                mask = np.zeros(self._n_slots, np.bool_)
                if attribute is not None:
                    mark_slots(*attribute.pairs(self._n_slots), _passing_values(condition, attribute), mask)
                return mask

    def check(self, condition: Filter, field: str) -> None:
        """See `searchsvc.engines.protocol.EngineSnapshot.check_filter`."""
        if self._n_slots:
            check_filter(condition, field, self._by_name, self._has_values)

    def _has_values(self, condition: Range) -> bool:
        attribute = self._by_name[condition.field]
        values = attribute.dates if condition.dates else attribute.numbers
        return not len(values) or not np.isnan(values).all()

    def facet(self, name: str, matching: BoolArray, max_values: int) -> Facet:
        """Count how many matching slots have each value of an attribute.

        matching: (n_slots,)
        """
        attribute = self._by_name.get(name)
        if attribute is None:
            return Facet([], 0, None)
        slots, codes = attribute.pairs(self._n_slots)
        numbers = attribute.numbers
        counts = np.zeros(len(numbers), np.int64)
        count_values(slots, codes, matching, counts)
        values, n_values = _most_frequent(counts, attribute, max_values)
        return Facet(values, n_values, _stats(numbers, counts))

    def sort_key(self, name: str, slots: AnyArray, descending: bool) -> ScoreArray:
        """Return (n,) a key by which slots sort ascending; slots without a value come last.

        Sorts by numbers if any of the slots has one, else by dates, else by texts. Of several values the first in the
        order counts.

        slots: (n,)
        """
        attribute = self._by_name.get(name)
        if attribute is None:
            return np.full(len(slots), np.inf)
        for values in (attribute.numbers, attribute.dates):
            key = self._first_values(attribute, values, descending)[slots]
            if np.isfinite(key).any():
                return key
        return self._first_values(attribute, attribute.alphabetical_ranks(), descending)[slots]

    def groups(self, name: str, slots: AnyArray) -> AnyArray:
        """Return (n,) the first value of each slot as a number; each slot without a value has a number of its own.

        slots: (n,)
        """
        attribute = self._by_name.get(name)
        groups = -1 - np.arange(self._n_slots, dtype=np.int64)
        if attribute is not None:
            pair_slots, codes = attribute.pairs(self._n_slots)
            # Backwards, so that the first value of a slot is written last.
            groups[pair_slots[::-1]] = codes[::-1]
        return groups[slots]

    def _first_values(self, attribute: AttributeValues, values: ScoreArray, descending: bool) -> ScoreArray:
        """Return (n_slots,) the smallest value of each slot, or the largest negated; inf for a slot without one.

        values: (n_values,) by code
        """
        key = np.full(self._n_slots, np.inf)
        if np.isfinite(values).any():
            slots, codes = attribute.pairs(self._n_slots)
            of_pairs = values[codes]
            finite = np.isfinite(of_pairs)
            np.minimum.at(key, slots[finite], -of_pairs[finite] if descending else of_pairs[finite])
        return key


def _passing_values(clause: Is | Range | Exists, attribute: AttributeValues) -> BoolArray:
    """Return (n_values,) which values of an attribute pass a comparison."""
    numbers = attribute.numbers
    match clause:
        case Exists():
            return np.ones(len(numbers), np.bool_)
        case Is(values=values):
            passing = np.zeros(len(numbers), np.bool_)
            for value in values:
                readings: list[AttributeValue | None] = [value, parse_number(value)]
                codes = [code for reading in readings if reading is not None for code in attribute.codes_of(reading)]
                passing[[code for code in codes if code < len(numbers)]] = True
            return passing
        case Range(dates=dates):
            compared = attribute.dates[: len(numbers)] if dates else numbers
            # nan compares as false.
            above = compared >= clause.low if clause.low_included else compared > clause.low
            below = compared <= clause.high if clause.high_included else compared < clause.high
            return above & below


def _stats(numbers: AnyArray, counts: AnyArray) -> FacetStats | None:
    """Return statistics of the counted numbers, or None if there are none.

    numbers: (n_values,) each value as a number
    counts: (n_values,) matching documents with each value
    """
    counted = np.flatnonzero((counts > 0) & ~np.isnan(numbers))
    if not len(counted):
        return None
    # In the order of the values, so that the sum does not depend on the order of the documents.
    counted = counted[np.argsort(numbers[counted])]
    values, weights = numbers[counted], counts[counted]
    total = float((values * weights).sum())
    return FacetStats(float(values[0]), float(values[-1]), total / int(weights.sum()), total)


def _most_frequent(counts: AnyArray, attribute: AttributeValues, n: int) -> tuple[list[FacetValue], int]:
    """Return the n most frequent values, equal counts by value, and the number of values with a count.

    counts: (n_values,)
    """
    counted = np.flatnonzero(counts)
    if n <= 0 or not len(counted):
        return [], len(counted)
    candidates = counted
    if n < len(counted):
        positive = counts[counted]
        least = -np.partition(-positive, n - 1)[n - 1]
        more = counted[positive > least]
        candidates = np.concatenate([more, attribute.first(counted[positive == least], n - len(more))])
    values = [FacetValue(attribute.text(code), int(counts[code])) for code in candidates.tolist()]
    return sorted(values, key=lambda value: (-value.count, value.value))[:n], len(counted)
