"""Retrieve candidates, the match set and facets for one search."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, Future

import msgspec
import numpy as np

from searchsvc.engines.embedded.matching import KeywordMatches, Matcher, QueryTerms
from searchsvc.engines.embedded.order import first_positions
from searchsvc.engines.embedded.views import IndexViews
from searchsvc.engines.filters import Filter, without_field
from searchsvc.engines.retrieval import Facet, FacetRequest, Retrieval, Retrieved
from searchsvc.engines.vector_trust import N_COMPARED, vector_trust
from tuning.arrays import AnyArray, BoolArray, FloatArray, IntArray


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


class Retriever:
    """Answers one `Reading.retrieve`.

    terms: the query's terms; None if the query has no text
    executor: runs the vector leg while this thread runs the keyword leg; None runs one after the other
    """

    def __init__(
        self, views: IndexViews, request: Retrieval, terms: QueryTerms | None, executor: Executor | None
    ) -> None:
        self._views = views
        self._request = request
        self._terms = terms
        self._executor = executor
        self._matcher: Matcher | None = None

    def run(self) -> Retrieved:
        request = self._request
        allowed = self._allowed(request.filters)
        pinned = self._pinned(allowed)
        vector_leg = self._start_vector_leg(allowed)
        matcher = self._matcher = self._look_up_terms()
        matches = matcher.matches(allowed, request.operator) if matcher is not None else None
        n = request.window if request.window is None else max(request.k, request.window, N_COMPARED)
        ordered = self._best(allowed, matches, n)
        neighbours = self._trusted(vector_leg.result(), ordered)
        boosted = self._boosted(allowed, matches)
        nearest = neighbours.slots if neighbours is not None else np.empty(0, np.int64)
        match_set = allowed if matches is None else _union(matches.mask, nearest, pinned)
        if request.sort:
            ordered = self._sorted(match_set, n)
        return Retrieved(
            keyword=ordered,
            nearest=nearest,
            cosines=neighbours.cosines if neighbours is not None else np.empty(0, np.float32),
            vector_trust=neighbours.trust if neighbours is not None else 0.0,
            total=int(np.count_nonzero(match_set)),
            operator=matches.operator if matches is not None else None,
            unmatched_terms=matcher.unmatched_terms if matcher is not None else (),
            facets={
                facet.field: self._facet(facet, matches, match_set, with_neighbours=neighbours is not None)
                for facet in request.facets
            },
            pinned=pinned,
            boosted=boosted,
        )

    def _look_up_terms(self) -> Matcher | None:
        views = self._views
        if self._terms is None:
            return None
        return Matcher(views.postings, views.forward, self._request.query, self._terms, len(views.live))

    def _allowed(self, filters: Filter | None) -> BoolArray:
        """Return (n_slots,) which documents pass the scope and some filters."""
        allowed = self._views.live
        for condition in (self._request.scope, filters):
            if condition is not None:
                allowed = allowed & self._views.attributes.mask(condition)
        if self._request.excluded_slot is not None:
            allowed = allowed.copy()
            allowed[self._request.excluded_slot] = False
        return allowed

    def _pinned(self, allowed: BoolArray) -> IntArray:
        """Return the slots of the pinned documents that exist and are allowed, ascending."""
        slots = [self._views.find(document_id) for document_id in self._request.pinned_ids]
        return np.array(sorted(slot for slot in slots if slot is not None and allowed[slot]), np.int64)

    def _best(self, allowed: BoolArray, matches: KeywordMatches | None, n: int | None) -> IntArray:
        """Return the n best matches, or the n best allowed documents if the query has no text. n: None for all."""
        matcher = self._matcher
        if matcher is None or matches is None:
            slots = np.flatnonzero(allowed)
            values = self._views.signals(slots, self._request.timestamp_s) @ self._request.signal_weights
            return self._first(slots, [-values], n)
        boosts = self._request.field_boosts
        fields = self._views.settings.searchable
        by_field = np.array([max(boosts.get(field.name, 1.0), 0.0) for field in fields])
        slots, scores = matcher.score(matches, by_field, n)
        # Rounded, so that sums of the same numbers in another order are equal.
        return self._first(slots, [-scores.round(5)], n)

    def _boosted(self, allowed: BoolArray, matches: KeywordMatches | None) -> IntArray:
        """Return the k best matches that pass the filter `boosted`."""
        if self._request.boosted is None:
            return np.empty(0, np.int64)
        mask = self._views.attributes.mask(self._request.boosted)
        if matches is None:
            return self._best(mask & allowed, None, self._request.k)
        mask = mask & matches.mask
        passing = KeywordMatches(mask, int(np.count_nonzero(mask)), matches.operator)
        return self._best(allowed, passing, self._request.k)

    def _sorted(self, match_set: BoolArray, n: int | None) -> IntArray:
        slots = np.flatnonzero(match_set)
        attributes = self._views.attributes
        keys = [attributes.sort_key(key.field, slots, key.descending) for key in self._request.sort]
        return self._first(slots, keys, n)

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
        positions = first_positions(slots, [-cosines], self._views.ids, k)
        return Neighbours(vector, slots[positions], cosines[positions])

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

    def _facet(
        self, facet: FacetRequest, matches: KeywordMatches | None, match_set: BoolArray, *, with_neighbours: bool
    ) -> Facet:
        """Count one facet.

        match_set: (n_slots,) of the search; a disjunctive facet counts another, made in the same way
        with_neighbours: whether the match set contains neighbours
        """
        filters = self._request.filters
        other_filters = without_field(filters, facet.field) if facet.disjunctive else filters
        counted = match_set
        if other_filters != filters:
            counted = allowed = self._allowed(other_filters)
            matcher = self._matcher
            if matcher is not None and matches is not None:
                neighbours = self._nearest(allowed) if with_neighbours else None
                nearest = [neighbours.slots] if neighbours is not None else []
                counted = _union(matcher.matches(allowed, matches.operator).mask, self._pinned(allowed), *nearest)
        return self._views.attributes.facet(facet.field, counted, facet.max_values)


def _union(mask: BoolArray, *more: IntArray) -> BoolArray:
    """Return (n_slots,) the mask with more slots set."""
    union = mask.copy()
    for slots in more:
        union[slots] = True
    return union
