"""Filter, count, sort and group the documents of one snapshot by their attributes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from searchsvc.engines.attributes import check_filter
from searchsvc.engines.embedded.attribute_reading import AttributeReading, AttributeValues
from searchsvc.engines.embedded.ids import IdsView
from searchsvc.engines.embedded.kernels.attributes import mark_slots
from searchsvc.engines.filters import AllOf, AnyOf, Comparison, Exists, Filter, Is, Not, Range
from searchsvc.engines.retrieval import Facet
from tuning.arrays import AnyArray, BoolArray, ScoreArray


class AttributesView:
    """The reader's side: the attributes of one snapshot.

    live: (n_slots,)
    """

    def __init__(self, by_name: Mapping[str, AttributeValues], ids: IdsView, live: BoolArray) -> None:
        self._by_name = by_name
        self._ids = ids
        self._live = live
        self._n_slots = len(live)
        self._readings: dict[str, AttributeReading] = {}

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
                reading = self._read(condition.field)
                mask = np.zeros(self._n_slots, np.bool_)
                if reading is not None:
                    mark_slots(reading.slots, reading.codes, reading.passing(condition), mask)
                return mask

    def check(self, condition: Filter, field: str) -> None:
        """See `searchsvc.engines.protocol.EngineSnapshot.check_filter`."""
        if self._live.any():
            # The writer adds names meanwhile, so they are copied.
            check_filter(condition, field, lambda: list(self._by_name), self.holds)

    @property
    def n_attributes(self) -> int:
        return len(self._by_name)

    def holds(self, clause: Comparison) -> bool:
        """See `searchsvc.engines.protocol.EngineSnapshot.holds`."""
        reading = self._read(clause.field)
        if reading is None or not len(reading.live_codes):
            return False
        if not isinstance(clause, Range):
            return True
        values = reading.dates if clause.dates else reading.numbers
        return bool(np.isfinite(values[reading.live_codes]).any())

    def n_values(self, name: str) -> int:
        """Return how many values slots have of an attribute, each slot's apart."""
        reading = self._read(name)
        return len(reading.slots) if reading is not None else 0

    def facet(self, name: str, matching: BoolArray, max_values: int, query: str = "") -> Facet:
        """Count how many matching slots have each value of an attribute.

        matching: (n_slots,)
        query: count only values that have a word which begins with it
        """
        reading = self._read(name)
        return reading.facet(matching, max_values, query) if reading is not None else Facet([], 0, None)

    def sort_key(self, name: str, slots: AnyArray, descending: bool) -> ScoreArray:
        """Return (n,) a key by which slots sort ascending; slots without a value come last.

        Numbers come before texts. Of several values the first in the order counts.

        slots: (n,)
        """
        key = np.full(self._n_slots, np.inf)
        reading = self._read(name)
        if reading is not None:
            of_pairs = reading.order[reading.codes]
            finite = np.isfinite(of_pairs)
            np.minimum.at(key, reading.slots[finite], -of_pairs[finite] if descending else of_pairs[finite])
        return key[slots]

    def groups(self, name: str, slots: AnyArray) -> AnyArray:
        """Return (n,) the first value of each slot as a number; each slot without a value has a number of its own.

        slots: (n,)
        """
        reading = self._read(name)
        return reading.groups()[slots] if reading is not None else -1 - slots

    def _read(self, name: str) -> AttributeReading | None:
        reading = self._readings.get(name)
        if reading is None and (values := self._by_name.get(name)) is not None:
            reading = self._readings[name] = AttributeReading(values, self._live)
        return reading
