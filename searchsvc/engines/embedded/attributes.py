"""What documents can be filtered, counted, sorted and grouped by: every short value they have, in columns.

No schema: a member is there from the first document that has it. The distinct values of a member are numbered as they
first come; a document's values are (slot, number) pairs in slot order, so a view is a cut, and what is asked of values
is asked once of each distinct one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from searchsvc.engines.attributes import (
    AttributeValue,
    attributes_of,
    no_range_values,
    number_text,
    parse_number,
    unknown_attribute,
)
from searchsvc.engines.columnar.columns import Column
from searchsvc.engines.columnar.texts import StoredTexts, Texts
from searchsvc.engines.dates import epoch_seconds
from searchsvc.engines.embedded import kernels
from searchsvc.engines.embedded.ids import IdsView
from searchsvc.engines.filters import AllOf, AnyOf, Exists, Filter, Is, Not, Range, clauses
from searchsvc.engines.retrieval import Facet, FacetStats, FacetValue
from tuning.arrays import AnyArray, BoolArray, ScoreArray

# Numbers stand among the texts behind a character that no text begins with.
_NUMBER: Final = "\0"


class StoredAttribute(msgspec.Struct, frozen=True):
    """One attribute as plain arrays.

    texts: the values in the order of their numbers. numbers, dates: (n_values,) what each is as a number, and as a date
    in seconds since 1970; nan where it is none. slots, codes: (n,) the pairs.
    """

    texts: StoredTexts
    numbers: AnyArray
    dates: AnyArray
    slots: AnyArray
    codes: AnyArray


BLANK: Final = StoredAttribute(
    StoredTexts.empty(), np.empty(0), np.empty(0), np.empty(0, np.int32), np.empty(0, np.int32)
)


class Attribute:
    """One member of the documents: one writer, any number of readers. Shapes as in `StoredAttribute`."""

    def __init__(self, stored: StoredAttribute = BLANK) -> None:
        self._texts = Texts(stored.texts)
        self._numbers = Column(np.float64, rows=stored.numbers)
        self._dates = Column(np.float64, rows=stored.dates)
        self._slots = Column(np.int32, rows=stored.slots)
        self._codes = Column(np.int32, rows=stored.codes)
        self._new_values: list[AttributeValue] = []
        self._new_pairs: list[tuple[int, int]] = []
        self._order: tuple[int, ScoreArray] = 0, np.empty(0)

    def add(self, slot: int, value: AttributeValue) -> None:
        n_before = len(self._texts)
        code = self._texts.add(_as_text(value))
        if code == n_before:
            self._new_values.append(value)
        self._new_pairs.append((slot, code))

    def settle(self) -> None:
        """Let readers see what was added. Values first: a code never stands before its value."""
        new = self._new_values
        self._dates.extend(np.array([_seconds(value) for value in new], np.float64))
        self._numbers.extend(np.array([value if isinstance(value, float) else np.nan for value in new], np.float64))
        pairs = np.array(self._new_pairs, np.int32).reshape(-1, 2)
        self._codes.extend(pairs[:, 1])
        self._slots.extend(pairs[:, 0])
        self._new_values, self._new_pairs = [], []

    def pairs(self, n_slots: int) -> tuple[AnyArray, AnyArray]:
        """slots, codes: of the slots below n_slots. The writer may be ahead: slots first, so no code is missing."""
        slots = self._slots.view()
        n = len(slots) if not len(slots) or slots[-1] < n_slots else int(slots.searchsorted(np.int32(n_slots)))
        return slots[:n], self._codes.view()[:n]

    @property
    def numbers(self) -> AnyArray:
        return self._numbers.view()

    @property
    def dates(self) -> AnyArray:
        return self._dates.view()

    def text(self, code: int) -> str:
        """A value as people write it: 3, not 3.0."""
        text: str = self._texts[code]
        if not text.startswith(_NUMBER):
            return text
        return number_text(float(text[1:]))

    def first(self, codes: AnyArray, n: int) -> AnyArray:
        """Those of some codes whose values are the first n as texts, and few more."""
        return self._texts.first(codes, n)

    def codes_of(self, value: AttributeValue) -> Sequence[int]:
        """Of a number, or of a text in whatever case."""
        return self._texts.alike(_as_text(value))

    def alphabetical(self) -> ScoreArray:
        """(n_values,) the place of each text among all, in whatever case; inf for a number."""
        n, order = len(self.numbers), self._order
        if order[0] != n:
            values = [(text.casefold(), text, code) for code, text in enumerate(self._texts[:n])]
            texts = sorted(value for value in values if not value[1].startswith(_NUMBER))
            place = np.full(n, np.inf)
            place[[code for _, _, code in texts]] = np.arange(len(texts))
            self._order = order = n, place
        return order[1]

    def store(self) -> StoredAttribute:
        columns = self.numbers, self.dates, self._slots.view(), self._codes.view()
        return StoredAttribute(self._texts.store(), *columns)


class Attributes:
    """The writer's side."""

    def __init__(self, stored: Mapping[str, StoredAttribute] | None = None) -> None:
        self.by_name: dict[str, Attribute] = {name: Attribute(one) for name, one in (stored or {}).items()}

    def add(self, first_slot: int, documents: Sequence[Mapping[str, object]]) -> None:
        touched: dict[str, Attribute] = {}
        for slot, members in enumerate(documents, start=first_slot):
            for name, values in attributes_of(members):
                attribute = touched.get(name)
                if attribute is None:
                    attribute = touched[name] = self.by_name.get(name) or Attribute()
                for value in dict.fromkeys(values):
                    attribute.add(slot, value)
        for attribute in touched.values():
            attribute.settle()
        # Only now: a reader that finds it finds all of it.
        self.by_name.update(touched)

    def view(self, ids: IdsView, live: BoolArray) -> AttributesView:
        return AttributesView(self.by_name, ids, live)

    def store(self) -> dict[str, StoredAttribute]:
        return {name: one.store() for name, one in self.by_name.items()}


class AttributesView:
    """The reader's side, at one commit. ids: of its slots. live: (n_slots,)."""

    def __init__(self, by_name: Mapping[str, Attribute], ids: IdsView, live: BoolArray) -> None:
        self._by_name = by_name
        self._ids = ids
        self._live = live
        self._n_slots = len(live)

    def mask(self, given: Filter) -> BoolArray:
        """(n_slots,) which slots pass a filter, dead ones too. Raises InvalidInput for an unknown field."""
        match given:
            case Not(part=part):
                return ~self.mask(part)
            case AllOf(parts=parts):
                every: BoolArray = np.logical_and.reduce([self.mask(part) for part in parts])
                return every
            case AnyOf(parts=parts):
                some: BoolArray = np.logical_or.reduce([self.mask(part) for part in parts])
                return some
            case Is(field="id", values=values):
                mask = np.zeros(self._n_slots, np.bool_)
                mask[[slot for one in values if (slot := self._ids.slot(one, self._live)) is not None]] = True
                return mask
            case Is() | Range() | Exists():
                attribute = self._attribute(given.field, "filters")
                slots, codes = attribute.pairs(self._n_slots)
                mask = np.zeros(self._n_slots, np.bool_)
                kernels.mark(slots, codes, _passing(given, attribute, "filters"), mask)
                return mask

    def check(self, given: Filter, field: str) -> None:
        """Raise InvalidInput as `mask` does. field: what the error calls the filter."""
        for clause in clauses(given):
            if clause.field != "id":
                _passing(clause, self._attribute(clause.field, field), field)

    def facet(self, name: str, matching: BoolArray, max_values: int) -> Facet:
        """How many matching slots have each value, the most frequent first, then by value.

        matching: (n_slots,). Raises InvalidInput for an unknown field.
        """
        attribute = self._attribute(name, "facets")
        slots, codes = attribute.pairs(self._n_slots)
        numbers = attribute.numbers
        counts = np.zeros(len(numbers), np.int64)
        kernels.count(slots, codes, matching, counts)
        values, n_values = _most_frequent(counts, attribute, max_values)
        return Facet(values, n_values, _stats(numbers, counts))

    def sort_key(self, name: str, slots: AnyArray, descending: bool) -> ScoreArray:
        """(n,) ascending in the order wanted; slots without a value last. Of several values the one that comes first
        counts; numbers where any of the slots has one, else dates, else texts. slots: (n,). Raises InvalidInput for an
        unknown field."""
        attribute = self._attribute(name, "sort")
        for by_value in (attribute.numbers, attribute.dates):
            key = self._first_values(attribute, by_value, descending)[slots]
            if np.isfinite(key).any():
                return key
        return self._first_values(attribute, attribute.alphabetical(), descending)[slots]

    def _first_values(self, attribute: Attribute, by_value: ScoreArray, descending: bool) -> ScoreArray:
        """(n_slots,) the smallest value of each slot, the largest one negated where descending; inf without any."""
        key = np.full(self._n_slots, np.inf)
        if np.isfinite(by_value).any():
            slots, codes = attribute.pairs(self._n_slots)
            values = by_value[codes]
            kept = np.isfinite(values)
            np.minimum.at(key, slots[kept], -values[kept] if descending else values[kept])
        return key

    def groups(self, name: str, slots: AnyArray) -> AnyArray:
        """(n,) equal for slots of one group: of the same first value. A slot without a value is a group of its own.

        slots: (n,). Raises InvalidInput for an unknown field.
        """
        attribute = self._attribute(name, "distinct")
        group = -1 - np.arange(self._n_slots, dtype=np.int64)
        at, codes = attribute.pairs(self._n_slots)
        group[at[::-1]] = codes[::-1]
        return group[slots]

    def _attribute(self, name: str, field: str) -> Attribute:
        found = self._by_name.get(name)
        if found is not None:
            return found
        if not self._n_slots:
            return Attribute()
        raise unknown_attribute(name, list(self._by_name), field)


def _passing(clause: Is | Range | Exists, attribute: Attribute, field: str) -> BoolArray:
    """(n_values,) which values of an attribute pass. field: what errors call the filter. Raises InvalidInput for a
    range of what it has none of."""
    numbers = attribute.numbers
    match clause:
        case Exists():
            return np.ones(len(numbers), np.bool_)
        case Is(values=values):
            passing = np.zeros(len(numbers), np.bool_)
            for value in values:
                asked: list[AttributeValue | None] = [value, parse_number(value)]
                codes = [code for one in asked if one is not None for code in attribute.codes_of(one)]
                passing[[code for code in codes if code < len(numbers)]] = True
            return passing
        case Range(dates=dates):
            held = attribute.dates[: len(numbers)] if dates else numbers
            if len(held) and np.isnan(held).all():
                raise no_range_values(clause.field, field, dates=dates)
            # Whatever is no number compares as false.
            above = held >= clause.low if clause.low_included else held > clause.low
            below = held <= clause.high if clause.high_included else held < clause.high
            return above & below


def _stats(numbers: AnyArray, counts: AnyArray) -> FacetStats | None:
    """Of the numbers that were counted; None where there are none. numbers, counts: (n_values,)."""
    counted = np.flatnonzero((counts > 0) & ~np.isnan(numbers))
    if not len(counted):
        return None
    # In the order of the values, so that the sum does not depend on the order in which documents came.
    counted = counted[np.argsort(numbers[counted])]
    found, often = numbers[counted], counts[counted]
    total = float((found * often).sum())
    return FacetStats(float(found[0]), float(found[-1]), total / int(often.sum()), total)


def _most_frequent(counts: AnyArray, attribute: Attribute, n: int) -> tuple[list[FacetValue], int]:
    """The n most frequent values, equal ones by value, and how many values there are."""
    held = np.flatnonzero(counts)
    if n <= 0 or not len(held):
        return [], len(held)
    in_play = held
    if n < len(held):
        of_held = counts[held]
        least = -np.partition(-of_held, n - 1)[n - 1]
        more = held[of_held > least]
        in_play = np.concatenate([more, attribute.first(held[of_held == least], n - len(more))])
    found = [FacetValue(attribute.text(code), int(counts[code])) for code in in_play.tolist()]
    return sorted(found, key=lambda one: (-one.count, one.value))[:n], len(held)


def _as_text(value: AttributeValue) -> str:
    """How a value is told from others: 3 is another than "3"."""
    return value if isinstance(value, str) else f"{_NUMBER}{value!r}"


def _seconds(value: AttributeValue) -> float:
    at = epoch_seconds(value) if isinstance(value, str) else None
    return np.nan if at is None else at
