"""Attributes: the short values of documents, which can be filtered, counted, sorted and grouped by.

There is no schema: an attribute exists from the first document that has it. Its distinct values get *codes*, numbers in
the order in which the values were first seen. The values of documents are (slot, code) pairs in slot order, so a view
is a slice, and a filter tests each distinct value once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from searchsvc.engines.attributes import MAX_ATTRIBUTES, attributes_of
from searchsvc.engines.columnar.columns import Column
from searchsvc.engines.columnar.texts import StoredTexts, Texts
from searchsvc.engines.embedded.attributes_view import AttributesView
from searchsvc.engines.embedded.ids import IdsView
from searchsvc.engines.values import (
    AttributeValue,
    TextReadings,
    collation_key,
    is_number_text,
    normal,
    number_text,
    read_text,
    value_key,
)
from tuning.arrays import AnyArray, BoolArray, ScoreArray

# Numbers are stored among the texts, after a character that no text begins with.
_NUMBER: Final = "\0"
_NO_READINGS: Final = TextReadings(None, None, None)


class StoredAttribute(msgspec.Struct, frozen=True):
    """One attribute, or several one after another, as plain arrays.

    texts: the distinct values, by code
    numbers: (n_values,) each number, nan for a text
    amounts: (n_values,) each text as an amount, nan for what is none: see `searchsvc.engines.values`
    dates: (n_values,) each text as a date in seconds since 1970, nan for what is none
    truths: (n_values,) each text as 1 for yes, 0 for no, -1 for what is neither
    keys: (n_values,) the first code that has an equal value
    slots: (n,) slot of each pair
    codes: (n,) code of each pair
    """

    texts: StoredTexts
    numbers: AnyArray
    amounts: AnyArray
    dates: AnyArray
    truths: AnyArray
    keys: AnyArray
    slots: AnyArray
    codes: AnyArray

    @staticmethod
    def empty() -> StoredAttribute:
        numbers, codes = np.empty(0), np.empty(0, np.int32)
        truths = np.empty(0, np.int8)
        return StoredAttribute(StoredTexts.empty(), numbers, numbers, numbers, truths, codes, codes, codes)


class StoredAttributes(msgspec.Struct, frozen=True):
    """All attributes, joined: there may be thousands, most of them with few values.

    names: of the attributes
    joined: their arrays, one attribute after another
    bounds: (n_attributes + 1, 3) where each begins among the values, the pairs and the letters of `joined`
    """

    names: list[str]
    joined: StoredAttribute
    bounds: AnyArray

    @staticmethod
    def join(by_name: Mapping[str, StoredAttribute]) -> StoredAttributes:
        attributes = [StoredAttribute.empty(), *by_name.values()]
        sizes = [
            [len(attribute.numbers), len(attribute.slots), len(attribute.texts.letters)] for attribute in attributes
        ]
        joined = StoredAttribute(
            texts=StoredTexts(
                letters=np.concatenate([attribute.texts.letters for attribute in attributes]),
                ends=np.concatenate([attribute.texts.ends for attribute in attributes]),
                hashes=np.concatenate([attribute.texts.hashes for attribute in attributes]),
            ),
            numbers=np.concatenate([attribute.numbers for attribute in attributes]),
            amounts=np.concatenate([attribute.amounts for attribute in attributes]),
            dates=np.concatenate([attribute.dates for attribute in attributes]),
            truths=np.concatenate([attribute.truths for attribute in attributes]),
            keys=np.concatenate([attribute.keys for attribute in attributes]),
            slots=np.concatenate([attribute.slots for attribute in attributes]),
            codes=np.concatenate([attribute.codes for attribute in attributes]),
        )
        return StoredAttributes(list(by_name), joined, np.cumsum(np.array(sizes, np.int64), axis=0))

    def split(self) -> dict[str, StoredAttribute]:
        """Return the attributes by name: slices of the joined arrays."""
        joined, bounds, attributes = self.joined, self.bounds.tolist(), {}
        for name, begin, end in zip(self.names, bounds[:-1], bounds[1:], strict=True):
            values, pairs, letters = (slice(b, e) for b, e in zip(begin, end, strict=True))
            attributes[name] = StoredAttribute(
                StoredTexts(joined.texts.letters[letters], joined.texts.ends[values], joined.texts.hashes[values]),
                joined.numbers[values],
                joined.amounts[values],
                joined.dates[values],
                joined.truths[values],
                joined.keys[values],
                joined.slots[pairs],
                joined.codes[pairs],
            )
        return attributes


class Attribute:
    """One attribute, for one writer and any number of readers. See `StoredAttribute` for its columns.

    stored: the values of a snapshot on disk
    """

    def __init__(self, stored: StoredAttribute | None = None) -> None:
        stored = stored or StoredAttribute.empty()
        self._texts = Texts(stored.texts)
        self._numbers = Column(np.float64, rows=stored.numbers)
        self._amounts = Column(np.float64, rows=stored.amounts)
        self._dates = Column(np.float64, rows=stored.dates)
        self._truths = Column(np.int8, rows=stored.truths)
        self._keys = Column(np.int32, rows=stored.keys)
        self._slots = Column(np.int32, rows=stored.slots)
        self._codes = Column(np.int32, rows=stored.codes)
        self._new_values: list[AttributeValue] = []
        self._new_pairs: list[tuple[int, int]] = []
        self._new_keys: list[int] = []
        # The ranks of that many values: see `text_ranks`.
        self._ranks: tuple[int, ScoreArray] = 0, np.empty(0)

    def add(self, slot: int, value: AttributeValue) -> None:
        """Give a slot a value. Slots ascend. Readers see it after `commit`."""
        n_before = len(self._texts)
        code = self._texts.add(_as_text(value))
        if code == n_before:
            self._new_values.append(value)
            self._new_keys.append(min(self.codes_of(value)))
        self._new_pairs.append((slot, code))

    def commit(self) -> None:
        """Extend the columns by what was added. Values come before the pairs that refer to them."""
        if self._new_values:
            self._commit_values()
        pairs = np.array(self._new_pairs, np.int32).reshape(-1, 2)
        self._codes.extend(pairs[:, 1])
        self._slots.extend(pairs[:, 0])
        self._new_pairs = []

    def _commit_values(self) -> None:
        readings = [read_text(value) if isinstance(value, str) else _NO_READINGS for value in self._new_values]
        self._keys.extend(np.array(self._new_keys, np.int32))
        self._amounts.extend(np.array([_or_nan(reading.amount) for reading in readings]))
        self._dates.extend(np.array([_or_nan(reading.moment) for reading in readings]))
        self._truths.extend(np.array([-1 if r.truth is None else int(r.truth) for r in readings], np.int8))
        numbers = [np.nan if isinstance(value, str) else float(value) for value in self._new_values]
        self._numbers.extend(np.array(numbers, np.float64))
        self._new_values, self._new_keys = [], []

    def pairs(self, n_slots: int) -> tuple[AnyArray, AnyArray]:
        """Return the slots and codes of the pairs of the first n_slots slots."""
        # Read the slots first: the writer may be ahead, and extends the codes first.
        slots = self._slots.view()
        n = len(slots) if not len(slots) or slots[-1] < n_slots else int(slots.searchsorted(np.int32(n_slots)))
        return slots[:n], self._codes.view()[:n]

    @property
    def numbers(self) -> AnyArray:
        return self._numbers.view()

    @property
    def amounts(self) -> AnyArray:
        return self._amounts.view()

    @property
    def dates(self) -> AnyArray:
        return self._dates.view()

    @property
    def truths(self) -> AnyArray:
        return self._truths.view()

    @property
    def keys(self) -> AnyArray:
        return self._keys.view()

    def text(self, code: int) -> str:
        """Return a value as people write it: 3, not 3.0."""
        text: str = self._texts[code]
        return text.removeprefix(_NUMBER)

    def first(self, codes: AnyArray, n: int) -> AnyArray:
        """Return the codes of the n values whose keys are first, and a few more."""
        return self._texts.first(codes, n)

    def codes_of(self, value: AttributeValue) -> Sequence[int]:
        """Return the codes of the values that equal a value."""
        if not isinstance(value, str):
            return [*self._same_text(_as_text(value)), *self._same_text(number_text(value))]
        text = normal(value)
        return [*self._same_text(text), *(self._same_text(_NUMBER + text) if is_number_text(text) else ())]

    def text_ranks(self) -> ScoreArray:
        """Return (n_values,) the position of each text among all in order, one for equal texts; inf for a number."""
        n, ranks = len(self.numbers), self._ranks
        if ranks[0] != n:
            keys = self.keys[:n].tolist()
            texts = [(collation_key(text), keys[c], c) for c, text in enumerate(self._texts[:n]) if text[:1] != _NUMBER]
            by_code = np.full(n, np.inf)
            first: dict[int, tuple[bytes, str]] = {}
            for order, key, _ in texts:
                first.setdefault(key, (order, value_key(self._texts[key])))
            position = {key: i for i, (key, _) in enumerate(sorted(first.items(), key=lambda item: item[1]))}
            by_code[[code for _, _, code in texts]] = [position[key] for _, key, _ in texts]
            self._ranks = ranks = n, by_code
        return ranks[1]

    def store(self) -> StoredAttribute:
        return StoredAttribute(
            texts=self._texts.store(),
            numbers=self.numbers,
            amounts=self.amounts,
            dates=self.dates,
            truths=self.truths,
            keys=self.keys,
            slots=self._slots.view(),
            codes=self._codes.view(),
        )

    def _same_text(self, text: str) -> Sequence[int]:
        return self._texts.numbers_ignoring_case(text)


class Attributes:
    """All attributes of an index: the writer's side.

    stored: the attributes of a snapshot on disk
    """

    def __init__(self, stored: StoredAttributes | None = None) -> None:
        by_name = stored.split() if stored is not None else {}
        self._by_name = {name: Attribute(attribute) for name, attribute in by_name.items()}

    def add(self, first_slot: int, documents: Sequence[Mapping[str, object]]) -> None:
        """Add the values of documents in consecutive slots, and commit them."""
        changed: dict[str, Attribute] = {}
        n_new = 0
        for slot, members in enumerate(documents, start=first_slot):
            for name, values in attributes_of(members):
                attribute = changed.get(name) or self._by_name.get(name)
                if attribute is None and len(self._by_name) + n_new < MAX_ATTRIBUTES:
                    attribute, n_new = Attribute(), n_new + 1
                if attribute is None:
                    continue
                changed[name] = attribute
                for value in dict.fromkeys(values):
                    attribute.add(slot, value)
        for attribute in changed.values():
            attribute.commit()
        # Last: a reader that finds an attribute finds all its values.
        self._by_name.update(changed)

    def view(self, ids: IdsView, live: BoolArray) -> AttributesView:
        """Return what searches read. live: (n_slots,)."""
        return AttributesView(self._by_name, ids, live)

    def store(self) -> StoredAttributes:
        """Return all attributes as plain arrays."""
        return StoredAttributes.join({name: attribute.store() for name, attribute in self._by_name.items()})


def _as_text(value: AttributeValue) -> str:
    """Return a text that is different for different values: 3 is not "3"."""
    return value if isinstance(value, str) else _NUMBER + number_text(value)


def _or_nan(number: float | None) -> float:
    return np.nan if number is None else number
