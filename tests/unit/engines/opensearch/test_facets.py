"""Counting the values of an attribute."""

from __future__ import annotations

from searchsvc.engines.opensearch.facets import MIN_SHARD_SIZE, FieldValues, facet, facet_aggregation
from searchsvc.engines.opensearch.replies import Aggregation, Bucket, Stats, Terms, Value
from searchsvc.engines.retrieval import FacetRequest, FacetStats, FacetValue

COUNTED = Aggregation(
    5, Terms([Bucket("Ab", 3), Bucket("Cd", 2)]), Value(2.0), Stats(count=2, min=40.0, max=42.0, sum=82.0)
)


def test_documents_that_the_node_did_not_count_are_added() -> None:
    uncounted: list[FieldValues] = [{"a.mbrand.v": ["Cd", "Ef"], "a.mbrand.n": [50.0]}, {}]
    counted = facet(FacetRequest("brand", 2), COUNTED, uncounted)
    assert counted.values == [FacetValue("Ab", 3), FacetValue("Cd", 3)]
    assert counted.n_values == 3
    assert counted.stats == FacetStats(40.0, 50.0, 132.0 / 3, 132.0)


def test_the_node_estimates_the_number_of_values_that_it_did_not_list() -> None:
    more = Aggregation(9, Terms([Bucket("Ab", 3)], sum_other_doc_count=6), Value(70.0))
    counted = facet(FacetRequest("brand"), more, [{"a.mbrand.v": ["Zz"]}])
    assert (counted.n_values, counted.stats) == (71, None)


def test_shards_report_more_values_than_are_requested() -> None:
    request = FacetRequest("brand", 5)
    single = facet_aggregation(request, 3, {"match_all": {}}, has_numbers=False)
    several = facet_aggregation(request, 3, {"match_all": {}}, has_numbers=True, n_shards=2)
    assert single["aggs"]["values"]["terms"]["size"] == 8
    assert "shard_size" not in single["aggs"]["values"]["terms"]
    assert several["aggs"]["values"]["terms"]["shard_size"] == MIN_SHARD_SIZE
    assert ("stats" in single["aggs"], "stats" in several["aggs"]) == (False, True)
