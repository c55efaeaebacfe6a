"""The node's replies to the requests of one retrieval, read into what was retrieved."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
import numpy as np

from searchsvc.analysis.query import Operator
from searchsvc.engines.opensearch import replies
from searchsvc.engines.opensearch.clauses import Clause
from searchsvc.engines.opensearch.facets import facet
from searchsvc.engines.opensearch.hits import Hits
from searchsvc.engines.opensearch.keyword_query import ALL_TERMS_LIFT
from searchsvc.engines.opensearch.requests import Plan, sorted_body
from searchsvc.engines.opensearch.vector_leg import NearestHits, Search, VectorLeg
from searchsvc.engines.retrieval import FULL_PAGE, Facet, Retrieved
from tuning.arrays import IntArray

# Digits of a score that are exact after `ALL_TERMS_LIFT` is subtracted.
SCORE_DIGITS: Final = 3

Unmatched = Callable[[IntArray, Operator], IntArray]


class KeywordMatch(msgspec.Struct, frozen=True):
    """What the keyword leg matched by, and how many documents it matched."""

    operator: Operator
    n: int


class RetrievalReplies:
    """Reads the replies of one retrieval.

    by_name: replies by the names of `searchsvc.engines.opensearch.requests.bodies`
    hits: takes the hits of all replies
    vector_leg: of the retrieval
    search: sends further requests
    unmatched: returns those of some slots that the keyword leg does not match by an operator
    """

    def __init__(
        self,
        plan: Plan,
        by_name: Mapping[str, replies.Searched],
        hits: Hits,
        vector_leg: VectorLeg,
        search: Search,
        unmatched: Unmatched,
    ) -> None:
        self._plan = plan
        self._replies = by_name
        self._hits = hits
        self._vector_leg = vector_leg
        self._search = search
        self._unmatched = unmatched

    def retrieved(self, unmatched_terms: tuple[int, ...]) -> Retrieved:
        """Return what was retrieved. unmatched_terms: positions of required terms that no document contains."""
        plan = self._plan
        match = self._keyword_match()
        keyword = self._keyword_order(self._replies["keyword"], match.operator)
        boosted = self._keyword_order(self._replies.get("boosted"), match.operator)
        nearest = self._vector_leg.trusted(self._nearest("", plan.filters), keyword)
        pinned = self._pinned("")
        # Documents of the match set that the keyword leg does not match.
        others = self._unmatched(np.union1d(nearest.slots, pinned), match.operator)
        facets = {
            request.field: self._facet(i, match.operator, nearest, others)
            for i, request in enumerate(plan.request.facets)
        }
        return Retrieved(
            keyword=self._sorted(match.operator, others) if plan.request.sort else keyword,
            nearest=nearest.slots,
            cosines=nearest.cosines,
            vector_trust=nearest.trust,
            total=match.n + len(others),
            operator=match.operator if plan.request.query.text else None,
            unmatched_terms=unmatched_terms,
            facets=facets,
            pinned=pinned,
            boosted=boosted,
        )

    def _keyword_match(self) -> KeywordMatch:
        """Return the operator that documents match by. See `searchsvc.engines.retrieval.Retrieval.operator`."""
        reply, request = self._replies["keyword"], self._plan.request
        n_any, n_all = reply.hits.total.value, reply.aggregations["all"].doc_count
        if not request.query.text:
            return KeywordMatch("all", n_any)
        if self._plan.clauses.all_terms is None:
            return KeywordMatch("any" if request.query.required_positions else "all", 0)
        if request.operator == "all" or (request.operator == "auto" and n_all >= FULL_PAGE):
            return KeywordMatch("all", n_all)
        if request.operator == "any" or n_any > n_all:
            return KeywordMatch("any", n_any)
        return KeywordMatch("all", n_all)

    def _keyword_order(self, reply: replies.Searched | None, operator: Operator) -> IntArray:
        """Return the slots of a reply that match by an operator: highest rounded score first, equal ones by id."""
        if reply is None:
            return np.empty(0, np.int64)
        slots = self._hits.add(reply.hits.hits)
        if not self._plan.request.query.text:
            return slots
        scores = np.array([hit.score or 0.0 for hit in reply.hits.hits])
        if self._plan.request.operator == "auto":
            has_all = scores >= ALL_TERMS_LIFT
            scores[has_all] -= ALL_TERMS_LIFT
            if operator == "all":
                slots, scores = slots[has_all], scores[has_all]
        ids = self._hits.ids(slots)
        keys = zip((-scores.round(SCORE_DIGITS)).tolist(), ids, slots.tolist(), strict=True)
        return np.array([slot for _, _, slot in sorted(keys)], np.int64)

    def _nearest(self, suffix: str, filters: list[Clause]) -> IntArray:
        return self._vector_leg.slots(self._replies.get(f"nearest{suffix}"), filters)

    def _pinned(self, suffix: str) -> IntArray:
        reply = self._replies.get(f"pinned{suffix}")
        return np.sort(self._hits.add(reply.hits.hits)) if reply is not None else np.empty(0, np.int64)

    def _facet(self, i: int, operator: Operator, nearest: NearestHits, others: IntArray) -> Facet:
        """Return the i-th facet: what the node counted, and the documents that its keyword query does not match."""
        reply, uncounted = self._replies["keyword"], others
        filters = self._plan.facet_filters.get(i)
        if filters is not None:
            reply = self._replies[f"facet.{i}"]
            nearest_slots = self._nearest(f".{i}", filters)
            pinned = self._pinned(f".{i}")
            uncounted = self._unmatched(np.union1d(nearest_slots if nearest.trust else nearest.slots, pinned), operator)
        fields = [hit.fields for hit in self._hits.select(uncounted)]
        return facet(self._plan.request.facets[i], reply.aggregations[f"{operator}.{i}"], fields)

    def _sorted(self, operator: Operator, others: IntArray) -> IntArray:
        """Return the match set in the order of the sort keys. The vector leg must be known for it: one more request."""
        body = sorted_body(self._plan, operator, self._hits.ids(others))
        return self._hits.add(self._search([body])[0].hits.hits)
