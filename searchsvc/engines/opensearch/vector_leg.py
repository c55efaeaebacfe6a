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
from searchsvc.engines.opensearch.requests import FILTERED_FACTOR, MAX_WINDOW, Body, Plan, among_body, passing_ids_body
from searchsvc.engines.opensearch.vectors import ServiceVectorsView
from searchsvc.engines.vector_trust import N_COMPARED, vector_trust
from tuning.arrays import FloatArray, IntArray

# The node takes no more values of a field in one clause.
MAX_TERMS: Final = 65_536
# How many times as many of the nearest are tried next.
TRIED_FACTOR: Final = 8

Search = Callable[[Sequence[Body]], list[replies.Searched]]


class NearestHits(msgspec.Struct, frozen=True):
    """What the vector leg found. See `searchsvc.engines.retrieval.Retrieved`."""

    slots: IntArray
    cosines: FloatArray
    trust: float

    @staticmethod
    def none() -> NearestHits:
        return NearestHits(np.empty(0, np.int64), np.empty(0, np.float32), 0.0)


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

    def slots(self, reply: replies.Searched | None, filters: list[Clause]) -> IntArray:
        """Return the slots of the k nearest documents that pass the filters.

        reply: to the request `nearest` under these filters; None if there was none
        """
        vector, vectors = self._plan.vector, self._plan.state.vectors
        if reply is None or vector is None:
            return np.empty(0, np.int64)
        if vectors is None:
            return self._hits.add(reply.hits.hits)
        slots = self._hits.add(self._passing(vectors, vector, reply.hits.hits, filters))
        return slots[np.argsort(-self._cosines(slots, vector), kind="stable")[: self._plan.request.k]]

    def trusted(self, slots: IntArray, keyword: IntArray) -> NearestHits:
        """Return the k nearest, nearest first, equal ones by id; none if cosines tell nothing of this query.

        slots: what `slots` returned
        keyword: slots of the keyword leg, best first
        """
        vector, state = self._plan.vector, self._plan.state
        if vector is None:
            return NearestHits.none()
        cosines = self._cosines(slots, vector)
        ids = self._hits.ids(slots)
        order = sorted(range(len(slots)), key=lambda i: (-cosines[i], ids[i]))[: self._plan.request.k]
        nearest, cosines = slots[order], cosines[order]
        if not self._plan.request.query.terms:
            return NearestHits(nearest, cosines, 1.0)
        mean_cosine = float(state.vector_sum @ vector.astype(np.float64)) / max(state.n_documents, 1)
        keyword_cosines = self._cosines(keyword[:N_COMPARED], vector)
        trust = vector_trust(keyword_cosines, cosines, mean_cosine, state.n_documents)
        return NearestHits(nearest, cosines, trust) if trust else NearestHits.none()

    def _passing(
        self, vectors: ServiceVectorsView, vector: FloatArray, hits: Sequence[replies.Hit], filters: list[Clause]
    ) -> Sequence[replies.Hit]:
        """Return hits among which are the k nearest that pass the filters.

        The nearest of all may not pass. Then all that pass are compared here, or, if they are many, more and more of
        the nearest are tried on the node.

        hits: those that pass of the nearest that were tried first
        """
        plan, k = self._plan, self._plan.request.k
        n_tried = FILTERED_FACTOR * k
        if len(filters) == 1 or len(hits) >= k or n_tried >= len(vectors):
            return hits
        page = self._search([passing_ids_body(filters)])[0].hits
        if page.total.value <= MAX_WINDOW:
            ids = vectors.nearest_of([str(hit.fields["id"][0]) for hit in page.hits], vector, k)
            return self._search([among_body(plan, ids, filters)])[0].hits.hits
        while len(hits) < k and n_tried < min(len(vectors), MAX_TERMS):
            n_tried = min(TRIED_FACTOR * n_tried, MAX_TERMS)
            ids = vectors.nearest(vector, n_tried)[:MAX_TERMS]
            hits = self._search([among_body(plan, ids, filters)])[0].hits.hits
        return hits

    def _cosines(self, slots: IntArray, vector: FloatArray) -> FloatArray:
        cosines: FloatArray = self._columns.vectors([hit.columns for hit in self._hits.select(slots)]) @ vector
        return cosines
