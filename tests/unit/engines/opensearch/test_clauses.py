"""Filters as clauses of OpenSearch's query language."""

from __future__ import annotations

from typing import Any

import pytest

from searchsvc.engines.filters import parse_filter
from searchsvc.engines.opensearch.clauses import LIVE, among_query, any_of, filter_clause, nearest_query, scope_clauses
from tests.factories import vector


@pytest.mark.parametrize(
    ("text", "clause"),
    [
        ("brand:HP", {"terms": {"a.mbrand.f": ["hp"]}}),
        (
            "size:41",
            {
                "bool": {
                    "should": [{"terms": {"a.msize.f": ["41"]}}, {"terms": {"a.msize.n": [41.0]}}],
                    "minimum_should_match": 1,
                }
            },
        ),
        ("size:nan", {"terms": {"a.msize.f": ["nan"]}}),
        ("id:(A7 OR b9)", {"terms": {"id": ["A7", "b9"]}}),
        ("brand:*", {"exists": {"field": "a.mbrand.v"}}),
        ("NOT brand:*", {"bool": {"must_not": [{"exists": {"field": "a.mbrand.v"}}]}}),
        ("price:[1 TO 5}", {"range": {"a.mprice.n": {"gte": 1.0, "lt": 5.0}}}),
        ("price>1", {"range": {"a.mprice.n": {"gt": 1.0}}}),
        ("made<=1970-01-02", {"range": {"a.mmade.d": {"lt": 172800.0}}}),
        ("a:* b:*", {"bool": {"filter": [{"exists": {"field": "a.ma.v"}}, {"exists": {"field": "a.mb.v"}}]}}),
    ],
)
def test_a_filter_is_translated(text: str, clause: dict[str, Any]) -> None:
    condition = parse_filter(text)
    assert condition is not None
    assert filter_clause(condition) == clause


def test_every_hit_must_be_live_and_not_excluded() -> None:
    condition = parse_filter("id:1")
    assert scope_clauses(condition, "7") == [
        LIVE,
        {"terms": {"id": ["1"]}},
        {"bool": {"must_not": [{"term": {"id": "7"}}]}},
    ]
    assert scope_clauses(None, None) == [LIVE]


def test_any_of_one_clause_is_that_clause() -> None:
    assert any_of([LIVE]) == LIVE
    assert any_of([LIVE, LIVE])["bool"]["minimum_should_match"] == 1


def test_the_vector_leg_filters_before_it_takes_the_nearest() -> None:
    knn = nearest_query(vector(1), 3, [LIVE], {"named": {}})["bool"]["must"][0]["knn"]["vector"]
    assert (knn["k"], knn["filter"]) == (3, {"bool": {"filter": [LIVE]}})
    assert len(knn["vector"]) == len(vector(1))
    assert among_query(["1"], [LIVE], {"named": {}})["bool"]["filter"][1] == {"terms": {"id": ["1"]}}
