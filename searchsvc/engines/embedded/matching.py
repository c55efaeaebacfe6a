"""Find which documents match a query, and score them.

A document matches if it contains every required term; terms that no document contains are left out. If fewer than a
page of documents match, any term is enough. All matches are found, not only the best, because totals, facets and
sorting cover all of them. Scores are BM25 per field times the field's boost, as in `forward_view`.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from searchsvc.analysis.query import Operator, Query, RequestedOperator
from searchsvc.engines.columnar.statistics import K1, QueryStatistics
from searchsvc.engines.embedded import pruning
from searchsvc.engines.embedded.forward_view import ForwardView
from searchsvc.engines.embedded.kernels import scoring
from searchsvc.engines.embedded.kernels.postings import match_terms, set_term_bits
from searchsvc.engines.embedded.kernels.structs import QueryPlan
from searchsvc.engines.embedded.postings import PostingsView, QuerySpans
from searchsvc.engines.retrieval import FULL_PAGE
from tuning.arrays import AnyArray, BoolArray, ScoreArray


class QueryTerms(msgspec.Struct, frozen=True):
    """A query as an index sees it: how rare its terms are, and what to look for in documents.

    plan: None if no document contains any term
    """

    statistics: QueryStatistics
    plan: QueryPlan | None


class KeywordMatches(msgspec.Struct, frozen=True):
    """The documents that match a query.

    mask: (n_slots,)
    n: how many match
    operator: which terms a document had to contain
    """

    mask: BoolArray
    n: int
    operator: Operator

    def within(self, allowed: BoolArray) -> KeywordMatches:
        """Return those of the matches that are allowed. allowed: (n_slots,)."""
        mask = self.mask & allowed
        return KeywordMatches(mask, int(np.count_nonzero(mask)), self.operator)


class Matcher:
    """Matches one query against the postings of one snapshot. Each term is looked up once.

    n_slots: of the snapshot
    """

    def __init__(
        self, postings: PostingsView, forward: ForwardView, query: Query, terms: QueryTerms, n_slots: int
    ) -> None:
        self._forward = forward
        self._terms = terms
        self._n_slots = n_slots
        in_index = terms.statistics.in_index.tolist()
        required = [position for position in query.required_positions if in_index[position]]
        self.unmatched_terms = tuple(position for position in query.required_positions if not in_index[position])
        self._spans = postings.spans(terms.statistics.alternatives)
        # A query has at most 32 terms (`understanding.MAX_QUERY_TERMS`): one bit each.
        self._required = np.uint32(sum(1 << position for position in required))
        self._term_bits = np.zeros(n_slots, np.uint32)
        for query_spans in self._spans:
            # Also of stop words: a document need not contain them, but scores by them.
            set_term_bits(query_spans.run.arrays.entries, query_spans.spans, self._term_bits)
        self._with_phrase = np.empty(0, np.int64)
        if terms.plan is not None and len(terms.plan.phrases.slots):
            phrases = terms.plan.phrases
            np.bitwise_or.at(self._term_bits, phrases.slots, np.uint32(1) << phrases.terms.astype(np.uint32))
            self._with_phrase = np.unique(phrases.slots)

    def matches(self, allowed: BoolArray, operator: RequestedOperator) -> KeywordMatches:
        """Find the matching documents. allowed: (n_slots,) live and in the scope.

        If all terms are asked for, a term that no document contains leaves none.
        """
        if not self._required or (operator == "all" and self.unmatched_terms):
            is_any = bool(self.unmatched_terms) and operator != "all"
            return KeywordMatches(np.zeros(self._n_slots, np.bool_), 0, "any" if is_any else "all")
        with_all, with_any = np.empty(self._n_slots, np.bool_), np.empty(self._n_slots, np.bool_)
        n_all, n_any = match_terms(self._term_bits, self._required, allowed, with_all, with_any)
        if operator == "all" or (operator == "auto" and n_all >= FULL_PAGE):
            return KeywordMatches(with_all, n_all, "all")
        if operator == "any" or n_any > n_all:
            return KeywordMatches(with_any, n_any, "any")
        return KeywordMatches(with_all, n_all, "all")

    def score(self, matches: KeywordMatches, boosts: ScoreArray, k: int | None) -> tuple[AnyArray, ScoreArray]:
        """Score matching documents by BM25, the sum of the fields times their boosts.

        boosts: (n_fields,) 0 or more
        k: how many of the best are needed; None for all

        Returns slots and scores of all matches, or of some among which the best k are.
        """
        ceiling = self._terms.statistics.ceiling
        if ceiling <= 0.0 or not matches.n:
            return np.flatnonzero(matches.mask), np.zeros(matches.n)
        factors = self._terms.statistics.idf * boosts * ((K1 + 1.0) / ceiling)
        scores = np.zeros(self._n_slots)
        if k is None or matches.n <= max(pruning.MIN_MATCHES, k):
            slots = np.flatnonzero(matches.mask)
            self._add_scores(self._spans, factors, matches.mask, slots, scores)
        else:
            slots = self._score_best(matches, boosts, factors, k, scores)
        phrased = self._with_phrase[matches.mask[self._with_phrase]]
        if len(phrased):
            # The postings do not tell how often they contain the phrases.
            scores[phrased] = self._forward.features(phrased, self._terms.plan).bm25 @ boosts
            slots = np.union1d(slots, phrased)
        return slots, scores[slots]

    def _score_best(
        self, matches: KeywordMatches, boosts: ScoreArray, factors: ScoreArray, k: int, scores: ScoreArray
    ) -> AnyArray:
        """Score only documents that can be among the best k: see `pruning`.

        scores: (n_slots,) written to

        Returns slots among which the best k are.
        """
        bounds = pruning.term_bounds(self._spans, factors, self._forward.norm)
        slot_bounds, sample = pruning.slot_bounds(self._term_bits, matches.mask, bounds)
        first = pruning.most_promising(slot_bounds, sample, k)
        first_scores = self._forward.features(first, self._terms.plan).bm25 @ boosts
        threshold = pruning.score_threshold(first_scores, k)
        survivors = slot_bounds >= np.float32(threshold)
        slots = np.flatnonzero(survivors)
        rarest_first = np.argsort(-bounds, kind="stable").tolist()
        for start in range(0, len(rarest_first), pruning.TERMS_PER_ROUND):
            positions = rarest_first[start : start + pruning.TERMS_PER_ROUND]
            spans = [query_spans.of_terms(positions) for query_spans in self._spans]
            self._add_scores(spans, factors, survivors, slots, scores)
            bounds[positions] = 0.0
            if bounds.any():
                slots = pruning.prune(slots, self._term_bits, bounds, threshold, scores, survivors)
        return slots

    def _add_scores(
        self, spans: Sequence[QuerySpans], factors: ScoreArray, mask: BoolArray, slots: AnyArray, scores: ScoreArray
    ) -> None:
        for query_spans in spans:
            entries = query_spans.run.arrays.entries
            scoring.add_scores(entries, query_spans.spans, factors, self._forward.norm, mask, slots, scores)
