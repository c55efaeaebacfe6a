"""A retrieval as search requests to the node. Pure.

The requests of a retrieval are sent at once, by name:

    keyword          the keyword leg within the filters, and its total
    scope            the first of the keyword leg without the filters, and how many match: if there are filters
    nearest, pinned  the vector leg and the pinned documents without the filters; each hit says which of them it passes
    boosted          the best keyword matches that pass the filter `boosted`

From the replies follows which documents match. Those are counted, and sorted by attributes, in a second step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from searchsvc.analysis.query import Operator
from searchsvc.engines.columnar.statistics import QueryStatistics
from searchsvc.engines.filters import Filter
from searchsvc.engines.opensearch import mapping
from searchsvc.engines.opensearch.attribute_columns import AttributeKinds, column
from searchsvc.engines.opensearch.clauses import (
    EVERYTHING,
    LIVE,
    NOTHING,
    Clause,
    among_query,
    any_of,
    filter_clause,
    ids_clause,
    nearest_query,
    scope_clauses,
)
from searchsvc.engines.opensearch.facets import facet_aggregation
from searchsvc.engines.opensearch.keyword_query import (
    QueryClauses,
    keyword_query,
    match_clause,
    phrase_clauses,
    query_clauses,
)
from searchsvc.engines.opensearch.named_scores import filter_name, with_test_filters
from searchsvc.engines.opensearch.ordering import browse_sort, sort_clauses
from searchsvc.engines.opensearch.state import IndexState
from searchsvc.engines.retrieval import Retrieval
from searchsvc.engines.vector_trust import N_COMPARED
from tuning.arrays import FloatArray

Body = dict[str, Any]
# The node returns no more hits of one search.
MAX_WINDOW: Final = 10_000
# With more hits than this, documents would be read that no page can show.
MAX_WITH_DOCUMENTS: Final = 1000
# How many times k of the nearest are tried at first if a filter may exclude most of them.
FILTERED_FACTOR: Final = 4
# So many more than k are tried: the node compares exact vectors, we rounded ones, so those near the k-th may change
# places.
MORE_NEAREST: Final = 20


class Plan(msgspec.Struct, frozen=True):
    """A retrieval in the node's terms.

    clauses: of the query; their named clauses also test `tested`
    vector: (dimension,) of the query, None without a vector leg
    scope: what every document of the match set must match: the scope and the query's phrases
    filters: what every hit must match: the scope and the filters
    tested: filters of which each hit reports whether it passes: those the search will ask about, then that of this
        retrieval
    facet_filters: what every document must match that a facet counts, by the facet's position: that of a disjunctive
        one may be less than `filters`
    """

    state: IndexState
    request: Retrieval
    clauses: QueryClauses
    vector: FloatArray | None
    scope: list[Clause]
    filters: list[Clause]
    tested: tuple[Filter, ...]
    facet_filters: Sequence[list[Clause]]

    @property
    def window(self) -> int:
        """How many documents the order must contain."""
        window = self.request.window
        return MAX_WINDOW if window is None else max(self.request.k, window, N_COMPARED)

    @property
    def filter_name(self) -> str:
        """Name of the clause by which a hit reports that it passes the filters; '' without filters."""
        return _name(self.request.filters)


def plan(
    state: IndexState,
    request: Retrieval,
    statistics: QueryStatistics,
    vector: FloatArray | None,
    excluded_id: str | None,
) -> Plan:
    """Translate a retrieval. statistics: of its query."""
    boosts = [max(request.field_boosts.get(field.name, 1.0), 0.0) for field in state.settings.searchable]
    clauses = query_clauses(request.query, statistics, boosts, state.vocabulary.rarity)
    lacks_terms = not all(statistics.in_index[position] for position in request.query.required_positions)
    if not request.has_keyword_leg or (request.operator == "all" and lacks_terms):
        clauses = msgspec.structs.replace(clauses, all_terms=None, any_term=None)
    kinds = state.attribute_kinds
    always = [*scope_clauses(request.scope, kinds, excluded_id), *phrase_clauses(request.query)]
    own = [request.filters] if request.filters is not None else []
    tested = tuple(dict.fromkeys((*request.test_filters, *own)))
    return Plan(
        state=state,
        request=request,
        clauses=msgspec.structs.replace(clauses, named=with_test_filters(clauses.named, tested, kinds)),
        vector=vector,
        scope=always,
        filters=_and(always, request.filters, kinds),
        tested=tested,
        facet_filters=[_and(always, facet.filters_of(request.filters), kinds) for facet in request.facets],
    )


def bodies(plan: Plan) -> dict[str, Body]:
    """Return the request bodies of a retrieval by name."""
    request = plan.request
    all_bodies = {"keyword": _with_all_counted(plan, _ordered_body(plan, plan.filters, plan.window))}
    if request.filters is not None and request.query.text:
        all_bodies["scope"] = _with_all_counted(plan, _ordered_body(plan, plan.scope, N_COMPARED))
    if plan.vector is not None:
        all_bodies["nearest"] = _nearest_body(plan, plan.vector)
    if request.pinned_ids:
        all_bodies["pinned"] = among_body(plan, request.pinned_ids, plan.scope)
    if request.boosted is not None:
        filters = [*plan.filters, filter_clause(request.boosted, plan.state.attribute_kinds)]
        all_bodies["boosted"] = _ordered_body(plan, filters, request.k)
    return all_bodies


def _and(clauses: Sequence[Clause], condition: Filter | None, kinds: AttributeKinds) -> list[Clause]:
    return [*clauses, *([filter_clause(condition, kinds)] if condition is not None else [])]


def _name(condition: Filter | None) -> str:
    return filter_name(condition) if condition is not None else ""


def among_body(plan: Plan, ids: Sequence[str], filters: Sequence[Clause]) -> Body:
    """Return the request for those of some documents that pass the filters."""
    n = min(len(ids), MAX_WINDOW)
    query = among_query(ids, filters, plan.clauses.named)
    return {**reported(plan.request.distinct, n), "size": n, "query": query}


def passing_ids_body(filters: Sequence[Clause]) -> Body:
    """Return the request for the ids of all documents that pass the filters."""
    body = {**reported(None), "query": {"bool": {"filter": list(filters)}}, "size": MAX_WINDOW}
    return {**body, "docvalue_fields": ["id"]}


def sorted_body(plan: Plan, match_set: Clause) -> Body:
    """Return the request for the answer in the order of the sort keys. match_set: as in `match_set_clause`"""
    request = plan.request
    after: list[Clause] = [{"range": {"id": {"gt": request.after_id}}}] if request.after_id else []
    return {
        **reported(request.distinct, plan.window),
        "query": {"bool": {"filter": [*plan.filters, *after, match_set, plan.clauses.named]}},
        "sort": sort_clauses(request.sort, plan.state.attribute_kinds),
        "size": plan.window,
    }


def match_set_clause(plan: Plan, operator: Operator, other_ids: Sequence[str]) -> Clause:
    """Return the clause that the documents of the match set match.

    operator: the operator that the keyword leg matched by
    other_ids: documents of the match set that the keyword leg does not match
    """
    matching = match_clause(plan.clauses, operator) if plan.request.query.text else EVERYTHING
    return any_of([matching, ids_clause(other_ids)])


def facet_bodies(plan: Plan, answer: Clause, match_set: Clause) -> list[Body]:
    """Return the requests that count the facets, each named by its position.

    answer: as in `match_set_clause`; of a fallback, the clause of its documents
    match_set: what facets count that are not under all filters
    """
    state, under_all = plan.state, dict[str, Clause]()
    requests = [_facet_body(plan.filters, answer, under_all)]
    for i, (facet, filters) in enumerate(zip(plan.request.facets, plan.facet_filters, strict=True)):
        counts = facet_aggregation(facet, state.attribute_kinds, n_shards=state.index.n_shards)
        if filters == plan.filters:
            under_all[str(i)] = counts
        else:
            requests.append(_facet_body(filters, match_set, {str(i): counts}))
    return requests if under_all else requests[1:]


def _facet_body(filters: Sequence[Clause], matching: Clause, counts: dict[str, Clause]) -> Body:
    return {"size": 0, "query": {"bool": {"filter": [*filters, matching]}}, "aggs": counts}


def lookup_body(clause: Clause, named: Clause | None, group: str | None, n: int) -> Body:
    """Return the request for n documents that the search did not find.

    clause: the clause that matches them
    named: named clauses to report the scores of
    group: attribute to report for grouping
    """
    filters = [LIVE, clause] if named is None else [LIVE, clause, named]
    return {**reported(group, n), "query": {"bool": {"filter": filters}}, "size": n}


def sample_body(n: int) -> Body:
    """Return the request for n documents at random, always the same ones."""
    draw = {"query": LIVE, "random_score": {"seed": 1, "field": "id"}, "boost_mode": "replace"}
    n = min(n, MAX_WINDOW)
    return {**reported(None), "query": {"function_score": draw}, "sort": ["_score", {"id": "asc"}], "size": n}


def reported(group: str | None, n: int = MAX_WINDOW) -> Body:
    """Return the members of a request that say what each of n hits reports."""
    fields = ["id", mapping.COLUMNS]
    fields += [mapping.SHORT] if n <= MAX_WITH_DOCUMENTS else []
    fields += [column("g", group)] if group is not None else []
    # Stored fields cost more to read than columns.
    return {"stored_fields": "_none_", "docvalue_fields": fields, "track_total_hits": True}


def _with_all_counted(plan: Plan, body: Body) -> Body:
    """Let a request also count the documents that contain all terms."""
    return {**body, "aggs": {"all": {"filter": plan.clauses.all_terms or NOTHING}}}


def _ordered_body(plan: Plan, filters: list[Clause], n: int) -> Body:
    """Return the request for the first n of the keyword order."""
    request, clauses = plan.request, plan.clauses
    body: Body = {**reported(request.distinct, n), "size": n}
    if not request.query.text:
        body["query"] = {"bool": {"filter": [*filters, clauses.named] if request.test_filters else filters}}
        scales = [signal.scale if signal.transform == "decay" else 0.0 for signal in plan.state.settings.signals]
        body["sort"] = browse_sort(request.signal_weights.tolist(), scales, request.timestamp_s)
    else:
        body["query"] = keyword_query(clauses, request.operator, filters)
        body["sort"] = ["_score", {"id": "asc"}]
    return body


def _nearest_body(plan: Plan, vector: FloatArray) -> Body:
    request, vectors = plan.request, plan.state.vectors
    if vectors is None:
        return nearest_body(plan, vector, plan.scope, request.k)
    # Only the node knows which documents are in the scope.
    n_tried = request.k if len(plan.scope) == 1 else FILTERED_FACTOR * request.k
    return among_body(plan, vectors.nearest(vector, n_tried), plan.scope)


def nearest_body(plan: Plan, vector: FloatArray, filters: Sequence[Clause], k: int) -> Body:
    """Return the request for hits among which are the k nearest that pass the filters.

    It is for a node that searches vectors.
    """
    n = k + MORE_NEAREST
    query = nearest_query(vector, n, filters, plan.clauses.named)
    return {**reported(plan.request.distinct, k), "size": n, "query": query}
