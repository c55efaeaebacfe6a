"""Counting the values of an attribute."""

from __future__ import annotations

from searchsvc.engines.opensearch.attribute_columns import N_COLUMNS, column, number_in_order
from searchsvc.engines.opensearch.facets import MIN_SHARD_SIZE, FieldValues, facet, facet_aggregation, facet_paths
from searchsvc.engines.opensearch.replies import Aggregation, Bucket, Stats, Terms, Value
from searchsvc.engines.retrieval import FacetRequest, FacetStats, FacetValue
from searchsvc.engines.values import kinds_of

VALUES, SPELLINGS, ORDER = (column(kind, "brand") for kind in "vso")
KINDS = {"brand": frozenset({*kinds_of("Ab"), *kinds_of(4)})}
COUNTED = Aggregation(
    5,
    Terms([Bucket("brand\0ab", 3), Bucket("brand\0cd", 2)]),
    Terms([Bucket("brand\0ab\0Ab", 2), Bucket("brand\0cd\0cd", 2), Bucket("brand\0ab\0ab", 1)]),
    Value(2.0),
    Stats(count=2, min=40.0, max=42.0, sum=82.0),
)


def test_documents_that_the_node_did_not_count_are_added() -> None:
    more: dict[str, list[str | float | bool]] = {
        VALUES: ["brand\0cd", "brand\0ef", "other\0cd"],
        SPELLINGS: ["brand\0cd\0CD", "brand\0ef\0Ef"],
        ORDER: [number_in_order("brand", 50), number_in_order("other", 9)],
    }
    uncounted: list[FieldValues] = [more, {}]
    counted = facet(FacetRequest("brand", 2), COUNTED, uncounted, KINDS)
    assert counted.values == [FacetValue("Ab", 3), FacetValue("cd", 3)]
    assert counted.n_values == 3
    assert counted.stats == FacetStats(40.0, 50.0, 132.0 / 3, 132.0)


def test_the_node_estimates_the_number_of_values_that_it_did_not_list() -> None:
    more = Aggregation(9, Terms([Bucket("brand\0ab", 3)], sum_other_doc_count=6), Terms([]), Value(70.0))
    counted = facet(FacetRequest("brand"), more, [{VALUES: ["brand\0zz"]}], {})
    assert (counted.n_values, counted.stats) == (71, None)


def test_yes_and_no_are_two_values_however_they_are_written() -> None:
    terms = Terms([Bucket("stock\0yes", 3), Bucket("stock\0true", 2), Bucket("stock\0no", 1)])
    spellings = Terms([Bucket("stock\0yes\0Yes", 3), Bucket("stock\0true\0true", 2), Bucket("stock\0no\0no", 1)])
    kinds = {"stock": frozenset({*kinds_of("yes"), *kinds_of("no")})}
    counted = facet(FacetRequest("stock"), Aggregation(6, terms, spellings, Value(3.0)), [], kinds)
    assert counted.values == [FacetValue("Yes", 5), FacetValue("no", 1)]


def test_a_query_without_words_asks_for_all_values() -> None:
    plain, signs = FacetRequest("brand"), FacetRequest("brand", query=" ! ")
    assert facet_paths(signs) == facet_paths(plain)
    assert facet_aggregation(signs, 0, {"match_all": {}}, KINDS) == facet_aggregation(
        plain, 0, {"match_all": {}}, KINDS
    )
    assert facet_paths(FacetRequest("brand", query="a")) == [column("w", "brand")]


def test_shards_report_more_values_than_are_requested() -> None:
    request = FacetRequest("brand", 5)
    single = facet_aggregation(request, 3, {"match_all": {}}, {})
    several = facet_aggregation(request, 3, {"match_all": {}}, KINDS, n_shards=2)
    assert single["aggs"]["values"]["terms"]["size"] == 8
    assert "shard_size" not in single["aggs"]["values"]["terms"]
    assert several["aggs"]["values"]["terms"]["shard_size"] == MIN_SHARD_SIZE
    assert ("stats" in single["aggs"], "stats" in several["aggs"]) == (False, True)


def test_distinct_values_are_counted_by_the_column_unless_another_attribute_is_in_it() -> None:
    kinds = {f"a{i}": frozenset({"text"}) for i in range(20 * N_COLUMNS)}
    alone = facet_aggregation(FacetRequest("brand"), 0, {"match_all": {}}, {"brand": frozenset({"text"})})
    shared = facet_aggregation(FacetRequest("brand"), 0, {"match_all": {}}, kinds)
    assert alone["aggs"]["n_values"]["cardinality"]["field"] == VALUES
    assert "script" in shared["aggs"]["n_values"]["cardinality"]
