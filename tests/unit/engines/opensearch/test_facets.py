"""Counting the values of an attribute."""

from __future__ import annotations

from searchsvc.engines.opensearch.attribute_columns import N_COLUMNS, column
from searchsvc.engines.opensearch.facets import MIN_SHARD_SIZE, facet, facet_aggregation
from searchsvc.engines.opensearch.replies import Aggregation, Bucket, Stats, Terms, Value
from searchsvc.engines.retrieval import FacetRequest, FacetStats, FacetValue
from searchsvc.engines.values import kinds_of

VALUES = column("v", "brand")
KINDS = {"brand": frozenset({*kinds_of("Ab"), *kinds_of(4)})}
COUNTED = Aggregation(
    5,
    Terms([Bucket("brand\0ab", 3), Bucket("brand\0cd", 2)]),
    Terms([Bucket("brand\0ab\0Ab", 2), Bucket("brand\0cd\0cd", 2), Bucket("brand\0ab\0ab", 1)]),
    Value(2.0),
    Stats(count=2, min=40.0, max=42.0, sum=82.0),
)


def test_a_value_is_written_as_most_documents_write_it() -> None:
    counted = facet(FacetRequest("brand", 2), COUNTED, KINDS)
    assert counted.values == [FacetValue("Ab", 3), FacetValue("cd", 2)]
    assert counted.n_values == 2
    assert counted.stats == FacetStats(40.0, 42.0, 41.0, 82.0)


def test_the_node_estimates_the_number_of_values_that_it_did_not_list() -> None:
    more = Aggregation(9, Terms([Bucket("brand\0ab", 3)], sum_other_doc_count=6), Terms([]), Value(70.0))
    counted = facet(FacetRequest("brand"), more, {})
    assert (counted.n_values, counted.stats) == (70, None)


def test_yes_and_no_are_two_values_however_they_are_written() -> None:
    terms = Terms([Bucket("stock\0yes", 3), Bucket("stock\0true", 2), Bucket("stock\0no", 1)])
    spellings = Terms([Bucket("stock\0yes\0Yes", 3), Bucket("stock\0true\0true", 2), Bucket("stock\0no\0no", 1)])
    kinds = {"stock": frozenset({*kinds_of("yes"), *kinds_of("no")})}
    counted = facet(FacetRequest("stock"), Aggregation(6, terms, spellings, Value(3.0)), kinds)
    assert counted.values == [FacetValue("Yes", 5), FacetValue("no", 1)]


def test_a_query_without_words_asks_for_all_values() -> None:
    plain, signs = FacetRequest("brand"), FacetRequest("brand", query=" ! ")
    assert facet_aggregation(signs, KINDS) == facet_aggregation(plain, KINDS)
    of_words = facet_aggregation(FacetRequest("brand", query="a"), KINDS)["aggs"]
    assert of_words["values"]["terms"]["field"] == column("w", "brand")


def test_shards_report_more_values_than_are_requested() -> None:
    request = FacetRequest("brand", 5)
    single = facet_aggregation(request, {})
    several = facet_aggregation(request, KINDS, n_shards=2)
    assert single["aggs"]["values"]["terms"]["size"] == 5
    assert "shard_size" not in single["aggs"]["values"]["terms"]
    assert several["aggs"]["values"]["terms"]["shard_size"] == MIN_SHARD_SIZE
    assert ("stats" in single["aggs"], "stats" in several["aggs"]) == (False, True)


def test_distinct_values_are_counted_by_the_column_unless_another_attribute_is_in_it() -> None:
    kinds = {f"a{i}": frozenset({"text"}) for i in range(20 * N_COLUMNS)}
    alone = facet_aggregation(FacetRequest("brand"), {"brand": frozenset({"text"})})
    shared = facet_aggregation(FacetRequest("brand"), kinds)
    assert alone["aggs"]["n_values"]["cardinality"]["field"] == VALUES
    assert "script" in shared["aggs"]["n_values"]["cardinality"]
