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
# Where more match, those that cannot be among the best are not scored: first, some entries for each of the best are.
PRUNE_FROM: Final = 20_000
PRUNE_ENTRIES: Final = 20
PRUNE_TERMS: Final = 2
# Scores are compared rounded to five digits.
PRUNE_MARGIN: Final = 2e-5
# (8, 256) which bits each byte has set.
_SET_BITS: Final = np.unpackbits(np.arange(256, dtype=np.uint8)[None, :], axis=0, bitorder="little").astype(np.float64)


class Matched(msgspec.Struct, frozen=True):
    """mask: (n_slots,). n: how many match. operator: what a document had to hold."""

    mask: BoolArray
    n: int
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
            return Matched(np.zeros(self._n_slots, np.bool_), 0, "any" if self.left_out else "all")
        every = self._held == self._wanted
        every &= allowed
        n = int(np.count_nonzero(every))
        if operator == "all" or (operator == "auto" and n >= FEW):
            return Matched(every, n, "all")
        some = self._held != 0
        some &= allowed
        n_some = int(np.count_nonzero(some))
        if operator == "any" or n_some > n:
            return Matched(some, n_some, "any")
        return Matched(every, n, "all")

    def best(self, matched: Matched, boosts: ScoreArray, k: int | None) -> tuple[AnyArray, ScoreArray]:
        """slots, scores: (n,) of the documents that match, the best k among them; of all where k is None.

        The score is BM25, fields added up by their boosts. boosts: (n_fields,), 0 or more.
        """
        ceiling = self._statistics.ceiling
        if ceiling <= 0.0 or not matched.n:
            return np.flatnonzero(matched.mask), np.zeros(matched.n)
        factors = self._statistics.idf * boosts * ((K1 + 1.0) / ceiling)
        sums = np.zeros(self._n_slots)
        if k is None or matched.operator == "all" or matched.n <= max(PRUNE_FROM, k):
            self._add_scores(self._spans, factors, matched.mask, sums)
            slots = np.flatnonzero(matched.mask)
        else:
            slots = self._prune(matched, factors, k, sums)
        return slots, sums[slots]

    def _prune(self, matched: Matched, factors: ScoreArray, k: int, sums: ScoreArray) -> AnyArray:
        """Slots among which the best k are; writes their scores into sums: (n_slots,).

        The documents with the rarest terms are scored first. Of the others, those that could still come up to the k-th
        of these are scored term by term, the rarest first, and given up once they cannot. Source of the idea: Turtle &
        Flood 1995 (MaxScore).
        """
        bounds = factors.sum(axis=1)
        rarest_first = np.argsort(-bounds, kind="stable").tolist()
        bits, n_entries = 0, 0
        for place in rarest_first:
            bits |= int(self._wanted) & (1 << place)
            n_entries += sum(one.n_entries(place) for one in self._spans)
            if n_entries > PRUNE_ENTRIES * k:
                break
        first = np.empty(self._n_slots, np.bool_)
        kernels.holding(self._held, bits, matched.mask, first)
        self._add_scores(self._spans, factors, first, sums)
        slots = np.flatnonzero(first)
        least = (np.partition(sums[slots], -k)[-k] if len(slots) >= k else 0.0) - PRUNE_MARGIN
        rest = matched.mask & ~first
        others = np.flatnonzero(rest)
        for start in range(0, len(rarest_first), PRUNE_TERMS):
            kernels.give_up(others, self._held, _by_byte(bounds), least, sums, rest)
            others = others[rest[others]]
            if not len(others):
                break
            places = rarest_first[start : start + PRUNE_TERMS]
            self._add_scores([one.of(places) for one in self._spans], factors, rest, sums)
            bounds[places] = 0.0
        return np.concatenate([slots, others])

    def _add_scores(self, spans: Sequence[_Spans], factors: ScoreArray, matching: BoolArray, sums: ScoreArray) -> None:
        slope = K1 * B / np.maximum(self._average_lengths, 1e-9)
        for one in spans:
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
                matching,
                sums,
            )


class _Spans(msgspec.Struct, frozen=True):
    """Where the terms of a query are in one run's entries: [begin, end) for an alternative of the term at a place."""

    entries: Entries
    begins: AnyArray
    ends: AnyArray
    places: Sequence[int]
    weights: Sequence[float]

    def of(self, places: Sequence[int]) -> _Spans:
        """Those of some places."""
        at = [i for i, place in enumerate(self.places) if place in places]
        of = [self.places[i] for i in at], [self.weights[i] for i in at]
        return _Spans(self.entries, self.begins[at], self.ends[at], *of)

    def n_entries(self, place: int) -> int:
        """How many entries the term at a place has here."""
        return sum(int(self.ends[at] - self.begins[at]) for at, one in enumerate(self.places) if one == place)


def _look_up(postings: PostingsView, meanings: Sequence[Meaning]) -> list[_Spans]:
    """What the postings hold of a query, a run at a time. meanings: by place."""
    spans = []
    for entries, held, begins, ends in postings.of([one.term for one in meanings]):
        found = [meanings[which] for which in held]
        spans.append(_Spans(entries, begins, ends, [one.place for one in found], [one.weight for one in found]))
    return spans


def _by_byte(bounds: ScoreArray) -> ScoreArray:
    """(4, 256) the sums of the bounds of the terms whose bits are set in each byte. bounds: (n_terms,), at most 32."""
    padded = np.zeros(32)
    padded[: len(bounds)] = bounds
    sums: ScoreArray = padded.reshape(4, 8) @ _SET_BITS
    return sums
