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

from searchsvc.analysis.query import Operator, Query, RequestedOperator
from searchsvc.engines.columnar.statistics import K1, B, QueryStatistics
from searchsvc.engines.embedded import kernels
from searchsvc.engines.embedded.forward import ForwardView, Wanted
from searchsvc.engines.embedded.postings import PostingsView, Spans
from searchsvc.engines.retrieval import FULL_PAGE
from tuning.arrays import AnyArray, BoolArray, FloatArray, ScoreArray

# Where more match, those that cannot be among the best are not scored. What these need is known from some of the most
# promising: so many times as many, out of more whom a sample tells.
PRUNE_FROM: Final = 20_000
PRUNE_FIRST: Final = 3
PRUNE_AMONG: Final = 12
PRUNE_SAMPLE: Final = 16_384
# So many terms are added up before those that cannot come up to it any more are given up.
PRUNE_TERMS: Final = 4
# Scores are compared rounded to five digits.
PRUNE_MARGIN: Final = 2e-5
# K1 * (1 - B): what a text of no length is normalised by.
CONSTANT: Final = K1 * (1.0 - B)
# (8, 256) which bits each byte has set.
_SET_BITS: Final = np.unpackbits(np.arange(256, dtype=np.uint8)[None, :], axis=0, bitorder="little").astype(np.float64)


class Matched(msgspec.Struct, frozen=True):
    """mask: (n_slots,). n: how many match. operator: what a document had to hold."""

    mask: BoolArray
    n: int
    operator: Operator


class Matching:
    """A query against one snapshot's postings: each term is looked up once, whatever is asked of it after that.

    statistics, wanted: of the query. n_slots: of the snapshot. left_out: places of the required terms that no document
    holds.
    """

    def __init__(
        self,
        postings: PostingsView,
        forward: ForwardView,
        query: Query,
        statistics: QueryStatistics,
        wanted: Wanted | None,
        n_slots: int,
    ) -> None:
        self._forward = forward
        self._statistics = statistics
        self._wanted = wanted
        self._slope = forward.slope
        self._n_slots = n_slots
        known = statistics.known.tolist()
        required = [place for place in query.required_positions if known[place]]
        self.left_out = tuple(place for place in query.required_positions if not known[place])
        self._spans = postings.of([one.term for one in statistics.meanings])
        # A query has at most 32 terms (`understanding.MAX_QUERY_TERMS`): a bit each.
        self._required = np.uint32(sum(1 << place for place in required))
        self._held = np.zeros(n_slots, np.uint32)
        for one in self._spans:
            # Stop words, too: nobody has to hold them, but whoever does earns by it.
            bits = np.left_shift(1, self._places(one)[0], dtype=np.uint32, casting="unsafe")
            kernels.hold(one.run.entries.slots, one.begins, one.ends, bits, self._held)

    def within(self, allowed: BoolArray, operator: RequestedOperator) -> Matched:
        """The documents that match. allowed: (n_slots,) live and within the filters."""
        if not self._required:
            return Matched(np.zeros(self._n_slots, np.bool_), 0, "any" if self.left_out else "all")
        every, some = np.empty(self._n_slots, np.bool_), np.empty(self._n_slots, np.bool_)
        n, n_some = kernels.match(self._held, self._required, allowed, every, some)
        if operator == "all" or (operator == "auto" and n >= FULL_PAGE):
            return Matched(every, n, "all")
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
        if k is None or matched.n <= max(PRUNE_FROM, k):
            slots = np.flatnonzero(matched.mask)
            self._add_scores(self._spans, factors, matched.mask, slots, sums)
        else:
            slots = self._prune(matched, boosts, factors, k, sums)
        return slots, sums[slots]

    def _prune(self, matched: Matched, boosts: ScoreArray, factors: ScoreArray, k: int, sums: ScoreArray) -> AnyArray:
        """Slots among which the best k are; writes their scores into sums: (n_slots,).

        What a document could earn at most is known from the terms it holds. Some of the most promising are scored; the
        others only where they could come up to the k-th of these, and only until they cannot any more. Source of the
        idea: Turtle & Flood 1995 (MaxScore).
        """
        bounds = self._bounds(factors)
        promised, sample = np.empty(self._n_slots, np.float32), np.empty(PRUNE_SAMPLE, np.float32)
        kernels.promise(self._held, matched.mask, _by_byte(bounds), promised, sample)
        # Sorted sooner than partitioned: most are equal.
        sample.sort()
        n_above = PRUNE_AMONG * k * PRUNE_SAMPLE // self._n_slots
        cut = max(sample[-min(max(n_above, 1), PRUNE_SAMPLE)], np.float32(0.0))
        first = np.flatnonzero(promised >= cut)[: 2 * PRUNE_AMONG * k]
        first = first[np.argsort(-promised[first])[: PRUNE_FIRST * k]]
        earned = self._forward.features(first, self._wanted).bm25 @ boosts
        least = float(np.partition(earned, -k)[-k] if len(first) >= k else 0.0) - PRUNE_MARGIN
        possible = promised >= np.float32(least)
        slots = np.flatnonzero(possible)
        rarest_first = np.argsort(-bounds, kind="stable").tolist()
        for start in range(0, len(rarest_first), PRUNE_TERMS):
            places = rarest_first[start : start + PRUNE_TERMS]
            self._add_scores([self._of(one, places) for one in self._spans], factors, possible, slots, sums)
            bounds[places] = 0.0
            if bounds.any():
                kernels.give_up(slots, self._held, _by_byte(bounds), least, sums, possible)
                slots = slots[possible[slots]]
        return slots

    def _bounds(self, factors: ScoreArray) -> ScoreArray:
        """(n_terms,) the most that each term earns in any document: of alternatives, all of them together."""
        shares = np.zeros(factors.shape)
        for one in self._spans:
            peaks = one.run.peaks.of(one, self._slope, CONSTANT)
            of_run = np.zeros(factors.shape)
            places, weights = self._places(one)
            np.add.at(of_run, places, peaks * np.maximum(weights, 1.0)[:, None])
            np.maximum(shares, of_run, out=shares)
        bounds: ScoreArray = (factors * np.minimum(shares, 1.0)).sum(axis=1)
        return bounds

    def _add_scores(
        self, spans: Sequence[Spans], factors: ScoreArray, matching: BoolArray, matches: AnyArray, sums: ScoreArray
    ) -> None:
        for one in spans:
            entries = one.run.entries
            kernels.add_scores(
                entries.slots,
                entries.fields,
                entries.frequencies,
                entries.lengths,
                one.begins,
                one.ends,
                *self._places(one),
                factors,
                self._slope,
                CONSTANT,
                matching,
                matches,
                sums,
            )

    def _places(self, spans: Spans) -> tuple[AnyArray, ScoreArray]:
        """(n_spans,) the places of the query that they stand for, and their weights."""
        meanings = [self._statistics.meanings[which] for which in spans.which]
        return np.array([one.place for one in meanings], np.int64), np.array([one.weight for one in meanings])

    def _of(self, spans: Spans, places: Sequence[int]) -> Spans:
        """Those that stand for some places of the query."""
        meanings = self._statistics.meanings
        kept = [at for at, which in enumerate(spans.which) if meanings[which].place in places]
        return Spans(spans.run, [spans.which[at] for at in kept], spans.begins[kept], spans.ends[kept])


def _by_byte(bounds: ScoreArray) -> FloatArray:
    """(4, 256) the sums of the bounds of the terms whose bits are set in each byte. bounds: (n_terms,), at most 32."""
    padded = np.zeros(32)
    padded[: len(bounds)] = bounds
    return (padded.reshape(4, 8) @ _SET_BITS).astype(np.float32)
