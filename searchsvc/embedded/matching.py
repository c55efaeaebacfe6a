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
from searchsvc.embedded.postings import Entries, PostingsView
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
    """Where the terms of a query are in one run's entries: [begin, end) for an alternative of the term at a place."""

    entries: Entries
    begins: AnyArray
    ends: AnyArray
    places: Sequence[int]
    weights: Sequence[float]


def _look_up(postings: PostingsView, meanings: Sequence[Meaning]) -> list[_Spans]:
    """What the postings hold of a query, a run at a time. meanings: by place."""
    spans = []
    for entries, held, begins, ends in postings.of([one.term for one in meanings]):
        found = [meanings[which] for which in held]
        spans.append(_Spans(entries, begins, ends, [one.place for one in found], [one.weight for one in found]))
    return spans
