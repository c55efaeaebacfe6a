"""What every engine owes: the embedded one and the plain oracle answer these alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from benchmarks.oracle import OracleSnapshot
from events.errors import InvalidInput
from searchsvc.analysis.query import Query
from searchsvc.analysis.understanding import understand
from searchsvc.engines.filters import Filter, parse_filter
from searchsvc.engines.opensearch.node import Node
from searchsvc.engines.protocol import Reading, Upsert
from searchsvc.engines.retrieval import FacetRequest, Retrieval, Retrieved, SortKey
from searchsvc.search.request import SearchRequest
from tests.factories import SETTINGS, engine, opensearch_engine, upsert, vector

DOCUMENTS = (
    upsert("1", "Red running shoes", "light shoes for the road", seed=1, votes=3, brand="Ab", sizes=[40, 41]),
    upsert("2", "Blue running shoes", "grip on wet rock", seed=2, votes=9, brand="Cd", sizes=[41, 42]),
    upsert("3", "Red wool socks", "warm socks inside shoes", seed=3, brand="ab", made="2021-05-06"),
    upsert("4", "Rain jacket MX-5000", "dry on the road", seed=4, votes=20, brand="Cd", made="2020-01-01T10:00:00Z"),
    upsert("5", "Red", "", seed=5, votes=1, soft=True),
    upsert("6", '17" screen protector', "for a road trip", seed=6, brand="Ef", sizes=[17.5], soft=False),
)

Build = Callable[[Sequence[Upsert]], Reading]


@pytest.fixture(params=["embedded", "opensearch", "opensearch, vectors here", "opensearch, three shards", "oracle"])
def build(request: pytest.FixtureRequest, tmp_path: Path) -> Build:
    if request.param == "oracle":
        return lambda documents: OracleSnapshot(documents, SETTINGS).reading()
    if request.param.startswith("opensearch"):
        node: Node = request.getfixturevalue("node")
        knn, n_shards = "vectors here" not in request.param, 3 if "three shards" in request.param else 1
        return lambda documents: opensearch_engine(node, documents, knn=knn, n_shards=n_shards).snapshot().reading()
    return lambda documents: engine(tmp_path, documents).snapshot().reading()


def retrieve(reading: Reading, query: str = "", seed: int | None = None, k: int = 100, **asked: Any) -> Retrieved:
    request = SearchRequest(query=query, **asked)
    request.check()
    return reading.retrieve(
        Retrieval(
            query=understand(query, reading.snapshot.lexicon, typing=request.typing),
            vector=vector(seed) if seed is not None else None,
            field_boosts={"title": 3.0, "text": 1.0},
            signal_weights=np.array([1.0], np.float32),
            k=k,
            window=request.window,
            operator=request.operator,
            filters=parse_filter(request.filters),
            facets=request.facet_requests(),
            sort=request.sort_keys(),
        )
    )


def ids(reading: Reading, slots: Any) -> list[str]:
    return [reading.id(slot) for slot in slots.tolist()]


def features(reading: Reading, query: str, *names: str) -> dict[str, Any]:
    asked: Query = understand(query, reading.snapshot.lexicon)
    found = [reading.find(name) for name in names]
    assert None not in found
    made = reading.text_features(np.array(found, np.int64), asked)
    return {name: getattr(made, name).tolist() for name in made.__struct_fields__}


@pytest.mark.parametrize(
    ("query", "operator", "expected"),
    [
        ("red shoes", "all", {"1", "3"}),
        ("red shoes", "any", {"1", "2", "3", "5"}),
        ("red shoes", "auto", {"1", "2", "3", "5"}),
        ("RÉD shoe", "all", {"1", "3"}),
        ("the road", "all", {"1", "4", "6"}),
        ("the", "all", {"1", "4"}),
        ("mx5000", "all", {"4"}),
        ("mx 5000", "all", {"4"}),
        ("MX-5000", "auto", {"4"}),
        ("5000", "all", {"4"}),
        ("17 inch", "all", {"6"}),
        ("17in", "all", {"6"}),
        ("jaket", "all", {"4"}),
        ("runing", "all", {"1", "2"}),
        ("scren protecter", "all", {"6"}),
        ("raincoat zzzz", "auto", set()),
        ("red zzzzz", "auto", {"1", "3", "5"}),
        ("rainjacket", "auto", {"4"}),
        ("jack", "auto", {"4"}),
        ("!!!", "auto", set()),
        ("", "auto", {"1", "2", "3", "4", "5", "6"}),
    ],
)
def test_a_query_matches_what_holds_its_words(build: Build, query: str, operator: str, expected: set[str]) -> None:
    reading = build(DOCUMENTS)
    found = retrieve(reading, query, operator=operator)
    assert set(ids(reading, found.keyword)) == expected
    assert found.total == len(expected)


def test_the_answer_says_when_any_word_was_enough_and_which_nobody_has(build: Build) -> None:
    reading = build(DOCUMENTS)
    assert retrieve(reading, "red jacket").operator == "any"
    assert retrieve(reading, "red").operator == "all"
    assert retrieve(reading, "").operator is None
    assert retrieve(reading, "red zzzzz").unmatched_terms == (1,)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ("brand:ab", {"1", "3"}),
        ("NOT brand:AB", {"2", "4", "5", "6"}),
        ("brand:(ab OR ef)", {"1", "3", "6"}),
        ("sizes:[41 TO 42]", {"1", "2"}),
        ("sizes:{41 TO 42]", {"2"}),
        ("sizes>=41 sizes<42", {"1", "2"}),
        ("sizes:17.5", {"6"}),
        ("soft:true OR soft:false", {"5", "6"}),
        ("soft:*", {"5", "6"}),
        ("id:(5 OR 6 OR nobody)", {"5", "6"}),
        ("soft:* AND NOT id:5", {"6"}),
        ("made:[2020-01-01 TO 2020-01-01]", {"4"}),
        ("made>2020-01-01", {"3"}),
        ("made:[2020-01-01T12:00:00Z TO *]", {"3"}),
        ("votes:[* TO 3] AND NOT (brand:ab OR soft:true)", set()),
        ({"any": [{"field": "votes", "from": 9}, {"not": {"field": "brand", "exists": True}}]}, {"2", "4", "5"}),
    ],
)
def test_filters_let_through_what_they_say(build: Build, filters: Any, expected: set[str]) -> None:
    reading = build(DOCUMENTS)
    found = retrieve(reading, filters=filters, seed=1)
    assert set(ids(reading, found.keyword)) == expected
    assert found.total == len(expected)
    assert set(ids(reading, found.nearest)) == expected


@pytest.mark.parametrize("asked", [{"filters": "nope:1"}, {"facets": ["nope"]}, {"sort": ["nope:asc"]}])
def test_a_member_that_no_document_has_is_named(build: Build, asked: dict[str, Any]) -> None:
    reading = build(DOCUMENTS)
    if isinstance(reading.snapshot, OracleSnapshot):
        pytest.skip("the oracle does not refuse")
    with pytest.raises(InvalidInput, match="nope"):
        retrieve(reading, **asked)
    assert retrieve(build(()), **asked).total == 0


def test_facets_count_the_match_set_with_the_nearest_in_it(build: Build) -> None:
    reading = build(DOCUMENTS)
    found = retrieve(reading, "jacket", seed=1, k=1, facets=["brand", "sizes", "soft"])
    assert {one.value: one.count for one in found.facets["brand"].values} == {"Ab": 1, "Cd": 1}
    assert [(v.value, v.count) for v in found.facets["sizes"].values] == [("40", 1), ("41", 1)]
    stats = found.facets["sizes"].stats
    assert stats is not None
    assert (stats.min, stats.max, stats.mean, stats.sum) == (40.0, 41.0, 40.5, 81.0)
    assert found.facets["soft"].values == []


def test_a_disjunctive_facet_counts_what_else_could_be_chosen(build: Build) -> None:
    reading = build(DOCUMENTS)
    facets = [FacetRequest("brand", disjunctive=True), "votes"]
    found = retrieve(reading, filters="brand:Cd AND votes>1", facets=facets)
    assert {one.value: one.count for one in found.facets["brand"].values} == {"Ab": 1, "Cd": 2}
    assert found.facets["votes"].n_values == 2


def test_a_disjunctive_facet_counts_as_the_answer_was_made(build: Build) -> None:
    """By the same operator, and without vectors where those were not trusted."""
    shoes = [upsert(f"a{i:02d}", "red shoe", seed=i, color=f"c{i % 2}") for i in range(12)]
    others = [upsert(f"b{i:02d}", "red sock", seed=100 + i, color=f"c{i % 2}") for i in range(18)]
    reading = build([*shoes, *others])
    asked: dict[str, Any] = {"filters": "color:c0", "facets": [FacetRequest("color", disjunctive=True)]}
    found = retrieve(reading, "red shoe", **asked)
    assert (found.operator, found.total) == ("any", 15)
    assert [(one.value, one.count) for one in found.facets["color"].values] == [("c0", 15), ("c1", 15)]
    for seed in range(1000, 1020):
        found = retrieve(reading, "red shoe", seed=seed, k=5, operator="all", **asked)
        counts = {one.value: one.count for one in found.facets["color"].values}
        assert found.vector_trust or counts == {"c0": 6, "c1": 6}


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        (["votes:desc"], ["4", "2", "1", "5", "3", "6"]),
        (["brand:asc", "votes:asc"], ["1", "3", "2", "4", "6", "5"]),
        (["made:desc"], ["3", "4", "1", "2", "5", "6"]),
        (["sizes:asc"], ["6", "1", "2", "3", "4", "5"]),
        (["sizes:desc"], ["2", "1", "6", "3", "4", "5"]),
    ],
)
def test_sorting_puts_what_has_no_value_last_and_equal_ones_by_id(
    build: Build, sort: list[str], expected: list[str]
) -> None:
    reading = build(DOCUMENTS)
    found = ids(reading, retrieve(reading, sort=sort).keyword)
    # 1 and 3 differ in the case of their brand only: Ab comes before ab.
    assert found == expected


def test_browsing_orders_by_signals_and_then_by_id(build: Build) -> None:
    reading = build(DOCUMENTS)
    assert ids(reading, retrieve(reading).keyword) == ["4", "2", "1", "5", "3", "6"]


def test_features_say_what_of_the_query_is_there(build: Build) -> None:
    reading = build(DOCUMENTS)
    made = features(reading, "red running shoes", "1", "2", "3", "5", "4")
    assert made["exact_title"] == [1, 0, 0, 0, 0]
    assert made["all_terms"] == [1, 0, 0, 0, 0]
    assert made["phrase"] == [1, 0.5, 0, 0, 0]
    assert made["coverage"][0] == pytest.approx(1.0)
    assert made["coverage"] == sorted(made["coverage"], reverse=True)
    assert made["proximity"][0] >= made["proximity"][1] > made["proximity"][3] == 0
    assert made["bm25"][0][0] > made["bm25"][2][0] > made["bm25"][4][0] == 0


def test_words_spelt_wrong_or_joined_count_less_than_the_word_itself(build: Build) -> None:
    reading = build(DOCUMENTS)
    right, wrong = features(reading, "jacket", "4"), features(reading, "jaket", "4")
    assert right["bm25"][0][0] > wrong["bm25"][0][0] > 0


def test_groups_are_of_the_same_first_value(build: Build) -> None:
    reading = build(DOCUMENTS)
    found = [reading.find(name) for name in ("2", "4", "1", "3", "5")]
    groups = reading.groups("brand", np.array(found, np.int64)).tolist()
    assert groups[0] == groups[1]
    assert len(set(groups)) == 4


def test_groups_and_features_of_one_search_do_not_disturb_each_other(build: Build) -> None:
    reading = build(DOCUMENTS)
    query, weights = understand("red shoes", reading.snapshot.lexicon), np.array([1.0], np.float32)
    found = reading.retrieve(Retrieval(query, None, {"title": 3.0}, weights, k=9, window=9, operator="any")).keyword
    before = reading.text_features(found, query)
    assert len(set(reading.groups("brand", found).tolist())) == 4
    after, other = reading.text_features(found, query), understand("blue wool", reading.snapshot.lexicon)
    np.testing.assert_array_equal(after.bm25, before.bm25)
    np.testing.assert_array_equal(after.coverage, before.coverage)
    held = dict(zip(ids(reading, found), reading.text_features(found, other).coverage.tolist(), strict=True))
    assert (held["1"], held["5"]) == (0, 0)
    assert held["2"] > 0 < held["3"]


def test_a_vector_may_be_worked_out_while_the_engine_looks_for_words(build: Build) -> None:
    reading = build(DOCUMENTS)
    query, weights = understand("jacket", reading.snapshot.lexicon), np.array([1.0], np.float32)
    known = Retrieval(query, vector(1), {"title": 3.0}, weights, k=3, window=3)
    for later in (lambda: vector(1), lambda: None):
        found = reading.retrieve(msgspec.structs.replace(known, vector=later))
        expected = reading.retrieve(msgspec.structs.replace(known, vector=later()))
        assert found.nearest.tolist() == expected.nearest.tolist()
        assert (found.total, found.vector_trust) == (expected.total, expected.vector_trust)


def test_nearest_vectors_are_those_of_an_exhaustive_search(build: Build) -> None:
    reading = build(DOCUMENTS)
    asked = vector(77)
    cosines = {str(i): float(vector(i) @ asked) for i in range(1, 7)}
    found = retrieve(reading, "zzzzzz", seed=77, k=3)
    assert ids(reading, found.nearest) == sorted(cosines, key=lambda i: -cosines[i])[:3]
    np.testing.assert_allclose(found.cosines, sorted(cosines.values(), reverse=True)[:3], atol=2e-3)
    np.testing.assert_allclose(reading.cosines(found.nearest, asked), found.cosines, atol=1e-5)
    assert found.total == 3


def steered(reading: Reading, query: str = "", **wanted: Any) -> Retrieved:
    """What is found of a query where rules want something of it."""
    return reading.retrieve(
        Retrieval(
            query=understand(query, reading.snapshot.lexicon),
            vector=None,
            field_boosts={"title": 3.0, "text": 1.0},
            signal_weights=np.array([1.0], np.float32),
            window=10,
            **{"k": 100, **wanted},
        )
    )


def filtered(text: str) -> Filter:
    parsed = parse_filter(text)
    assert parsed is not None
    return parsed


def test_what_is_hidden_is_not_found_not_counted_and_not_offered(build: Build) -> None:
    reading = build(DOCUMENTS)
    facets = (FacetRequest("brand", disjunctive=True), FacetRequest("votes"))
    found = steered(reading, filters=filtered("brand:Ab"), scope=filtered("NOT id:1 AND NOT brand:Ef"), facets=facets)
    assert set(ids(reading, found.keyword)) == {"3"}
    assert found.total == 1
    # As if it were not there, whatever else could be chosen.
    assert {one.value: one.count for one in found.facets["brand"].values} == {"Cd": 2, "ab": 1}
    assert found.facets["votes"].n_values == 0


def test_what_is_pinned_belongs_to_the_match_set_if_it_passes(build: Build) -> None:
    reading = build(DOCUMENTS)
    found = steered(reading, "jacket", pinned_ids=("5", "4", "nobody", "6"), scope=filtered("NOT id:6"))
    assert sorted(ids(reading, found.pinned)) == ["4", "5"]
    assert ids(reading, found.keyword) == ["4"]
    assert found.total == 2
    assert steered(reading, "jacket", pinned_ids=("5",), filters=filtered("brand:Cd")).total == 1


def test_facets_count_what_is_pinned_also_where_they_look_beyond_the_filter(build: Build) -> None:
    reading = build(DOCUMENTS)
    facets = (FacetRequest("brand", disjunctive=True), FacetRequest("votes"))
    found = steered(reading, "jacket", pinned_ids=("1", "2"), filters=filtered("brand:Cd"), facets=facets)
    assert sorted(ids(reading, found.pinned)) == ["2"]
    assert found.total == 2
    assert {one.value: one.count for one in found.facets["brand"].values} == {"Cd": 2, "Ab": 1}
    assert found.facets["votes"].n_values == 2
    ordered = steered(reading, "jacket", pinned_ids=("2",), sort=(SortKey("votes"),))
    assert ids(reading, ordered.keyword) == ["2", "4"]


@pytest.mark.parametrize("query", ["red", ""])
def test_of_what_is_lifted_the_best_matches_are_found_however_many_match(build: Build, query: str) -> None:
    others = [upsert(f"a{i}", f"red shoe {i}", votes=9, brand="Ab") for i in range(8)]
    lifted = [upsert(f"b{i}", f"red shoe number {i}", votes=i, brand="Cd") for i in range(4)]
    reading = build([*others, *lifted, upsert("c", "blue shoe", votes=1, brand="Cd")])
    found = steered(reading, query, k=2, boosted=filtered("brand:Cd"))
    expected = ["b3", "b2"] if not query else ["b0", "b1"]
    assert ids(reading, found.boosted) == expected
    assert found.total == (13 if not query else 12)


def test_what_passes_a_filter_is_known_of_each_candidate_marked_or_not(build: Build) -> None:
    reading = build(DOCUMENTS)
    marked = (filtered("brand:ab"), filtered("votes>=5"))
    for query in ("red jacket", ""):
        first = reading.snapshot.reading()
        found = steered(first, query, test_filters=marked)
        slots = found.keyword
        for given in (*marked, filtered("NOT brand:ab")):
            other = reading.snapshot.reading()
            expected = set(ids(other, steered(other, filters=given).keyword))
            passing = dict(zip(ids(first, slots), first.passes(slots, given).tolist(), strict=True))
            assert {name for name, passes in passing.items() if passes} == expected & set(passing)
        # What was asked later hides nothing of what was known before.
        assert first.text_features(slots, understand("red jacket", reading.snapshot.lexicon)).coverage.any()


def test_a_filter_that_names_what_no_document_has_is_refused_under_its_name(build: Build) -> None:
    reading = build(DOCUMENTS)
    if isinstance(reading.snapshot, OracleSnapshot):
        pytest.skip("the oracle does not refuse")
    reading.snapshot.check_filter(filtered("brand:x AND votes>3 AND id:7"), "actions[0].filter")
    for given in ("nope:1", "brand>3"):
        with pytest.raises(InvalidInput) as refused:
            reading.snapshot.check_filter(filtered(given), "actions[0].filter")
        assert refused.value.field == "actions[0].filter"


def test_a_member_without_a_name_is_a_member(build: Build) -> None:
    odd: dict[str, Any] = {"": "odd", ".": "odder"}
    reading = build([upsert("1", "red shoe", **odd), upsert("2", "red sock")])
    assert retrieve(reading, "red", seed=1).total == 2
    assert ids(reading, steered(reading, "red", pinned_ids=("1",)).pinned) == ["1"]
