"""Filters as clauses of OpenSearch's query language."""

from __future__ import annotations

from typing import Any

import pytest

from searchsvc.engines.filters import parse_filter
from searchsvc.engines.opensearch.attribute_columns import column, number_in_order
from searchsvc.engines.opensearch.clauses import (
    LIVE,
    NOTHING,
    among_query,
    any_of,
    filter_clause,
    nearest_query,
    scope_clauses,
)
from searchsvc.engines.values import kinds_of, number_key
from tests.factories import vector

BRAND, MADE, PRICE = column("v", "brand"), column("d", "made"), column("o", "price")
EXISTS = {"terms": {"kinds": ["brand\0number", "brand\0text"]}}
KINDS = {"price": frozenset(kinds_of(3)), "cost": frozenset(kinds_of("1,5 €")), "stock": frozenset(kinds_of("yes"))} | {
    "day": frozenset([*kinds_of("2026-01-05"), *kinds_of("soon")])
}


@pytest.mark.parametrize(
    ("text", "clause"),
    [
        ("brand:HP", {"terms": {BRAND: ["brand\0hp"]}}),
        ("price:7.0", {"terms": {column("v", "price"): ["price\x007.0", "price\x007"]}}),
        ("brand:(a OR A OR b)", {"terms": {BRAND: ["brand\0a", "brand\0b"]}}),
        ("id:(A7 OR b9)", {"terms": {"id": ["A7", "b9"]}}),
        ("brand:*", EXISTS),
        ("NOT brand:*", {"bool": {"must_not": [EXISTS]}}),
        (
            "price:[1 TO 5}",
            {"range": {PRICE: {"gte": number_in_order("price", 1), "lt": number_in_order("price", 5)}}},
        ),
        ("price>1", {"range": {PRICE: {"gt": number_in_order("price", 1), "lt": "price\x001"}}}),
        ("price<=1", {"range": {PRICE: {"gte": "price\x000", "lte": number_in_order("price", 1)}}}),
        ("cost>1", {"range": {column("n", "cost"): {"gt": f"cost\0{number_key(1)}", "lt": "cost\1"}}}),
        ("made<=1970-01-02", {"range": {MADE: {"gte": "made\0", "lt": f"made\0{number_key(172_800)}"}}}),
        # A range over the dates among other texts would be one of a part of the documents.
        ("day<=1970-01-02", NOTHING),
        ("brand:* brand:*", {"bool": {"filter": [EXISTS, EXISTS]}}),
    ],
)
def test_a_filter_is_translated(text: str, clause: dict[str, Any]) -> None:
    condition = parse_filter(text)
    assert condition is not None
    assert filter_clause(condition, KINDS) == clause


def test_yes_is_true_in_an_attribute_of_nothing_else() -> None:
    condition = parse_filter("stock:true")
    assert condition is not None
    assert "stock\0yes" in filter_clause(condition, KINDS)["terms"][column("v", "stock")]


def test_every_hit_must_be_live_and_not_excluded() -> None:
    condition = parse_filter("id:1")
    assert scope_clauses(condition, {}, "7") == [
        LIVE,
        {"terms": {"id": ["1"]}},
        {"bool": {"must_not": [{"term": {"id": "7"}}]}},
    ]
    assert scope_clauses(None, {}, None) == [LIVE]


def test_any_of_one_clause_is_that_clause() -> None:
    assert any_of([LIVE]) == LIVE
    assert any_of([LIVE, LIVE])["bool"]["minimum_should_match"] == 1


def test_the_vector_leg_filters_before_it_takes_the_nearest() -> None:
    knn = nearest_query(vector(1), 3, [LIVE], {"named": {}})["bool"]["must"][0]["knn"]["vector"]
    assert (knn["k"], knn["filter"]) == (3, {"bool": {"filter": [LIVE]}})
    assert len(knn["vector"]) == len(vector(1))
    assert among_query(["1"], [LIVE], {"named": {}})["bool"]["filter"][1] == {"terms": {"id": ["1"]}}
