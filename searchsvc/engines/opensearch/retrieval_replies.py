"""The node's replies to the requests of one retrieval, read into what was retrieved."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from searchsvc.analysis.query import Operator
from searchsvc.engines.opensearch import replies
from searchsvc.engines.opensearch.facets import facet
from searchsvc.engines.opensearch.hits import Hits
from searchsvc.engines.opensearch.keyword_query import ALL_TERMS_LIFT
from searchsvc.engines.opensearch.requests import Plan, facet_bodies, match_set_clause, sorted_body
from searchsvc.engines.opensearch.vector_leg import Search, VectorLeg
from searchsvc.engines.retrieval import FULL_PAGE, Facet, Retrieved
from tuning.arrays import IntArray

# Digits of a score that are exact after `ALL_TERMS_LIFT` is subtracted.
SCORE_DIGITS: Final = 3

Unmatched = Callable[[IntArray, Operator], IntArray]


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
        plan, request = self._plan, self._plan.request
        operator = self._operator()
        keyword = self._keyword_order(self._replies["keyword"], operator)
        boosted = self._keyword_order(self._replies.get("boosted"), operator)
        in_scope = keyword if "scope" not in self._replies else self._keyword_order(self._replies["scope"], operator)
        of_scope = self._vector_leg.found(self._replies.get("nearest"), in_scope)
        if request.operator == "all" and request.query.text:
            of_scope = of_scope.without(self._not_matched(of_scope.slots, "all"))
        pinned_of_scope = self._pinned()
        nearest = of_scope.only(self._passing(of_scope.slots, plan.filter_name))
        pinned = self._passing(pinned_of_scope, plan.filter_name)
        # Documents of the match set that the keyword leg does not match.
        others = self._not_matched(np.union1d(nearest.slots, pinned), operator)
        total, is_fallback = self._n_matched(operator) + len(others), False
        if not total and request.filters is not None and request.operator != "all":
            nearest = self._vector_leg.fallback(of_scope.trust)
            others, total = nearest.slots, len(nearest.slots)
            is_fallback = bool(total)
        ordered, facets = self._counted(operator, others, np.union1d(of_scope.slots, pinned_of_scope))
        return Retrieved(
            keyword=keyword if ordered is None else ordered,
            nearest=nearest.slots,
            cosines=nearest.cosines,
            vector_trust=nearest.trust,
            total=total,
            operator=operator if request.has_operator else None,
            unmatched_terms=unmatched_terms,
            facets=facets,
            is_fallback=is_fallback,
            pinned=pinned,
            boosted=boosted,
        )

    def _operator(self) -> Operator:
        """Return the operator that documents match by, decided in the scope. See `Retrieval.operator`."""
        reply, request = self._replies.get("scope") or self._replies["keyword"], self._plan.request
        if not request.query.text or request.operator == "all":
            return "all"
        if self._plan.clauses.all_terms is None:
            return "any" if request.query.required_positions else "all"
        n_any, n_all = reply.hits.total.value, reply.aggregations["all"].doc_count
        if request.operator == "auto" and n_all >= FULL_PAGE:
            return "all"
        return "any" if request.operator == "any" or n_any > n_all else "all"

    def _n_matched(self, operator: Operator) -> int:
        """Return how many documents of the keyword leg pass the filters."""
        reply = self._replies["keyword"]
        if self._plan.request.query.text and operator == "all":
            return reply.aggregations["all"].doc_count
        return reply.hits.total.value

    def _not_matched(self, slots: IntArray, operator: Operator) -> IntArray:
        """Return those of some slots that the keyword leg does not match."""
        if self._plan.request.query.text and self._plan.clauses.all_terms is None:
            return slots
        return self._unmatched(slots, operator)

    def _passing(self, slots: IntArray, name: str) -> IntArray:
        """Return those of some slots that reported to pass a tested filter; all for the name ''."""
        if not name:
            return slots
        return slots[[name in hit.named for hit in self._hits.select(slots)]]

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

    def _pinned(self) -> IntArray:
        reply = self._replies.get("pinned")
        return np.sort(self._hits.add(reply.hits.hits)) if reply is not None else np.empty(0, np.int64)

    def _counted(
        self, operator: Operator, others: IntArray, all_others: IntArray
    ) -> tuple[IntArray | None, dict[str, Facet]]:
        """Return the answer in the order of the sort keys, None without any, and the facets.

        What matches must be known for both: one more round of requests.

        others: documents of the answer that the keyword leg does not match
        all_others: the vector leg and the pinned documents in the scope
        """
        plan, request = self._plan, self._plan.request
        answer = match_set_clause(plan, operator, self._hits.ids(others))
        match_set = match_set_clause(plan, operator, self._hits.ids(all_others))
        sorting = [sorted_body(plan, answer)] if request.sort or request.after_id is not None else []
        counting = facet_bodies(plan, answer, match_set)
        search_replies = self._search([*sorting, *counting]) if sorting or counting else []
        ordered = self._hits.add(search_replies[0].hits.hits) if sorting else None
        counts = {name: counted for reply in search_replies for name, counted in reply.aggregations.items()}
        kinds = plan.state.attribute_kinds
        facets = {asks.field: facet(asks, counts[str(i)], kinds) for i, asks in enumerate(request.facets)}
        return ordered, facets
