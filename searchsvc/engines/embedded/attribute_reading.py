"""One attribute as a snapshot reads it: what its values are equal to, and how they compare."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Final, Protocol

import numpy as np

from searchsvc.engines.embedded.kernels.attributes import count_keys, count_values
from searchsvc.engines.filters import Exists, Is, Range
from searchsvc.engines.retrieval import Facet, FacetStats, FacetValue, most_frequent_first
from searchsvc.engines.values import (
    LARGEST_EXACT,
    AttributeValue,
    Reading,
    beginnings_of,
    equal_keys,
    has_words_beginning_with,
    parse_number,
)
from tuning.arrays import AnyArray, BoolArray, IntArray, ScoreArray

# Of the values that are counted, so many are looked through for words: the most frequent ones.
MAX_LOOKED_THROUGH: Final = 20_000


class AttributeValues(Protocol):
    """What is read of one attribute: see `attributes.Attribute`. The writer may be ahead."""

    @property
    def numbers(self) -> AnyArray: ...
    @property
    def amounts(self) -> AnyArray: ...
    @property
    def dates(self) -> AnyArray: ...
    @property
    def truths(self) -> AnyArray: ...
    @property
    def keys(self) -> AnyArray: ...
    def pairs(self, n_slots: int) -> tuple[AnyArray, AnyArray]: ...
    def text(self, code: int) -> str: ...
    def first(self, codes: AnyArray, n: int) -> AnyArray: ...
    def codes_of(self, value: AttributeValue) -> Sequence[int]: ...
    def text_ranks(self) -> ScoreArray: ...


class AttributeReading:
    """The values of one attribute in one snapshot. Arrays of n_values are by code.

    live: (n_slots,) texts that only other slots have do not decide how texts are read
    """

    def __init__(self, values: AttributeValues, live: BoolArray) -> None:
        self._values = values
        self._live = live
        self.slots, self.codes = values.pairs(len(live))
        # Values come before the pairs that refer to them, so this is enough for all pairs.
        self._n_values = len(values.numbers)

    @cached_property
    def live_codes(self) -> IntArray:
        """The codes of the pairs of live slots."""
        codes: IntArray = self.codes[self._live[self.slots]]
        return codes

    @cached_property
    def numbers(self) -> ScoreArray:
        """(n_values,) each value as a number, nan if it is none."""
        numbers = self._own_numbers
        amounts = self._values.amounts[: self._n_values]
        return np.where(np.isnan(numbers), amounts, numbers) if self._reading.amounts else numbers

    @cached_property
    def dates(self) -> ScoreArray:
        """(n_values,) each value as a date in seconds since 1970, nan if it is none, or not every text is one."""
        dates: ScoreArray = self._values.dates[: self._n_values]
        return dates if "no date" not in self._kinds else np.full(self._n_values, np.nan)

    @cached_property
    def order(self) -> ScoreArray:
        """(n_values,) numbers in the order of the values: numbers before dates or texts, no before yes."""
        if self._reading.truths:
            truths: AnyArray = self._values.truths[: self._n_values]
            return np.where(truths < 0, np.inf, truths.astype(np.float64))
        numbers, is_number = self.numbers, ~np.isnan(self.numbers)
        if is_number.all() and not len(self._large):
            return numbers
        if not is_number.any() and self._reading.dates:
            return self.dates
        rank = self._number_ranks(np.flatnonzero(is_number))
        others = self.dates if self._reading.dates else self._values.text_ranks()[: self._n_values]
        is_other = ~is_number & np.isfinite(others)
        _, ranks = np.unique(others[is_other], return_inverse=True)
        order = np.full(self._n_values, np.inf)
        order[is_number] = rank
        order[is_other] = ranks + np.count_nonzero(is_number)
        return order

    def passing(self, clause: Is | Range | Exists) -> BoolArray:
        """Return (n_values,) which values pass a comparison."""
        match clause:
            case Exists():
                return np.ones(self._n_values, np.bool_)
            case Is(values=values):
                passing = np.zeros(self._n_values, np.bool_)
                for value in values:
                    passing |= self._equal(value)
                return passing
            case Range(dates=True):
                return _in_range(self.dates, clause)
            case Range():
                within = _in_range(self.numbers, clause)
                for code in self._large:
                    within[code] = _contains(clause, self._exact(code))
                return within

    def facet(self, matching: BoolArray, n: int, query: str = "") -> Facet:
        """Count equal values of matching slots together, each as most of the slots write it.

        matching: (n_slots,)
        n: how many of the most frequent values to list
        query: count only values that have a word which begins with it
        """
        counts = np.zeros(self._n_values, np.int64)
        count_values(self.slots, self.codes, matching, counts)
        spelled = np.flatnonzero(counts)
        beginnings = beginnings_of(query)
        if beginnings:
            spelled = _most_frequent(spelled, counts, MAX_LOOKED_THROUGH)
            has_word = [has_words_beginning_with(self._values.text(code), beginnings) for code in spelled.tolist()]
            spelled = spelled[np.array(has_word, np.bool_)]
        stats = None if beginnings else _stats(self.numbers, counts)
        keys = self._equal_values
        if (keys[spelled] != spelled).any():
            of_keys = np.zeros(self._n_values, np.int64)
            last = np.full(self._n_values, -1, np.int32)
            count_keys(self.slots, self.codes, keys, matching, of_keys, last)
            spelled = self._usual_spellings(spelled, counts)
            counts = of_keys[keys]
        candidates = spelled
        if 0 < n < len(spelled):
            positive = counts[spelled]
            least = -np.partition(-positive, n - 1)[n - 1]
            more = spelled[positive > least]
            candidates = np.concatenate([more, self._values.first(spelled[positive == least], n - len(more))])
        elif n <= 0:
            candidates = spelled[:0]
        values = [FacetValue(self._values.text(code), int(counts[code])) for code in candidates.tolist()]
        return Facet(most_frequent_first(values)[:n], len(spelled), stats)

    def groups(self) -> IntArray:
        """Return (n_slots,) the first value of each slot as a number; each slot without one has a number of its own."""
        groups = -1 - np.arange(len(self._live), dtype=np.int64)
        # Backwards, so that the first value of a slot is written last.
        groups[self.slots[::-1]] = self._equal_values[self.codes[::-1]]
        return groups

    @cached_property
    def _own_numbers(self) -> ScoreArray:
        numbers: ScoreArray = self._values.numbers[: self._n_values]
        return numbers

    @cached_property
    def _reading(self) -> Reading:
        return Reading.of_kinds(self._kinds)

    @cached_property
    def _kinds(self) -> set[str]:
        """What decides how texts are read: see `searchsvc.engines.values.kinds_of`."""
        is_text = np.isnan(self._own_numbers)
        values = self._values
        readable = (
            ~np.isnan(values.amounts[: self._n_values]),
            ~np.isnan(values.dates[: self._n_values]),
            values.truths[: self._n_values] >= 0,
        )
        kinds = {"text"} if is_text.all() or self._has(is_text) else set()
        kinds |= {"number"} if self._has(~is_text) else set()
        for kind, of_kind in zip(("no amount", "no date", "no truth"), readable, strict=True):
            # Without a readable text it does not matter which unreadable ones are in use.
            if not of_kind.any() or self._has(is_text & ~of_kind):
                kinds.add(kind)
        return kinds

    def _has(self, values: BoolArray) -> bool:
        """Whether any live slot has any of some values. values: (n_values,)"""
        return bool(values.any()) and bool((values & self._in_use).any())

    @cached_property
    def _in_use(self) -> BoolArray:
        """(n_values,) which values live slots have."""
        in_use = np.zeros(self._n_values, np.bool_)
        in_use[self.codes[self._live[self.slots]]] = True
        return in_use

    @cached_property
    def _equal_values(self) -> AnyArray:
        """(n_values,) one code for all values that are equal."""
        keys: AnyArray = self._values.keys[: self._n_values]
        if self._reading.truths:
            truths = self._values.truths[: self._n_values]
            keys = keys.copy()
            for truth in (0, 1):
                codes = np.flatnonzero(truths == truth)
                keys[codes] = codes[:1]
        return keys

    @cached_property
    def _large(self) -> list[int]:
        """Codes of the numbers that floats may not tell apart."""
        large: list[int] = np.flatnonzero(np.abs(self._own_numbers) >= LARGEST_EXACT).tolist()
        return large

    def _exact(self, code: int) -> int | float:
        number = parse_number(self._values.text(code))
        return number if number is not None else float(self._own_numbers[code])

    def _number_ranks(self, codes: AnyArray) -> AnyArray:
        """Return (n,) the positions of some numbers among them in order, equal ones at the same."""
        _, ranks = np.unique(self.numbers[codes], return_inverse=True)
        if not len(self._large):
            return ranks
        exact = {code: self._exact(code) for code in self._large}
        values = [exact.get(code, self.numbers[code]) for code in codes.tolist()]
        position = {value: i for i, value in enumerate(sorted(set(values)))}
        return np.array([position[value] for value in values])

    def _equal(self, value: str) -> BoolArray:
        """Return (n_values,) which values equal what a filter names: see `searchsvc.engines.values.equal_keys`."""
        codes = [code for key in equal_keys(value, self._kinds) for code in self._values.codes_of(key)]
        equal = np.zeros(self._n_values, np.bool_)
        equal[[code for code in codes if code < self._n_values]] = True
        return equal

    def _usual_spellings(self, spelled: AnyArray, counts: AnyArray) -> AnyArray:
        """Return of equal values the code of the one that most slots have; of equally frequent ones the first text.

        spelled: (n,) codes that are counted
        counts: (n_values,)
        """
        keys = self._equal_values[spelled]
        several = np.bincount(keys)[keys] > 1
        by_key: dict[int, list[int]] = {}
        for code, key in zip(spelled[several].tolist(), keys[several].tolist(), strict=True):
            by_key.setdefault(key, []).append(code)
        usual = [min(codes, key=lambda c: (-counts[c], self._values.text(c))) for codes in by_key.values()]
        return np.concatenate([spelled[~several], np.array(usual, spelled.dtype)])


def _stats(numbers: ScoreArray, counts: AnyArray) -> FacetStats | None:
    """Return statistics of the counted numbers, or None if there are none.

    numbers: (n_values,) each value as a number, nan if it is none
    counts: (n_values,) matching documents with each value
    """
    counted = np.flatnonzero((counts > 0) & ~np.isnan(numbers))
    if not len(counted):
        return None
    values, weights = numbers[counted], counts[counted]
    total = float((values * weights).sum())
    return FacetStats.from_totals(float(values.min()), float(values.max()), total, int(weights.sum()))


def _in_range(compared: ScoreArray, limits: Range) -> BoolArray:
    # nan compares as false.
    above = compared >= limits.low if limits.low_included else compared > limits.low
    below = compared <= limits.high if limits.high_included else compared < limits.high
    within: BoolArray = above & below
    return within


def _contains(limits: Range, number: int | float) -> bool:
    above = number >= limits.low if limits.low_included else number > limits.low
    below = number <= limits.high if limits.high_included else number < limits.high
    return above and below


def _most_frequent(codes: AnyArray, counts: AnyArray, n: int) -> AnyArray:
    """Return the n codes with the largest counts, in the order given; all if there are not more."""
    if len(codes) <= n:
        return codes
    chosen: AnyArray = np.sort(np.argsort(-counts[codes], kind="stable")[:n])
    return codes[chosen]
