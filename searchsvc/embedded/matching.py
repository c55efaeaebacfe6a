"""Which documents match a query, and which of them best.

A document matches when it holds every term that is not a stop word; terms that no document holds are left out. Where
that would not fill a first page, any term is enough. All that match are known, not only the best, because totals,
facets and sorting are over all of them. Scores are BM25 per field times the field's boost, as in `forward`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from searchsvc.arrays import AnyArray, BoolArray, ScoreArray
from searchsvc.embedded import kernels
from searchsvc.embedded.forward import K1, B, ForwardView, QueryStatistics
from searchsvc.embedded.lexicon import Meaning
from searchsvc.embedded.postings import Entries, PostingsView, joined
from searchsvc.query import AskedOperator, Operator, Query

# Where fewer documents than a first page hold all terms, those that hold some follow them.
FEW: Final = 10


class Matched(msgspec.Struct, frozen=True):
    """mask: (n_slots,). slots: (n,) ascending, all that match. operator: what a document had to hold."""

    mask: BoolArray
    slots: AnyArray
    operator: Operator


class Matching:
    """A query against one snapshot's postings: each term is looked up once, whatever is asked of it after that.

    statistics: of the query. n_slots: of the snapshot. left_out: places of the required terms that no document holds.
    """

    def __init__(
        self, postings: PostingsView, forward: ForwardView, query: Query, statistics: QueryStatistics, n_slots: int
    ) -> None:
        self._statistics = statistics
        self._average_lengths = forward.average_lengths
        self._n_slots = n_slots
        known = statistics.known.tolist()
        required = [place for place in query.required if known[place]]
        self.left_out = tuple(place for place in query.required if not known[place])
        self._spans = _look_up(postings, statistics.meanings)
        # A query has at most 32 terms (`understanding.MAX_QUERY_TERMS`): a bit each.
        self._wanted = np.uint32(sum(1 << place for place in required))
        self._held = np.zeros(n_slots, np.uint32)
        for one in self._spans:
            bits = np.array([1 << place for place in one.places], np.uint32) & self._wanted
            kernels.hold(one.entries.slots, one.begins, one.ends, bits, self._held)

    def within(self, allowed: BoolArray, operator: AskedOperator) -> Matched:
        """The documents that match. allowed: (n_slots,) live and within the filters."""
        if not self._wanted:
            return Matched(np.zeros(self._n_slots, np.bool_), np.empty(0, np.int64), "any" if self.left_out else "all")
        every = self._held == self._wanted
        every &= allowed
        slots = np.flatnonzero(every)
        if operator == "all" or (operator == "auto" and len(slots) >= FEW):
            return Matched(every, slots, "all")
        some = self._held != 0
        some &= allowed
        slots_of_some = np.flatnonzero(some)
        if operator == "any" or len(slots_of_some) > len(slots):
            return Matched(some, slots_of_some, "any")
        return Matched(every, slots, "all")

    def scores(self, matched: Matched, boosts: ScoreArray) -> ScoreArray:
        """(n,) BM25 of each slot that matches, fields added up by their boosts. boosts: (n_fields,), 0 or more."""
        ceiling = self._statistics.ceiling
        if ceiling <= 0.0 or not len(matched.slots):
            return np.zeros(len(matched.slots))
        sums = np.zeros(self._n_slots)
        factors = self._statistics.idf * boosts * ((K1 + 1.0) / ceiling)
        slope = K1 * B / np.maximum(self._average_lengths, 1e-9)
        for one in self._spans:
            kernels.add_scores(
                one.entries.slots,
                one.entries.fields,
                one.entries.frequencies,
                one.entries.lengths,
                one.begins,
                one.ends,
                np.array(one.places, np.int64),
                np.array(one.weights, np.float64),
                factors,
                slope,
                K1 * (1.0 - B),
                matched.mask,
                sums,
            )
        return sums[matched.slots]


class _Spans(msgspec.Struct, frozen=True):
    """Where the terms of a query are in one row of entries: [begin, end) for the term at a place, with a weight."""

    entries: Entries
    begins: AnyArray
    ends: AnyArray
    places: Sequence[int]
    weights: Sequence[float]


def _look_up(postings: PostingsView, meanings: Sequence[Meaning]) -> list[_Spans]:
    """What the postings hold of a query: spans of each run, and what has several alternatives, added up."""
    places = [one.place for one in meanings]
    several = {place for place in places if places.count(place) > 1}
    spans: list[_Spans] = []
    parts: dict[int, list[tuple[Entries, float]]] = {}
    for entries, held, begins, ends in postings.of([one.term for one in meanings]):
        single = [at for at, which in enumerate(held) if places[which] not in several]
        if single:
            found = [meanings[held[at]] for at in single]
            weights = [one.weight for one in found]
            spans.append(_Spans(entries, begins[single], ends[single], [one.place for one in found], weights))
        if several:
            for which, begin, end in zip(held, begins.tolist(), ends.tolist(), strict=True):
                if places[which] in several:
                    part = entries.part(begin, end)
                    parts.setdefault(places[which], []).append((part, meanings[which].weight))
    if parts:
        spans.append(_added_up(parts))
    return spans


def _added_up(parts: dict[int, list[tuple[Entries, float]]]) -> _Spans:
    """One entry for each place, slot and field, however many of a place's alternatives are there.

    parts: by place, with the weight of the alternative. The frequency is that of all of them, each by its weight.
    """
    added: list[Entries] = []
    for alternatives in parts.values():
        entries = joined([part for part, _ in alternatives])
        weights = np.repeat(
            np.array([weight for _, weight in alternatives], np.float32), [len(part) for part, _ in alternatives]
        )
        key = entries.slots.astype(np.int64) << 8 | entries.fields
        order = np.argsort(key, kind="stable")
        key = key[order]
        first = np.flatnonzero(np.append(True, key[1:] != key[:-1]))
        sums = np.add.reduceat((entries.frequencies * weights)[order], first)
        kept = entries.where(order[first])
        added.append(Entries(kept.slots, kept.fields, sums, kept.lengths))
    ends = np.cumsum([len(one) for one in added], dtype=np.int64)
    begins = np.append(0, ends[:-1])
    return _Spans(joined(added), begins, ends, list(parts), [1.0] * len(parts))
