"""Retrieve candidates, the match set and facets for one search."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, Future
from typing import Final

import msgspec
import numpy as np

from searchsvc.engines.embedded.matching import KeywordMatches, Matcher, QueryTerms
from searchsvc.engines.embedded.order import first_positions
from searchsvc.engines.embedded.phrases import slots_with_phrases
from searchsvc.engines.embedded.views import IndexViews
from searchsvc.engines.retrieval import Facet, FacetRequest, Retrieval, Retrieved
from searchsvc.engines.vector_trust import N_COMPARED, vector_trust
from tuning.arrays import AnyArray, BoolArray, FloatArray, IntArray

# Up to this number of documents, a fallback compares each with the query.
MAX_FALLBACK_SLOTS: Final = 100_000
# Neighbours that a fallback ranks.
MAX_FALLBACK: Final = 1_000


class Neighbours(msgspec.Struct, frozen=True):
    """What the vector leg found.

    vector: (dimension,) of the query
    slots: (n,) nearest first, equally near ones by id
    cosines: (n,)
    trust: how far cosines tell what the query is about, in [0, 1]
    """

    vector: FloatArray
    slots: IntArray
    cosines: FloatArray
    trust: float = 1.0

    def within(self, allowed: BoolArray) -> Neighbours:
        """Return those of the neighbours that are allowed. allowed: (n_slots,)."""
        mask = allowed[self.slots]
        return Neighbours(self.vector, self.slots[mask], self.cosines[mask], self.trust)


class MatchSet(msgspec.Struct, frozen=True):
    """Documents that a search matches.

    mask: (n_slots,)
    keyword: those that the keyword query matches; None if the query has no text
    neighbours: those of the vector leg; None without one
    """

    mask: BoolArray
    keyword: KeywordMatches | None
    neighbours: Neighbours | None

    def within(self, allowed: BoolArray) -> MatchSet:
        """Return those of the documents that are allowed. allowed: (n_slots,)."""
        keyword = self.keyword.within(allowed) if self.keyword is not None else None
        neighbours = self.neighbours.within(allowed) if self.neighbours is not None else None
        return MatchSet(self.mask & allowed, keyword, neighbours)


class Retriever:
    """Answers one `Reading.retrieve`.

    terms: the query's terms
    executor: runs the vector leg while this thread runs the keyword leg; None runs one after the other
    """

    def __init__(self, views: IndexViews, request: Retrieval, terms: QueryTerms, executor: Executor | None) -> None:
        self._views = views
        self._request = request
        self._terms = terms
        self._executor = executor
        self._matcher: Matcher | None = None

    def run(self) -> Retrieved:
        request = self._request
        scope = self._in_scope()
        passing = self._views.attributes.mask(request.filters) if request.filters is not None else None
        n = request.window if request.window is None else max(request.k, request.window, N_COMPARED)
        match_set, ordered = self._match(scope, n)
        answer, is_fallback = match_set, False
        if passing is not None:
            answer = match_set.within(passing)
            if not answer.mask.any():
                answer = self._nearest_passing(match_set, scope & passing)
                is_fallback = bool(answer.mask.any())
            ordered = self._best(answer, n)
        if request.after_id is not None:
            ordered = self._after(request.after_id, answer.mask, n)
        elif request.sort:
            ordered = self._sorted(answer.mask, n)
        neighbours, keyword = answer.neighbours, answer.keyword
        matcher = self._matcher
        return Retrieved(
            keyword=ordered,
            nearest=neighbours.slots if neighbours is not None else np.empty(0, np.int64),
            cosines=neighbours.cosines if neighbours is not None else np.empty(0, np.float32),
            vector_trust=neighbours.trust if neighbours is not None else 0.0,
            total=int(np.count_nonzero(answer.mask)),
            operator=keyword.operator if keyword is not None and request.has_operator else None,
            unmatched_terms=matcher.unmatched_terms if matcher is not None else (),
            facets={facet.field: self._facet(facet, match_set, answer) for facet in request.facets},
            is_fallback=is_fallback,
            pinned=self._pinned(answer.mask),
            boosted=self._boosted(answer),
        )

    def _match(self, scope: BoolArray, n: int | None) -> tuple[MatchSet, IntArray]:
        """Return the match set, and the n best of its keyword leg. scope: (n_slots,)."""
        request = self._request
        vector_leg = self._start_vector_leg(scope)
        self._matcher = self._look_up_terms()
        if self._matcher is None:
            everything = MatchSet(scope, None, vector_leg.result())
            return everything, self._best(everything, n)
        keyword = self._matcher.matches(scope, request.operator)
        if not request.has_keyword_leg:
            keyword = keyword.within(np.zeros_like(scope))
        ordered = self._best(MatchSet(keyword.mask, keyword, None), n)
        neighbours = self._trusted(vector_leg.result(), ordered)
        if neighbours is not None and request.operator == "all":
            neighbours = neighbours.within(self._matcher.matches(scope, "all").mask)
        nearest = neighbours.slots if neighbours is not None else np.empty(0, np.int64)
        return MatchSet(_union(keyword.mask, nearest, self._pinned(scope)), keyword, neighbours), ordered

    def _nearest_passing(self, match_set: MatchSet, passing: BoolArray) -> MatchSet:
        """Return all neighbours of the query among documents none of which matches; empty without a vector leg.

        passing: (n_slots,) documents of the scope that pass the filters
        """
        nothing = match_set.within(np.zeros_like(passing))
        vectors, neighbours = self._views.vectors, match_set.neighbours
        if vectors is None or neighbours is None or self._request.operator == "all":
            return nothing
        slots, vector = np.flatnonzero(passing), neighbours.vector
        if len(slots) > MAX_FALLBACK_SLOTS:
            slots, _ = vectors.nearest(vector, MAX_FALLBACK, passing)
        cosines = vectors.cosines(slots, vector)
        near = self._are_near(cosines)
        slots, cosines = slots[near], cosines[near]
        # Facets count them all; a page can show no more than the first.
        first = first_positions(slots, [-cosines], self._views.ids, MAX_FALLBACK)
        shown = Neighbours(vector, slots[first], cosines[first], neighbours.trust)
        return MatchSet(_union(nothing.mask, slots), nothing.keyword, shown)

    def _look_up_terms(self) -> Matcher | None:
        views = self._views
        if not self._request.query.text:
            return None
        return Matcher(views.postings, views.forward, self._request.query, self._terms, len(views.live))

    def _in_scope(self) -> BoolArray:
        """Return (n_slots,) which documents are in the scope."""
        scope = self._views.live
        if self._request.scope is not None:
            scope = scope & self._views.attributes.mask(self._request.scope)
        if self._request.excluded_slot is not None:
            scope = scope.copy()
            scope[self._request.excluded_slot] = False
        with_phrases = slots_with_phrases(self._request.query, self._views.postings, self._views.forward)
        return scope if with_phrases is None else scope & with_phrases

    def _pinned(self, allowed: BoolArray) -> IntArray:
        """Return the slots of the pinned documents that exist and are allowed, ascending."""
        slots = [self._views.find(document_id) for document_id in self._request.pinned_ids]
        return np.array(sorted(slot for slot in slots if slot is not None and allowed[slot]), np.int64)

    def _best(self, match_set: MatchSet, n: int | None) -> IntArray:
        """Return the n best of the keyword leg, or of all if the query has no text. n: None for all."""
        matcher, matches = self._matcher, match_set.keyword
        if matcher is None or matches is None:
            slots = np.flatnonzero(match_set.mask)
            values = self._views.signals(slots, self._request.timestamp_s) @ self._request.signal_weights
            return self._first(slots, [-values], n)
        boosts = self._request.field_boosts
        fields = self._views.settings.searchable
        by_field = np.array([max(boosts.get(field.name, 1.0), 0.0) for field in fields])
        slots, scores = matcher.score(matches, by_field, n)
        # Rounded, so that sums of the same numbers in another order are equal.
        return self._first(slots, [-scores.round(5)], n)

    def _boosted(self, match_set: MatchSet) -> IntArray:
        """Return the k best of the keyword leg that pass the filter `boosted`."""
        if self._request.boosted is None:
            return np.empty(0, np.int64)
        return self._best(match_set.within(self._views.attributes.mask(self._request.boosted)), self._request.k)

    def _sorted(self, match_set: BoolArray, n: int | None) -> IntArray:
        slots = np.flatnonzero(match_set)
        attributes = self._views.attributes
        keys = [attributes.sort_key(key.field, slots, key.descending) for key in self._request.sort]
        return self._first(slots, keys, n)

    def _after(self, document_id: str, match_set: BoolArray, n: int | None) -> IntArray:
        """Return the n first documents by id, of those that come after a document."""
        slots = np.flatnonzero(match_set)
        slots = slots[self._views.ids.are_after(document_id, slots)] if document_id else slots
        return self._first(slots, [np.zeros(len(slots))], n)

    def _first(self, slots: AnyArray, keys: Sequence[AnyArray], n: int | None) -> IntArray:
        """Return the n first slots by ascending keys, then by id. n: None for all."""
        ordered: IntArray = slots[first_positions(slots, keys, self._views.ids, len(slots) if n is None else n)]
        return ordered

    def _start_vector_leg(self, allowed: BoolArray) -> Future[Neighbours | None]:
        if self._executor is not None and self._views.vectors is not None and self._request.vector is not None:
            return self._executor.submit(self._nearest, allowed)
        done: Future[Neighbours | None] = Future()
        done.set_result(self._nearest(allowed))
        return done

    def _nearest(self, allowed: BoolArray) -> Neighbours | None:
        """Return the k nearest allowed documents; None without a vector leg. Computes the query vector if need be."""
        vectors = self._views.vectors
        vector = self._request.query_vector() if vectors is not None else None
        if vectors is None or vector is None:
            return None
        k = self._request.k
        slots, cosines = vectors.nearest(vector, k, allowed)
        near = self._are_near(cosines)
        slots, cosines = slots[near], cosines[near]
        positions = first_positions(slots, [-cosines], self._views.ids, k)
        return Neighbours(vector, slots[positions], cosines[positions])

    def _are_near(self, cosines: FloatArray) -> BoolArray:
        """Return (n,) which documents are neighbours. Only a document without a vector has a cosine of exactly 0."""
        near: BoolArray = (cosines > self._request.min_cosine) & (cosines != 0.0)
        return near

    def _trusted(self, neighbours: Neighbours | None, keyword: IntArray) -> Neighbours | None:
        """Judge how far the neighbours can be trusted; return None if not at all.

        keyword: slots of the keyword leg, best first
        """
        vectors = self._views.vectors
        if vectors is None or neighbours is None or not self._request.query.terms:
            return neighbours
        of_keyword = vectors.cosines(keyword[:N_COMPARED], neighbours.vector)
        n_documents = self._views.digest.count
        mean = vectors.mean_cosine(neighbours.vector, n_documents)
        trust = vector_trust(of_keyword, neighbours.cosines, mean, n_documents)
        return Neighbours(neighbours.vector, neighbours.slots, neighbours.cosines, trust) if trust else None

    def _facet(self, facet: FacetRequest, match_set: MatchSet, answer: MatchSet) -> Facet:
        """Count one facet over the answer; a disjunctive one over the match set under the other filters."""
        filters = self._request.filters
        other_filters = facet.filters_of(filters)
        counted = answer.mask
        if other_filters != filters:
            counted = match_set.mask
            if other_filters is not None:
                counted = counted & self._views.attributes.mask(other_filters)
        attributes = self._views.attributes
        counts = attributes.facet(facet.field, counted, facet.max_values, facet.query)
        in_ranges = [np.count_nonzero(attributes.mask(within) & counted) for within in facet.range_filters()]
        return counts.with_ranges(facet.ranges, list(map(int, in_ranges)))


def _union(mask: BoolArray, *more: IntArray) -> BoolArray:
    """Return (n_slots,) the mask with more slots set."""
    union = mask.copy()
    for slots in more:
        union[slots] = True
    return union
