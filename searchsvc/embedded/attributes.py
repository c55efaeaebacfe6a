"""What documents can be filtered, counted, sorted and grouped by: every short value they have, in columns.

No schema: a member is there from the first document that has it. Texts, true and false are numbered per member; numbers
and dates (as seconds since 1970) stand beside them. A column has one entry a value, in slot order, so a view is a cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from events.errors import InvalidInput
from searchsvc.arrays import AnyArray, BoolArray, ScoreArray
from searchsvc.embedded.columns import Column
from searchsvc.engine import Facet, FacetStats, FacetValue
from searchsvc.filters import AllOf, AnyOf, Filter, Has, Is, Not, Within, seconds

# Longer texts are prose: to be searched, not to be chosen from a list.
MAX_VALUE_CHARS: Final = 200
MAX_NESTING: Final = 3


class _Pairs:
    """(slot, value) pairs in slot order."""

    def __init__(self, dtype: type[np.generic], slots: AnyArray | None = None, values: AnyArray | None = None) -> None:
        self.slots = Column(np.int32, rows=slots)
        self.values = Column(dtype, rows=values)
        self._new: list[tuple[int, object]] = []

    def add(self, slot: int, value: object) -> None:
        self._new.append((slot, value))

    def settle(self) -> None:
        if self._new:
            self.values.extend(np.array([value for _, value in self._new], self.values.dtype))
            self.slots.extend(np.array([slot for slot, _ in self._new], np.int32))
            self._new.clear()

    def view(self, n_slots: int) -> tuple[AnyArray, AnyArray]:
        """slots, values: of the slots below n_slots. The writer may be ahead: values first, so none is missing."""
        slots = self.slots.view()
        n = int(slots.searchsorted(np.int32(n_slots)))
        return slots[:n], self.values.view()[:n]


class Attribute:
    """One member of the documents. texts: number -> value, as it was first written; folded: without case -> numbers."""

    def __init__(self, stored: StoredAttribute | None = None) -> None:
        self.texts: list[str] = list(stored.texts) if stored else []
        self.codes = _Pairs(np.int32, stored.code_slots, stored.codes) if stored else _Pairs(np.int32)
        self.numbers = _Pairs(np.float64, stored.number_slots, stored.numbers) if stored else _Pairs(np.float64)
        self.dates = _Pairs(np.float64, stored.date_slots, stored.dates) if stored else _Pairs(np.float64)
        self._code_of = {text: code for code, text in enumerate(self.texts)}
        self.folded: dict[str, list[int]] = {}
        for code, text in enumerate(self.texts):
            self.folded.setdefault(text.casefold(), []).append(code)

    def add_text(self, slot: int, text: str) -> None:
        code = self._code_of.get(text)
        if code is None:
            code = self._code_of[text] = len(self.texts)
            self.texts.append(text)
            self.folded.setdefault(text.casefold(), []).append(code)
        self.codes.add(slot, code)

    def settle(self) -> None:
        for pairs in (self.codes, self.numbers, self.dates):
            pairs.settle()


class StoredAttribute(msgspec.Struct, frozen=True):
    """One attribute as plain arrays, for a snapshot on disk."""

    texts: list[str]
    code_slots: AnyArray
    codes: AnyArray
    number_slots: AnyArray
    numbers: AnyArray
    date_slots: AnyArray
    dates: AnyArray


BLANK: Final = StoredAttribute(
    [],
    np.empty(0, np.int32),
    np.empty(0, np.int32),
    np.empty(0, np.int32),
    np.empty(0, np.float64),
    np.empty(0, np.int32),
    np.empty(0, np.float64),
)


class Attributes:
    """The writer's side."""

    def __init__(self, stored: Mapping[str, StoredAttribute] | None = None) -> None:
        self.by_name: dict[str, Attribute] = {name: Attribute(one) for name, one in (stored or {}).items()}

    def add(self, first_slot: int, documents: Sequence[Mapping[str, object]]) -> None:
        touched: set[str] = set()
        for slot, members in enumerate(documents, start=first_slot):
            for name, values in _values(members):
                attribute = self.by_name.get(name)
                if attribute is None:
                    attribute = self.by_name[name] = Attribute()
                touched.add(name)
                for value in dict.fromkeys(values):
                    if isinstance(value, str):
                        attribute.add_text(slot, value)
                        if (at := seconds(value)) is not None:
                            attribute.dates.add(slot, at)
                    else:
                        attribute.numbers.add(slot, value)
        for name in touched:
            self.by_name[name].settle()

    def view(self, n_slots: int) -> AttributesView:
        return AttributesView(self.by_name, n_slots)

    def store(self) -> dict[str, StoredAttribute]:
        return {
            name: StoredAttribute(
                one.texts,
                one.codes.slots.view(),
                one.codes.values.view(),
                one.numbers.slots.view(),
                one.numbers.values.view(),
                one.dates.slots.view(),
                one.dates.values.view(),
            )
            for name, one in self.by_name.items()
        }


class AttributesView:
    """The reader's side: the attributes of the slots below n_slots."""

    def __init__(self, by_name: Mapping[str, Attribute], n_slots: int) -> None:
        self._by_name = by_name
        self._n_slots = n_slots

    def mask(self, given: Filter) -> BoolArray:
        """(n_slots,) which slots pass a filter, dead ones too. Raises InvalidInput for an unknown field."""
        match given:
            case Not(of=of):
                return ~self.mask(of)
            case AllOf(of=parts):
                every: BoolArray = np.logical_and.reduce([self.mask(part) for part in parts])
                return every
            case AnyOf(of=parts):
                some: BoolArray = np.logical_or.reduce([self.mask(part) for part in parts])
                return some
            case Is() | Within() | Has():
                mask = np.zeros(self._n_slots, np.bool_)
                for slots in self._slots_of(given, self._attribute(given.field, "filters")):
                    mask[slots] = True
                return mask

    def facet(self, name: str, matching: BoolArray, max_values: int) -> Facet:
        """How many matching slots have each value, the most frequent first, then by value.

        matching: (n_slots,). Raises InvalidInput for an unknown field.
        """
        attribute = self._attribute(name, "facets")
        values: list[FacetValue] = []
        slots, codes = attribute.codes.view(self._n_slots)
        n_values = 0
        if len(slots):
            counts = np.bincount(codes[matching[slots]], minlength=len(attribute.texts))
            values, n_values = _most_frequent(counts, attribute.texts, max_values)
        slots, numbers = attribute.numbers.view(self._n_slots)
        stats = None
        if len(slots):
            found = numbers[matching[slots]]
            if len(found):
                distinct, counts = np.unique(found, return_counts=True)
                stats = FacetStats(float(distinct[0]), float(distinct[-1]), float(found.mean()), float(found.sum()))
                texts = _NumberTexts(distinct)
                more, n_more = _most_frequent(counts, texts, max_values)
                values = sorted([*values, *more], key=lambda one: (-one.count, one.value))[:max_values]
                n_values += n_more
        return Facet(values, n_values, stats)

    def sort_key(self, name: str, slots: AnyArray, descending: bool) -> ScoreArray:
        """(n,) ascending in the order wanted; slots without a value last. Of several values the one that comes first
        counts; numbers where any of the slots has one, else dates, else texts. slots: (n,). Raises InvalidInput for an
        unknown field."""
        attribute = self._attribute(name, "sort")
        for pairs in (attribute.numbers, attribute.dates):
            at, values = pairs.view(self._n_slots)
            key = self._first_values(at, values, descending)[slots]
            if np.isfinite(key).any():
                return key
        at, codes = attribute.codes.view(self._n_slots)
        texts = attribute.texts[: int(codes.max(initial=-1)) + 1]
        place = np.empty(len(texts), np.float64)
        in_order = sorted(range(len(texts)), key=lambda code: (texts[code].casefold(), texts[code]))
        place[in_order] = np.arange(len(texts))
        return self._first_values(at, place[codes], descending)[slots]

    def _first_values(self, slots: AnyArray, values: AnyArray, descending: bool) -> ScoreArray:
        """(n_slots,) the smallest value of each slot, the largest one negated where descending; inf without any."""
        key = np.full(self._n_slots, np.inf)
        np.minimum.at(key, slots, -values if descending else values)
        return key

    def groups(self, name: str, slots: AnyArray) -> AnyArray:
        """(n,) equal for slots of one group: of the same first value. A slot without a value is a group of its own.

        slots: (n,). Raises InvalidInput for an unknown field.
        """
        attribute = self._attribute(name, "distinct")
        group = -1 - np.arange(self._n_slots, dtype=np.int64)
        at, values = attribute.numbers.view(self._n_slots)
        if len(at):
            _, values = np.unique(values, return_inverse=True)
            group[at[::-1]] = values[::-1] + len(attribute.texts)
        at, values = attribute.codes.view(self._n_slots)
        group[at[::-1]] = values[::-1]
        return group[slots]

    def _slots_of(self, clause: Is | Within | Has, attribute: Attribute) -> Iterator[AnyArray]:
        code_slots, codes = attribute.codes.view(self._n_slots)
        number_slots, numbers = attribute.numbers.view(self._n_slots)
        match clause:
            case Has():
                yield code_slots
                yield number_slots
            case Is(values=values):
                wanted = [code for value in values for code in attribute.folded.get(value.casefold(), ())]
                if wanted:
                    same = codes == wanted[0] if len(wanted) == 1 else np.isin(codes, wanted)
                    yield code_slots[same]
                asked = [number for value in values if (number := _number(value)) is not None]
                if asked and len(numbers):
                    yield number_slots[np.isin(numbers, asked)]
            case Within(dates=dates):
                slots, held = attribute.dates.view(self._n_slots) if dates else (number_slots, numbers)
                if not len(slots) and (len(code_slots) or len(number_slots)):
                    kind = "dates" if dates else "numbers"
                    raise InvalidInput(
                        f"{clause.field} has no {kind}, so it has no range of them",
                        field="filters",
                        value=clause.field,
                        limit=f"a member of {kind}",
                    )
                above = held >= clause.low if clause.low_included else held > clause.low
                below = held <= clause.high if clause.high_included else held < clause.high
                yield slots[above & below]

    def _attribute(self, name: str, field: str) -> Attribute:
        found = self._by_name.get(name)
        if found is not None:
            return found
        if not self._n_slots:
            return Attribute()
        from difflib import get_close_matches

        near = get_close_matches(name, list(self._by_name), 3) or sorted(self._by_name)[:10]
        limit = f"a member that documents have, such as {', '.join(near)}"
        message = f"{field} names {name[:80]!r}, which no document has; allowed: {limit}"
        raise InvalidInput(message, field=field, value=name, limit=limit)


class _NumberTexts(Sequence[str]):
    """Numbers as people write them: 3, not 3.0."""

    def __init__(self, numbers: AnyArray) -> None:
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, at: int) -> str:  # type: ignore[override]  # no slices
        number = float(self._numbers[at])
        return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)


def _most_frequent(counts: AnyArray, texts: Sequence[str], n: int) -> tuple[list[FacetValue], int]:
    """The n most frequent values, equal ones by value, and how many values there are."""
    held = np.flatnonzero(counts)
    if n <= 0 or not len(held):
        return [], len(held)
    of_held = counts[held]
    in_play = held[of_held >= -np.partition(-of_held, n - 1)[n - 1]] if n < len(held) else held
    found = [FacetValue(texts[code], int(counts[code])) for code in in_play.tolist()]
    return sorted(found, key=lambda one: (-one.count, one.value))[:n], len(held)


def _values(members: Mapping[str, object], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, list[str | float]]]:
    """Each member that has short values, with them; `a.b` for a member of a member."""
    for name, value in members.items():
        if name == "id" and not prefix:
            continue
        if isinstance(value, Mapping):
            if depth < MAX_NESTING:
                yield from _values(value, f"{prefix}{name}.", depth + 1)
            continue
        values = [one for item in (value if isinstance(value, list) else [value]) if (one := _value(item)) is not None]
        if values:
            yield prefix + name, values


def _value(value: object) -> str | float | None:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return float(value) if abs(value) < 1e300 else None
        case str():
            return value if 0 < len(value) <= MAX_VALUE_CHARS else None
        case _:
            return None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
