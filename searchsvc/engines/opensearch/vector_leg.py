"""The vector leg: which documents are nearest to the query, and how far that can be trusted.

The node searches the vectors if it has the k-NN plugin. Otherwise the service searches them, and the node says which of
the nearest pass the filters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import numpy as np

from searchsvc.engines.opensearch import replies
from searchsvc.engines.opensearch.clauses import Clause
from searchsvc.engines.opensearch.columns import Columns
from searchsvc.engines.opensearch.hits import Hits
from searchsvc.engines.opensearch.requests import (
    FILTERED_FACTOR,
    MAX_WINDOW,
    Body,
    Plan,
    among_body,
    nearest_body,
    passing_ids_body,
)
from searchsvc.engines.opensearch.vectors import ServiceVectorsView
from searchsvc.engines.vector_trust import N_COMPARED, vector_trust
from tuning.arrays import FloatArray, IntArray

# The node takes no more values of a field in one clause.
MAX_TERMS: Final = 65_536
# How many times as many of the nearest are tried next.
TRIED_FACTOR: Final = 8

# Neighbours that a fallback ranks and counts.
MAX_FALLBACK: Final = 1_000

Search = Callable[[Sequence[Body]], list[replies.Searched]]


class NearestHits(msgspec.Struct, frozen=True):
    """What the vector leg found. See `searchsvc.engines.retrieval.Retrieved`."""

    slots: IntArray
    cosines: FloatArray
    trust: float

    @staticmethod
    def none() -> NearestHits:
        return NearestHits(np.empty(0, np.int64), np.empty(0, np.float32), 0.0)

    def only(self, slots: IntArray) -> NearestHits:
        """Return those that are among some slots."""
        mask = np.isin(self.slots, slots)
        return NearestHits(self.slots[mask], self.cosines[mask], self.trust)

    def without(self, slots: IntArray) -> NearestHits:
        """Return those that are not among some slots."""
        return self.only(np.setdiff1d(self.slots, slots))


class VectorLeg:
    """The vector leg of one retrieval.

    search: sends further requests
    hits: takes what they find
    columns: reads the vectors of hits
    """

    def __init__(self, plan: Plan, search: Search, hits: Hits, columns: Columns) -> None:
        self._plan = plan
        self._search = search
        self._hits = hits
        self._columns = columns

    def found(self, reply: replies.Searched | None, keyword: IntArray) -> NearestHits:
        """Return the k nearest documents of the scope, nearest first; none if cosines tell nothing of this query.

        reply: to the request `nearest`; None if there was none
        keyword: slots of the keyword leg in the scope, best first
        """
        plan, state = self._plan, self._plan.state
        vector, vectors = plan.vector, state.vectors
        if reply is None or vector is None:
            return NearestHits.none()
        hits = reply.hits.hits if vectors is None else self._in_scope(vectors, vector, reply.hits.hits)
        nearest = self._nearest_first(self._hits.add(hits), vector, plan.request.k)
        if not plan.request.query.terms:
            return nearest
        mean_cosine = float(state.vector_sum @ vector.astype(np.float64)) / max(state.n_documents, 1)
        keyword_cosines = self._cosines(keyword[:N_COMPARED], vector)
        trust = vector_trust(keyword_cosines, nearest.cosines, mean_cosine, state.n_documents)
        return NearestHits(nearest.slots, nearest.cosines, trust) if trust else NearestHits.none()

    def fallback(self, trust: float) -> NearestHits:
        """Return all neighbours, a thousand at most, that pass the filters: none of them is in the match set.

        trust: of the vector leg
        """
        plan, vector, vectors = self._plan, self._plan.vector, self._plan.state.vectors
        if vector is None or not trust:
            return NearestHits.none()
        if vectors is None:
            body = nearest_body(plan, vector, plan.filters, MAX_FALLBACK)
        else:
            body = among_body(plan, self._nearest_passing(vectors, vector, plan.filters, MAX_FALLBACK), plan.filters)
        hits = self._search([body])[0].hits.hits
        nearest = self._nearest_first(self._hits.add(hits), vector, MAX_FALLBACK)
        return NearestHits(nearest.slots, nearest.cosines, trust)

    def _nearest_first(self, slots: IntArray, vector: FloatArray, k: int) -> NearestHits:
        """Return the k nearest that are near enough, equally near ones by id."""
        cosines, ids = self._cosines(slots, vector), self._hits.ids(slots)
        # Only a document without a vector has a cosine of exactly 0.
        near = np.flatnonzero((cosines > self._plan.request.min_cosine) & (cosines != 0.0)).tolist()
        order = sorted(near, key=lambda i: (-cosines[i], ids[i]))[:k]
        return NearestHits(slots[order], cosines[order], 1.0)

    def _in_scope(
        self, vectors: ServiceVectorsView, vector: FloatArray, hits: Sequence[replies.Hit]
    ) -> Sequence[replies.Hit]:
        """Return hits among which are the k nearest of the scope.

        hits: those of the scope among the nearest that were tried first
        """
        plan, k = self._plan, self._plan.request.k
        if len(plan.scope) == 1 or len(hits) >= k or FILTERED_FACTOR * k >= len(vectors):
            return hits
        ids = self._nearest_passing(vectors, vector, plan.scope, k)
        return self._search([among_body(plan, ids, plan.scope)])[0].hits.hits

    def _nearest_passing(
        self, vectors: ServiceVectorsView, vector: FloatArray, filters: Sequence[Clause], k: int
    ) -> Sequence[str]:
        """Return ids among which are those of the k nearest documents that pass the filters.

        All that pass are compared here, or, if they are many, more and more of the nearest are tried on the node.
        """
        page = self._search([passing_ids_body(filters)])[0].hits
        if page.total.value <= MAX_WINDOW:
            return vectors.nearest_of([str(hit.fields["id"][0]) for hit in page.hits], vector, k)
        n_tried = FILTERED_FACTOR * k
        while True:
            n_tried = min(TRIED_FACTOR * n_tried, MAX_TERMS)
            ids = vectors.nearest(vector, n_tried)[:MAX_TERMS]
            n_passing = self._search([{**among_body(self._plan, ids, filters), "size": 0}])[0].hits.total.value
            if n_passing >= k or n_tried >= min(len(vectors), MAX_TERMS):
                return ids

    def _cosines(self, slots: IntArray, vector: FloatArray) -> FloatArray:
        cosines: FloatArray = self._columns.vectors([hit.columns for hit in self._hits.select(slots)]) @ vector
        return cosines
