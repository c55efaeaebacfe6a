"""A retrieval as requests to the node."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from searchsvc.analysis.understanding import understand
from searchsvc.engines.filters import parse_filter
from searchsvc.engines.opensearch.attribute_columns import column
from searchsvc.engines.opensearch.clauses import EVERYTHING
from searchsvc.engines.opensearch.requests import (
    MAX_WINDOW,
    MAX_WITH_DOCUMENTS,
    Plan,
    bodies,
    facet_bodies,
    match_set_clause,
    plan,
    reported,
    sorted_body,
)
from searchsvc.engines.retrieval import FacetRequest, Retrieval, SortKey
from tests.factories import vector
from tests.unit.engines.opensearch.fake_node import FakeNode
from tests.unit.engines.opensearch.states import state_on

STATE = state_on(FakeNode(lambda *_: None))


def planned(text: str = "red shoe", **members: Any) -> Plan:
    query = understand(text, STATE.vocabulary.lexicon)
    request = Retrieval(query, vector(1), {"title": 3.0}, np.array([1.0], np.float32), k=5, window=8)
    request = msgspec.structs.replace(request, **members)
    return plan(STATE, request, STATE.vocabulary.statistics(query), request.query_vector(), None)


def test_each_part_of_a_retrieval_is_a_request() -> None:
    assert set(bodies(planned())) == {"keyword", "nearest"}
    assert set(bodies(planned(pinned_ids=("1",), boosted=parse_filter("brand:x"), vector=None))) == {
        "keyword",
        "pinned",
        "boosted",
    }
    assert set(bodies(planned(filters=parse_filter("brand:x")))) == {"keyword", "scope", "nearest"}


def test_one_request_counts_all_facets_but_those_under_other_filters() -> None:
    facets = (FacetRequest("brand", disjunctive=True), FacetRequest("votes", disjunctive=True), FacetRequest("brand"))
    plan = planned(facets=facets, filters=parse_filter("brand:x"))
    answer, match_set = match_set_clause(plan, "any", ["7"]), match_set_clause(plan, "any", ["7", "8"])
    under_all, under_others = facet_bodies(plan, answer, match_set)
    assert (set(under_all["aggs"]), set(under_others["aggs"])) == ({"1", "2"}, {"0"})
    assert under_all["query"]["bool"]["filter"] == [*plan.filters, answer]
    assert under_others["query"]["bool"]["filter"] == [*plan.scope, match_set]
    assert facet_bodies(planned(), answer, match_set) == []


def test_filters_restrict_what_is_shown_and_not_what_matches() -> None:
    plan = planned(filters=parse_filter("brand:x"), scope=parse_filter("votes>1"), pinned_ids=("1",))
    named = plan.filter_name
    asked = bodies(plan)
    assert {named} == {clause["bool"].get("_name") for clause in plan.clauses.named["bool"]["should"][-1:]}
    assert plan.filters[:-1] == plan.scope
    assert asked["keyword"]["query"]["bool"]["filter"][: len(plan.filters)] == plan.filters
    for name in ("scope", "pinned"):
        assert plan.filters[-1] not in asked[name]["query"]["bool"]["filter"]
    within = asked["nearest"]["query"]["bool"]["must"][0]["knn"]["vector"]["filter"]["bool"]["filter"]
    assert within == plan.scope


def test_the_window_contains_every_candidate_and_those_that_trust_is_judged_by() -> None:
    assert planned(k=5, window=8).window == 10
    assert planned(k=50, window=8).window == 50
    assert planned(window=None).window == MAX_WINDOW


def test_documents_come_with_hits_only_if_a_page_may_show_them() -> None:
    few, many = reported(None, MAX_WITH_DOCUMENTS), reported("brand", MAX_WITH_DOCUMENTS + 1)
    assert few["docvalue_fields"] == ["id", "columns", "short"]
    assert many["docvalue_fields"] == ["id", "columns", column("g", "brand")]


def test_without_text_signals_order_and_everything_matches() -> None:
    plan = planned("")
    assert "_script" in bodies(plan)["keyword"]["sort"][0]
    assert match_set_clause(plan, "all", []) == {
        "bool": {"should": [EVERYTHING, {"terms": {"id": []}}], "minimum_should_match": 1}
    }


def test_the_match_set_is_sorted_with_documents_of_the_other_legs() -> None:
    plan = planned(sort=(SortKey("votes", descending=True),))
    body = sorted_body(plan, match_set_clause(plan, "any", ["7"]))
    match_set = body["query"]["bool"]["filter"][-2]["bool"]["should"]
    assert match_set == [plan.clauses.any_term, {"terms": {"id": ["7"]}}]
    (part,) = body["sort"][0]["_script"]["script"]["params"]["parts"]
    assert part["column"] == column("o", "votes")
