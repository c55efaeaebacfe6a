"""Limits of a request."""

from __future__ import annotations

import pytest

from events.errors import InvalidInput
from searchsvc.engines.retrieval import FacetRequest, SortKey
from searchsvc.search.request import SearchRequest


@pytest.mark.parametrize(
    ("field", "value"),
    [("limit", -1), ("limit", 1001), ("offset", -1), ("offset", 995), ("user_token", "x" * 130), ("min_seq", -1)],
)
def test_a_request_out_of_its_limits_names_field_value_and_limit(field: str, value: object) -> None:
    with pytest.raises(InvalidInput) as refused:
        SearchRequest(query="x", **{field: value}).check()  # type: ignore[arg-type]
    assert refused.value.field == field
    assert refused.value.limit


def test_a_logged_request_keeps_what_decides_the_ranking_and_nothing_else() -> None:
    request = SearchRequest(
        query="red", limit=3, filters="brand:Ab", context=["mobile"], user_token="u1", explain=True, min_seq=9
    )
    logged = SearchRequest.from_log("red", request.to_log())
    assert logged == SearchRequest(query="red", limit=3, filters="brand:Ab", context=["mobile"])
    assert SearchRequest(query="red", user_token="u1").to_log() == ""
    assert SearchRequest.from_log("red", "") == SearchRequest(query="red")


def test_facets_and_sort_keys_are_parsed() -> None:
    request = SearchRequest(facets=["brand", FacetRequest("votes", 3)], sort=["price:desc", "a:b:asc"])
    request.check()
    assert request.facet_requests() == (FacetRequest("brand"), FacetRequest("votes", 3))
    assert request.sort_keys() == (SortKey("price", True), SortKey("a:b", False))
    with pytest.raises(InvalidInput, match="field:asc or field:desc"):
        SearchRequest(sort=["price"]).check()
