"""The contract of an engine: the embedded engine, OpenSearch and the plain oracle all meet it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import pytest

from benchmarks.oracle import OracleSnapshot
from events.errors import InvalidInput
from searchsvc.analysis.query import Operator, Query
from searchsvc.analysis.stemming import stem
from searchsvc.analysis.synonyms import Synonym
from searchsvc.analysis.title_heads import MAX_TITLE_WORDS, searched_thing
from searchsvc.analysis.understanding import understand
from searchsvc.engines.columnar.quantized import quantize
from searchsvc.engines.filters import Filter, parse_filter
from searchsvc.engines.opensearch.node import Node
from searchsvc.engines.protocol import EngineSnapshot, Reading, Upsert
from searchsvc.engines.retrieval import (
    Facet,
    FacetRange,
    FacetRequest,
    FacetStats,
    FacetValue,
    Retrieval,
    Retrieved,
    SortKey,
)
from searchsvc.engines.values import value_key
from searchsvc.search.request import SearchRequest
from tests.factories import SETTINGS, engine, opensearch_engine, upsert, vector
from tuning.arrays import FloatArray, IntArray

DOCUMENTS = (
    upsert("1", "Red running shoes", "light shoes for the road", seed=1, votes=3, brand="Ab", sizes=[40, 41]),
    upsert("2", "Blue running shoes", "grip on wet rock", seed=2, votes=9, brand="Cd", sizes=[41, 42]),
    upsert("3", "Red wool socks", "warm socks inside shoes", seed=3, brand="ab", made="2021-05-06"),
    upsert("4", "Rain jacket MX-5000", "dry on the road", seed=4, votes=20, brand="Cd", made="2020-01-01T10:00:00Z"),
    upsert("5", "Red", "", seed=5, votes=1, soft=True),
    upsert("6", '17" screen protector', "for a road trip", seed=6, brand="Ef", sizes=[17.5], soft=False),
)

ENGINES = ["embedded", "opensearch", "opensearch, vectors in the service", "opensearch, three shards", "oracle"]
Build = Callable[[Sequence[Upsert]], EngineSnapshot]


@pytest.fixture(scope="module", params=ENGINES)
def build(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Builds an index of some documents in one of the engines."""
    if request.param == "oracle":
        return lambda documents: OracleSnapshot(documents, SETTINGS)
    if request.param.startswith("opensearch"):
        node: Node = request.getfixturevalue("node")
        knn, n_shards = "in the service" not in request.param, 3 if "three shards" in request.param else 1
        return lambda documents: opensearch_engine(node, documents, knn=knn, n_shards=n_shards).snapshot()
    return lambda documents: engine(tmp_path_factory.mktemp("index"), documents).snapshot()


@pytest.fixture(scope="module")
def snapshot(build: Build) -> EngineSnapshot:
    """An index of `DOCUMENTS`, built once for each engine: tests only read it."""
    return build(DOCUMENTS)


@pytest.fixture(scope="module")
def empty(build: Build) -> EngineSnapshot:
    """An index without documents."""
    return build(())


@pytest.fixture
def reading(snapshot: EngineSnapshot) -> Reading:
    """A reading of the shop for one test."""
    return snapshot.reading()


def retrieve(reading: Reading, query: str = "", seed: int | None = None, k: int = 100, **options: Any) -> Retrieved:
    """Retrieve as a search does. seed: of the query's vector; options: other members of a search request."""
    request = SearchRequest(query=query, **options)
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


def retrieve_by_rules(reading: Reading, query: str | Query = "", **members: Any) -> Retrieved:
    """Retrieve with members that rules set, and others that no request has."""
    return reading.retrieve(
        Retrieval(
            query=understand(query, reading.snapshot.lexicon) if isinstance(query, str) else query,
            field_boosts={"title": 3.0, "text": 1.0},
            signal_weights=np.array([1.0], np.float32),
            window=10,
            **{"k": 100, "vector": None, **members},
        )
    )


def near(document: Upsert, to: FloatArray, seed: int) -> Upsert:
    """Return a document with a vector near to another. seed: another seed gives another vector"""
    row = to + 0.4 * vector(seed)
    return msgspec.structs.replace(document, vector=row / np.linalg.norm(row))


def parsed(text: str) -> Filter:
    condition = parse_filter(text)
    assert condition is not None
    return condition


def ids(reading: Reading, slots: IntArray) -> list[str]:
    return [reading.id(slot) for slot in slots.tolist()]


def slots_of(reading: Reading, *document_ids: str) -> IntArray:
    slots = [reading.find(document_id) for document_id in document_ids]
    assert None not in slots
    return np.array(slots, np.int64)


def features(reading: Reading, query: str, *document_ids: str) -> dict[str, Any]:
    """Return the text features of documents, by name."""
    understood = understand(query, reading.snapshot.lexicon)
    of_documents = reading.text_features(slots_of(reading, *document_ids), understood)
    return {name: getattr(of_documents, name).tolist() for name in of_documents.__struct_fields__}


def counts(facet: Facet) -> dict[str, int]:
    return {value.value: value.count for value in facet.values}


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
        ("17' 17\"", "all", set()),
        ("17in", "all", {"6"}),
        ("jaket", "all", {"4"}),
        ("runing", "all", {"1", "2"}),
        ("scren protecter", "all", {"6"}),
        ("raincoat zzzz", "auto", set()),
        ("red zzzzz", "auto", {"1", "3", "5"}),
        ("rainjacket", "auto", {"4"}),
        ("jack", "auto", {"4"}),
        ("!!!", "auto", set()),
        ('"running shoe"', "auto", {"1", "2"}),
        ('"shoes running"', "auto", set()),
        ('red "running shoes"', "any", {"1", "2"}),
        ('"red wool" road', "auto", {"3"}),
        ('"rain jacket mx-5000"', "all", {"4"}),
        ("red -socks", "any", {"1", "5"}),
        ('shoes -"wet rock"', "auto", {"1", "3"}),
        ("-red -mx-5000", "auto", {"2", "6"}),
        ("red -zzzzz", "all", {"1", "3", "5"}),
        ("", "auto", {"1", "2", "3", "4", "5", "6"}),
    ],
)
def test_a_query_matches_the_documents_with_its_words(
    reading: Reading, query: str, operator: str, expected: set[str]
) -> None:
    retrieved = retrieve(reading, query, operator=operator)
    assert set(ids(reading, retrieved.keyword)) == expected
    assert retrieved.total == len(expected)


def test_a_synonym_of_several_words_is_a_phrase(reading: Reading) -> None:
    """It stands for every word that it is a synonym of, and a document has it only where its words are neighbours."""
    pairs = {"trainers": "running shoes", "wool footwear": "shoes for the road", "dry coat": "rain jacket"}
    synonyms = {
        stem(of.split()[0]): [Synonym("r", tuple(map(stem, of.split())), tuple(to.split()))] for of, to in pairs.items()
    }

    def retrieved(text: str, operator: Operator = "all") -> tuple[Retrieved, Query]:
        query = understand(text, reading.snapshot.lexicon, lambda stems: synonyms.get(stems[0], ()), tolerance=None)
        return retrieve_by_rules(reading, query=query, operator=operator), query

    for text, expected in (
        ("trainers", {"1", "2"}),
        ("red trainers", {"1"}),
        ("wool footwear", {"1"}),
        ("dry coat", {"4"}),
        ('"trainers"', set()),
    ):
        assert set(ids(reading, retrieved(text)[0].keyword)) == expected, text
    found, query = retrieved("wool footwear", "any")
    assert set(ids(reading, found.keyword)) == {"1", "3"}
    features = reading.text_features(slots_of(reading, "1", "3"), query)
    assert features.all_terms.tolist() == [1.0, 0.0]
    assert features.phrase.tolist() == features.proximity.tolist() == [1.0, 0.0]
    assert features.coverage[0] == pytest.approx(1.0)
    assert features.bm25[0, 0] == 0.0 < features.bm25[0, 1]


def test_the_operator_and_words_that_no_document_has_are_reported(reading: Reading) -> None:
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
def test_filters_restrict_both_legs(reading: Reading, filters: Any, expected: set[str]) -> None:
    retrieved = retrieve(reading, filters=filters, seed=1)
    assert set(ids(reading, retrieved.keyword)) == expected
    assert retrieved.total == len(expected)
    assert set(ids(reading, retrieved.nearest)) == expected


# Members with values of several kinds, and texts that are read as something else.
MIXED = (
    upsert(
        "1", "a", name="Zulu", color="Red", n=2**53 + 1, price="1,299.00 €", stock="yes", day="31.12.2026", code="007"
    ),
    upsert("2", "a", name="alpha", color="red", n=2**53, price="99,90 €", stock="no", day="2026-01-05", code="7"),
    upsert("3", "a", name="éclair", color="RED", n=4.5, price=12.5, stock=True, day="2/28/2026", code=7),
    upsert("4", "a", name=1917, color=["Blue", "red", "Red"], n=4223372036854775807, price="12.50", day="2026-02-01"),
    upsert("5", "a", name=["Mike", 3], color="Caf\u00e9", n=4223372036854775806, price="free", stock="maybe"),
    upsert("6", "a", name="Bravo", color="Cafe\u0301", version="3.10", lot=1, maker="O'Neill Surf"),
    upsert("7", "a", color="Stra\u00dfe", version="3.1", lot="1", due="soon", maker="L’Oréal Paris"),
    upsert("8", "a", color="STRASSE", version=3.1, due="2026-03-01"),
)


@pytest.fixture(scope="module")
def mixed(build: Build) -> EngineSnapshot:
    return build(MIXED)


@pytest.fixture(scope="module")
def readable(build: Build) -> EngineSnapshot:
    """The documents of which every price, stock and day can be read."""
    return build(MIXED[:4])


def passing(snapshot: EngineSnapshot, filters: Any) -> str:
    reading = snapshot.reading()
    return "".join(sorted(ids(reading, retrieve(reading, filters=filters).keyword)))


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ("color:RED", "1234"),
        ({"field": "color", "is": "Cafe\u0301"}, "56"),
        ({"field": "color", "is": "strasse"}, "78"),
        ({"field": "n", "is": 2**53 + 1}, "1"),
        (f"n:{2**53}", "2"),
        (f"n>{2**53}", "145"),
        (f"n:[{2**53 + 1} TO 4223372036854775806]", "15"),
        ("n>=4223372036854775807", "4"),
        ("n<5", "3"),
        ("n:4.50", "3"),
        ("code:007", "1"),
        ("code:7", "23"),
        ("version:3.10", "6"),
        ("version:3.1", "78"),
        ("lot:1", "67"),
        # One price and one stock cannot be read, so none is, but numbers are numbers.
        ("price>10", "3"),
        ("stock:true", "3"),
        ("day>=2026-02-01", "134"),
        ("day:[01.01.2026 TO 28.02.2026]", "234"),
        # Not every text is a date, so none is.
        ("due<2030-01-01", ""),
        ("due:2026-03-01", "8"),
    ],
)
def test_values_of_several_kinds_are_compared_by_one_rule(mixed: EngineSnapshot, filters: Any, expected: str) -> None:
    assert passing(mixed, filters) == expected


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ("price>100", "1"),
        ("price:[12 TO 99.9]", "234"),
        ({"field": "price", "above": "1.000,00 €"}, "1"),
        ("stock:true", "13"),
        ("stock:no", "2"),
        ("NOT stock:yes", "24"),
    ],
)
def test_texts_are_read_where_all_of_a_member_can_be(readable: EngineSnapshot, filters: Any, expected: str) -> None:
    assert passing(readable, filters) == expected


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("name:asc", "54263178"),
        ("n:asc", "32154678"),
        ("n:desc", "45123678"),
    ],
)
def test_numbers_sort_before_texts_and_nothing_last(mixed: EngineSnapshot, sort: str, expected: str) -> None:
    reading = mixed.reading()
    assert "".join(ids(reading, retrieve(reading, sort=[sort]).keyword)) == expected


def test_numbers_beyond_all_that_can_be_added_up_are_no_values(build: Build) -> None:
    sizes = [1e299, 1e300, 1.7e308, -1e300, 10**305, 10**400, 5, -9e299, 10**299]
    reading = build([upsert(str(i), "a", size=size) for i, size in enumerate(sizes)]).reading()
    facet = retrieve(reading, facets=["size"]).facets["size"]
    assert facet.stats == FacetStats(-9e299, 1e299, -7e299 / 4, -7e299)
    assert counts(facet) == {"5": 1, "-9e+299": 1, "1e+299": 2}
    assert "".join(ids(reading, retrieve(reading, sort=["size:asc"]).keyword)) == "760812345"
    assert "".join(ids(reading, retrieve(reading, sort=["size:desc"]).keyword)) == "086712345"
    for filters in (f"size:{'9' * 400}", "size:1e300", "size>1e300", {"field": "size", "is": 10**400}):
        assert retrieve(reading, filters=filters).total == 0
    assert retrieve(reading, filters="size>=1e299").total == 2
    assert retrieve(reading, filters="size:[-1.7e308 TO 5]").total == 2


@pytest.mark.parametrize(
    ("sort", "expected"),
    [("stock:asc", "23671458"), ("stock:desc", "14578236"), ("odd:asc", "1325"), ("odd:desc", "5231")],
)
def test_no_sorts_before_yes_however_they_are_written_unless_there_is_another_text(
    build: Build, sort: str, expected: str
) -> None:
    stock = {"1": "yes", "2": False, "3": "Nein", "4": True, "5": ["ja"], "6": "n", "7": ["no", "Y"], "8": "true"}
    odd = {"1": False, "2": "no", "3": "maybe", "5": True}
    documents = [upsert(i, "a", stock=stock[i], odd=odd.get(i)) for i in stock]
    reading = build(documents).reading()
    assert "".join(ids(reading, retrieve(reading, sort=[sort]).keyword)[: len(expected)]) == expected


def test_prices_and_days_sort_as_what_they_are(readable: EngineSnapshot) -> None:
    def order(sort: str) -> str:
        reading = readable.reading()
        return "".join(ids(reading, retrieve(reading, sort=[sort]).keyword))

    assert (order("price:asc"), order("price:desc")) == ("3421", "1234")
    assert (order("day:asc"), order("day:desc")) == ("2431", "1342")


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("color", {"Red": 4, "Caf\u00e9": 2, "STRASSE": 2, "Blue": 1}),
        (
            "n",
            {
                "9007199254740993": 1,
                "9007199254740992": 1,
                "4.5": 1,
                "4223372036854775806": 1,
                "4223372036854775807": 1,
            },
        ),
        ("code", {"7": 2, "007": 1}),
        ("version", {"3.1": 2, "3.10": 1}),
        ("lot", {"1": 2}),
    ],
)
def test_choosing_a_value_gives_its_count(mixed: EngineSnapshot, field: str, expected: dict[str, int]) -> None:
    reading = mixed.reading()
    facet = retrieve(reading, facets=[FacetRequest(field)]).facets[field]
    assert counts(facet) == expected
    assert facet.n_values == len(expected)
    for value, count in expected.items():
        assert retrieve(mixed.reading(), filters={"field": field, "is": value}).total == count


def test_values_are_counted_that_have_a_word(mixed: EngineSnapshot) -> None:
    def found(field: str, query: str) -> dict[str, int]:
        facet = retrieve(mixed.reading(), facets=[FacetRequest(field, query=query)]).facets[field]
        assert (facet.n_values, facet.stats) == (len(facet.values), None)
        return {value.casefold(): count for value, count in counts(facet).items()}

    assert found("color", "R") == {"red": 4}
    assert found("color", "cafe") == {"caf\u00e9": 2}
    assert found("price", "299") == {}
    assert found("price", "1,2") == {}
    assert found("name", "ec") == {"éclair": 1}
    for query in ("oneill", "ONeil", "o'n", "O’NEILL", "neill", "o'neill surf"):
        assert found("maker", query) == {"o'neill surf": 1}, query
    assert found("maker", "o'neill loreal") == found("maker", "neilloreal") == {}
    assert found("maker", "l'oré") == found("maker", "LORE") == found("maker", "loreal par") == {"l’oréal paris": 1}
    assert found("n", "90") == {str(2**53): 1, str(2**53 + 1): 1}
    assert counts(retrieve(mixed.reading(), facets=[FacetRequest("lot", query=" ! ")]).facets["lot"]) == {"1": 2}


def test_documents_are_counted_in_ranges_and_choosing_one_gives_its_count(readable: EngineSnapshot) -> None:
    ranges = (FacetRange(high=12.5), FacetRange(low="12.5", below=100), FacetRange(above="100 €"), FacetRange(high=1))
    days = (FacetRange(below="2026-02-01"), FacetRange(low="1.2.2026"))
    asked = [FacetRequest("price", ranges=ranges), FacetRequest("day", ranges=days)]
    for query, filters in (("", ""), ("a", ""), ("a", "NOT stock:no")):
        retrieved = retrieve(readable.reading(), query, facets=asked, filters=filters)
        for request in asked:
            for bounds, counted in zip(request.ranges, retrieved.facets[request.field].ranges, strict=True):
                chosen = {"field": request.field, **msgspec.to_builtins(bounds)}
                both = {"all": [chosen, {"not": {"field": "stock", "is": "no"}}]} if filters else chosen
                assert retrieve(readable.reading(), query, filters=both).total == counted.count, (query, bounds)
    facets = retrieve(readable.reading(), facets=asked).facets
    assert [within.count for within in facets["price"].ranges] == [2, 3, 1, 0]
    assert [within.count for within in facets["day"].ranges] == [1, 3]


def test_counts_are_exact_of_values_that_neighbours_have_and_few_matches(build: Build) -> None:
    others = [f"b{i}" for i in range(12) for _ in range(2)]
    matches = [
        near(upsert(f"m{i}", "red shoe", brand=brand), vector(5), seed=100 + i)
        for i, brand in enumerate([*others, "z"])
    ]
    neighbours = [upsert(f"n{i}", "blue hat", seed=5, brand="Z") for i in range(3)]
    far = [upsert(f"f{i}", "green lamp", seed=1000 + i) for i in range(60)]
    reading = build([*matches, *neighbours, *far]).reading()
    options: dict[str, Any] = {"k": 3, "facets": [FacetRequest("brand", 1), FacetRequest("votes")]}
    facet = retrieve(reading, "shoe", seed=5, **options).facets["brand"]
    assert (facet.values, facet.n_values) == ([FacetValue("Z", 4)], 13)
    assert retrieve(reading, "shoe", seed=5, k=3, filters="brand:z").total == 4


def test_equally_frequent_values_come_by_their_keys_and_more_of_them_change_no_place(build: Build) -> None:
    odd = ["Äa", "äB", "Zz", "c", "C1", "éa", "Ée", "Straße", "STRASSE 2"]
    names = [*odd, *(f"{'bB'[i % 2]}{i:03}" for i in range(90))]
    reading = build([upsert(f"d{i}", "lamp", name=name) for i, name in enumerate(names)]).reading()
    in_order = sorted(names, key=value_key)
    for n in (1, 5, 20, 99):
        facet = retrieve(reading, facets=[FacetRequest("name", n)]).facets["name"]
        assert [value.value for value in facet.values] == in_order[:n]


def test_the_sum_of_numbers_does_not_depend_on_their_order(build: Build) -> None:
    sizes = [5.71, 6.7, 6.4, 0.1, 0.2, 0.3, 65.0, 31.7, 6.7]
    for order in (sizes, sizes[::-1], sorted(sizes)):
        reading = build([upsert(f"d{i}", "tv", size=size) for i, size in enumerate(order)]).reading()
        stats = retrieve(reading, facets=["size"]).facets["size"].stats
        assert stats == FacetStats(0.1, 65.0, 122.81 / 9, 122.81)


def test_an_export_goes_on_after_any_document(reading: Reading) -> None:
    """In the order of the ids, whether the documents match by words or by meaning."""
    for query, seed in (("", None), ("red", None), ("red", 4)):
        together = retrieve_by_rules(reading, query, vector=vector(seed) if seed is not None else None, after_id="")
        expected = sorted(ids(reading, together.keyword))
        assert ids(reading, together.keyword) == expected
        assert together.total == len(expected)
        for after in ("1", "2", "25", "5", "zz"):
            rest = retrieve_by_rules(reading, query, vector=vector(seed) if seed is not None else None, after_id=after)
            assert ids(reading, rest.keyword) == [name for name in expected if name > after]
            assert rest.total == together.total


def test_yes_and_true_are_one_value_and_prices_have_statistics(readable: EngineSnapshot) -> None:
    reading = readable.reading()
    facets = retrieve(reading, facets=[FacetRequest("stock"), FacetRequest("price")]).facets
    assert counts(facets["stock"]) == {"true": 2, "no": 1}
    stats = facets["price"].stats
    assert stats is not None
    assert (stats.min, stats.max) == (12.5, 1299.0)
    assert stats.sum == pytest.approx(1423.9)


def test_an_attribute_that_no_document_has_passes_nothing_and_orders_nothing(
    reading: Reading, empty: EngineSnapshot
) -> None:
    """It may be one that documents had, or will have: a shop's page must not fail for it."""
    everything = retrieve(reading)
    assert retrieve(reading, filters="nope:1").total == retrieve(reading, filters="nope>1").total == 0
    assert retrieve(reading, filters="NOT nope:1").total == everything.total
    assert retrieve(reading, filters="brand>3").total == 0, "a range of an attribute without numbers"
    facet = retrieve(reading, facets=["nope"]).facets["nope"]
    assert (facet.values, facet.n_values, facet.stats) == ([], 0, None)
    assert set(ids(reading, retrieve(reading, sort=["nope:asc"]).keyword)) == set(ids(reading, everything.keyword))
    groups = reading.groups("nope", everything.keyword)
    assert len(set(groups.tolist())) == len(everything.keyword)
    assert retrieve(empty.reading(), filters="nope:1").total == 0


def test_facets_count_the_match_set_including_the_nearest(reading: Reading) -> None:
    retrieved = retrieve(reading, "jacket", seed=1, k=1, facets=["brand", "sizes", "soft"])
    assert counts(retrieved.facets["brand"]) == {"Ab": 1, "Cd": 1}
    assert [(value.value, value.count) for value in retrieved.facets["sizes"].values] == [("40", 1), ("41", 1)]
    stats = retrieved.facets["sizes"].stats
    assert stats is not None
    assert (stats.min, stats.max, stats.mean, stats.sum) == (40.0, 41.0, 40.5, 81.0)
    assert retrieved.facets["soft"].values == []


def test_a_disjunctive_facet_counts_other_values_that_could_be_chosen(reading: Reading) -> None:
    facets = [FacetRequest("brand", disjunctive=True), "votes"]
    retrieved = retrieve(reading, filters="brand:Cd AND votes>1", facets=facets)
    assert counts(retrieved.facets["brand"]) == {"Ab": 1, "Cd": 2}
    assert retrieved.facets["votes"].n_values == 2


@pytest.mark.parametrize("operator", ["auto", "any", "all"])
def test_choosing_a_value_of_a_facet_gives_its_count(build: Build, operator: str) -> None:
    """Whatever the query's vector: the operator and the neighbours do not depend on what is chosen."""
    shoes = [upsert(f"a{i:02d}", "red shoe", seed=i, color=f"c{i % 2}", size=i % 5) for i in range(12)]
    others = [upsert(f"b{i:02d}", "red sock", seed=100 + i, color=f"c{i % 3}", size=i % 4) for i in range(18)]
    reading = build([*shoes, *others]).reading()
    n_trusted = 0
    for seed in (None, *range(1000, 1010)):
        options: dict[str, Any] = {"query": "red shoe", "seed": seed, "k": 5, "operator": operator, "limit": 100}
        before = retrieve(reading, facets=["color", "size"], **options)
        n_trusted += before.vector_trust > 0
        found = {*ids(reading, before.keyword), *ids(reading, before.nearest)}
        for field, value in [(field, value) for field, facet in before.facets.items() for value in facet.values]:
            disjunctive = [FacetRequest(field, disjunctive=True)]
            chosen = retrieve(reading, filters=f"{field}:{value.value}", facets=disjunctive, **options)
            assert (chosen.total, chosen.operator) == (value.count, before.operator)
            assert {*ids(reading, chosen.keyword), *ids(reading, chosen.nearest)} <= found
            # What else could be chosen has the same counts as before.
            assert chosen.facets[field].values == before.facets[field].values
    # Some of the random vectors are trusted, others are not.
    assert operator == "all" or 0 < n_trusted < 10


def test_neighbours_are_nearer_than_the_cut_and_hold_all_words_if_asked_for(reading: Reading) -> None:
    cosines = {str(i): float(vector(i) @ vector(77)) for i in range(1, 7)}
    cut = sorted(cosines.values())[2] + 1e-3
    near = {document_id for document_id, cosine in cosines.items() if cosine > cut}
    retrieved = retrieve_by_rules(reading, "zzzzzz", vector=vector(77), min_cosine=cut)
    assert set(ids(reading, retrieved.nearest)) == near
    assert retrieved.total == len(near) == 3
    of_all = retrieve(reading, "shoes", seed=77, operator="all")
    assert set(ids(reading, of_all.nearest)) == set(ids(reading, of_all.keyword)) == {"1", "2", "3"}
    assert retrieve(reading, "red zzzzzz", seed=77, operator="all").total == 0


def test_only_neighbours_match_without_a_keyword_leg(reading: Reading) -> None:
    retrieved = retrieve_by_rules(reading, "jacket", vector=vector(1), k=2, has_keyword_leg=False)
    assert (len(retrieved.keyword), len(retrieved.nearest), retrieved.total) == (0, 2, 2)
    # No word decided it.
    assert retrieved.operator is None


def test_if_nothing_that_matches_passes_the_filters_their_nearest_are_the_answer(reading: Reading) -> None:
    by_cosine = sorted("123456", key=lambda i: -float(vector(int(i)) @ vector(4)))
    facets = (FacetRequest("brand"),)
    options: dict[str, Any] = {"filters": parsed("votes<=9"), "facets": facets, "vector": vector(4), "k": 1}
    retrieved = retrieve_by_rules(reading, "jacket", **options)
    assert ids(reading, retrieved.nearest) == [i for i in by_cosine if i in ("1", "2", "5")]
    assert (retrieved.is_fallback, retrieved.total, len(retrieved.keyword)) == (True, 3, 0)
    for value in retrieved.facets["brand"].values:
        within = parsed(f"votes<=9 AND brand:{value.value}")
        assert retrieve_by_rules(reading, "jacket", **{**options, "filters": within}).total == value.count
    none = retrieve_by_rules(reading, "jacket", **options, min_cosine=0.999)
    assert (none.is_fallback, none.total) == (False, 0)
    assert not retrieve_by_rules(reading, "jacket", **{**options, "filters": parsed("brand:Cd")}).is_fallback


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
def test_sorting_puts_documents_without_a_value_last_and_orders_equal_ones_by_id(
    reading: Reading, sort: list[str], expected: list[str]
) -> None:
    # 1 and 3 differ in the case of their brand only: Ab comes before ab.
    assert ids(reading, retrieve(reading, sort=sort).keyword) == expected


def test_browsing_orders_by_signals_and_then_by_id(reading: Reading) -> None:
    assert ids(reading, retrieve(reading).keyword) == ["4", "2", "1", "5", "3", "6"]


def test_features_measure_how_documents_match_a_query(reading: Reading) -> None:
    measured = features(reading, "red running shoes", "1", "2", "3", "5", "4")
    assert measured["exact_title"] == [1, 0, 0, 0, 0]
    assert measured["all_terms"] == [1, 0, 0, 0, 0]
    assert measured["phrase"] == [1, 0.5, 0, 0, 0]
    assert measured["coverage"][0] == pytest.approx(1.0)
    assert measured["coverage"] == sorted(measured["coverage"], reverse=True)
    assert measured["proximity"][0] >= measured["proximity"][1] > measured["proximity"][3] == 0
    assert measured["bm25"][0][0] > measured["bm25"][2][0] > measured["bm25"][4][0] == 0


def test_the_word_itself_covers_more_than_another_inflection(build: Build) -> None:
    reading = build(
        (upsert("1", "red shoe"), upsert("2", "red shoes"), upsert("3", "red", "blue shoe for shoes"))
    ).reading()
    for query, expected in (("shoes", [0.95, 1, 1]), ("shoe", [1, 0.95, 1]), ("shooes", [0.95, 1, 1])):
        assert features(reading, query, "1", "2", "3")["coverage"] == pytest.approx(expected), query
    one, two, three = features(reading, "red shoes", "1", "2", "3")["coverage"]
    assert 0.95 < one < two == three == pytest.approx(1.0)


def test_a_corrected_word_counts_less_than_the_word_itself(reading: Reading) -> None:
    right, wrong = features(reading, "jacket", "4"), features(reading, "jaket", "4")
    assert right["bm25"][0][0] > wrong["bm25"][0][0] > 0


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("laptop", {"sleeve", "lock for", "twice"}),
        ("cheap laptops", {"sleeve", "lock for", "twice"}),
        ("laptop sleeve", {"cleaner"}),
        ("sleeve for laptop", {"cleaner"}),
        ("laptop 15", {"sleeve", "lock for", "twice"}),
        ("unheard", set()),
        ("", set()),
    ],
)
def test_a_title_says_what_a_document_goes_with(build: Build, query: str, expected: set[str]) -> None:
    titles = {
        "black": "Laptop black",
        "sleeve": "Laptop Sleeve 15 black",
        "lock for": "Lock for laptops",
        "laptop for": "Laptop 15 for students",
        "twice": "Laptop sleeve, laptop sleeve",
        "set": "Laptop with laptop sleeve",
        "cleaner": "Cleaner for sleeves",
        "long": f"{'filling ' * MAX_TITLE_WORDS} laptop sleeve",
        "none": "",
    }
    snapshot = build([upsert(document_id, title) for document_id, title in titles.items()])
    reading = snapshot.reading()
    understood = understand(query, snapshot.lexicon)
    thing = searched_thing(understood, {"laptop": frozenset({"sleev", "case"})}, snapshot.lexicon.languages)
    slots = slots_of(reading, *titles)
    goes = reading.goes_with(slots, thing) if thing is not None else np.zeros(len(slots), np.bool_)
    assert {name for name, each in zip(titles, goes.tolist(), strict=True) if each} == expected


def test_a_sample_has_titles_and_vectors(build: Build) -> None:
    documents = [upsert(f"d{i}", f"Blue Shoes {i}", seed=i) for i in range(30)]
    snapshot = build(documents)
    reading = snapshot.reading()
    slots = reading.sample(100)
    assert {reading.id(slot) for slot in slots.tolist()} == {document.id for document in documents}
    titles = [["blue", "shoe", reading.id(slot)[1:]] for slot in slots.tolist()]
    assert reading.titles(slots) == titles
    assert np.linalg.norm(reading.vectors(slots), axis=1) == pytest.approx(1.0, abs=0.02)
    few = [reading.id(slot) for slot in reading.sample(7).tolist()]
    again = snapshot.reading()
    assert len(set(few)) == 7
    assert [again.id(slot) for slot in again.sample(7).tolist()] == few


def test_documents_with_the_same_first_value_are_one_group(reading: Reading) -> None:
    groups = reading.groups("brand", slots_of(reading, "2", "4", "1", "3", "5")).tolist()
    assert groups[0] == groups[1]
    assert groups[2] == groups[3]
    assert len(set(groups)) == 3


def test_groups_and_features_of_one_search_do_not_disturb_each_other(reading: Reading) -> None:
    query, weights = understand("red shoes", reading.snapshot.lexicon), np.array([1.0], np.float32)
    request = Retrieval(query, None, {"title": 3.0}, weights, k=9, window=9, operator="any")
    slots = reading.retrieve(request).keyword
    before = reading.text_features(slots, query)
    assert len(set(reading.groups("brand", slots).tolist())) == 3
    after, other_query = reading.text_features(slots, query), understand("blue wool", reading.snapshot.lexicon)
    np.testing.assert_array_equal(after.bm25, before.bm25)
    np.testing.assert_array_equal(after.coverage, before.coverage)
    coverage = reading.text_features(slots, other_query).coverage.tolist()
    coverage_of = dict(zip(ids(reading, slots), coverage, strict=True))
    assert (coverage_of["1"], coverage_of["5"]) == (0, 0)
    assert coverage_of["2"] > 0 < coverage_of["3"]


def test_a_vector_may_be_computed_while_the_engine_looks_up_words(reading: Reading) -> None:
    query, weights = understand("jacket", reading.snapshot.lexicon), np.array([1.0], np.float32)
    request = Retrieval(query, vector(1), {"title": 3.0}, weights, k=3, window=3)
    for compute in (lambda: vector(1), lambda: None):
        retrieved = reading.retrieve(msgspec.structs.replace(request, vector=compute))
        expected = reading.retrieve(msgspec.structs.replace(request, vector=compute()))
        assert retrieved.nearest.tolist() == expected.nearest.tolist()
        assert (retrieved.total, retrieved.vector_trust) == (expected.total, expected.vector_trust)


def test_nearest_vectors_are_those_of_an_exhaustive_search(reading: Reading) -> None:
    query_vector = vector(77)
    cosines = {str(i): float(vector(i) @ query_vector) for i in range(1, 7)}
    retrieved = retrieve(reading, "zzzzzz", seed=77, k=3)
    assert ids(reading, retrieved.nearest) == sorted(cosines, key=lambda i: -cosines[i])[:3]
    np.testing.assert_allclose(retrieved.cosines, sorted(cosines.values(), reverse=True)[:3], atol=2e-3)
    np.testing.assert_allclose(reading.cosines(retrieved.nearest, query_vector), retrieved.cosines, atol=1e-5)
    assert retrieved.total == 3


def test_the_nearest_are_those_by_rounded_vectors_however_near_to_each_other(build: Build) -> None:
    query_vector = vector(77)
    documents = [near(upsert(f"{i:03}", "lamp"), query_vector, seed=i) for i in range(200)]
    rows, scales = quantize(np.stack([document.vector for document in documents if document.vector is not None]))
    cosines = (rows.astype(np.float32) * scales[:, None]) @ query_vector
    expected = [documents[i].id for i in np.argsort(-cosines, kind="stable").tolist()]
    reading = build(documents).reading()
    for k in (1, 5, 20):
        assert set(ids(reading, retrieve(reading, "zzzzzz", seed=77, k=k).nearest)) == set(expected[:k])


def test_documents_outside_the_scope_are_neither_found_nor_counted(reading: Reading) -> None:
    facets = (FacetRequest("brand", disjunctive=True), FacetRequest("votes"))
    retrieved = retrieve_by_rules(
        reading, filters=parsed("brand:Ab"), scope=parsed("NOT id:1 AND NOT brand:Ef"), facets=facets
    )
    assert set(ids(reading, retrieved.keyword)) == {"3"}
    assert retrieved.total == 1
    # Hidden documents are not counted as values to choose instead either.
    assert counts(retrieved.facets["brand"]) == {"Cd": 2, "ab": 1}
    assert retrieved.facets["votes"].n_values == 0


def test_pinned_documents_belong_to_the_match_set_if_they_pass_its_filters(reading: Reading) -> None:
    retrieved = retrieve_by_rules(reading, "jacket", pinned_ids=("5", "4", "nobody", "6"), scope=parsed("NOT id:6"))
    assert sorted(ids(reading, retrieved.pinned)) == ["4", "5"]
    assert ids(reading, retrieved.keyword) == ["4"]
    assert retrieved.total == 2
    assert retrieve_by_rules(reading, "jacket", pinned_ids=("5",), filters=parsed("brand:Cd")).total == 1


def test_facets_count_pinned_documents_also_if_they_are_disjunctive(reading: Reading) -> None:
    facets = (FacetRequest("brand", disjunctive=True), FacetRequest("votes"))
    retrieved = retrieve_by_rules(reading, "jacket", pinned_ids=("1", "2"), filters=parsed("brand:Cd"), facets=facets)
    assert sorted(ids(reading, retrieved.pinned)) == ["2"]
    assert retrieved.total == 2
    assert counts(retrieved.facets["brand"]) == {"Cd": 2, "Ab": 1}
    assert retrieved.facets["votes"].n_values == 2
    ordered = retrieve_by_rules(reading, "jacket", pinned_ids=("2",), sort=(SortKey("votes"),))
    assert ids(reading, ordered.keyword) == ["2", "4"]


@pytest.mark.parametrize("query", ["red", ""])
def test_the_best_boosted_matches_are_found_however_many_match(build: Build, query: str) -> None:
    others = [upsert(f"a{i}", f"red shoe {i}", votes=9, brand="Ab") for i in range(8)]
    boosted = [upsert(f"b{i}", f"red shoe number {i}", votes=i, brand="Cd") for i in range(4)]
    reading = build([*others, *boosted, upsert("c", "blue shoe", votes=1, brand="Cd")]).reading()
    retrieved = retrieve_by_rules(reading, query, k=2, boosted=parsed("brand:Cd"))
    expected = ["b3", "b2"] if not query else ["b0", "b1"]
    assert ids(reading, retrieved.boosted) == expected
    assert retrieved.total == (13 if not query else 12)


def test_each_candidate_is_tested_against_filters_of_the_request_and_others(snapshot: EngineSnapshot) -> None:
    test_filters = (parsed("brand:ab"), parsed("votes>=5"))
    for query in ("red jacket", ""):
        reading, other = snapshot.reading(), snapshot.reading()
        slots = retrieve_by_rules(reading, query, test_filters=test_filters).keyword
        candidates = ids(reading, slots)
        assert candidates
        for condition in (*test_filters, parsed("NOT brand:ab")):
            expected = set(ids(other, retrieve_by_rules(other, filters=condition).keyword)) & set(candidates)
            assert expected
            passing = zip(candidates, reading.passes(slots, condition).tolist(), strict=True)
            assert {document_id for document_id, passes in passing if passes} == expected
        # A second retrieval does not replace the query terms of the first.
        assert reading.text_features(slots, understand("red jacket", snapshot.lexicon)).coverage.any()


def test_a_filter_on_an_unknown_attribute_is_refused_under_its_name(reading: Reading) -> None:
    if isinstance(reading.snapshot, OracleSnapshot):
        pytest.skip("the oracle does not refuse")
    reading.snapshot.check_filter(parsed("brand:x AND votes>3 AND id:7"), "actions[0].filter")
    for text in ("nope:1", "brand>3"):
        with pytest.raises(InvalidInput) as refused:
            reading.snapshot.check_filter(parsed(text), "actions[0].filter")
        assert refused.value.field == "actions[0].filter"


def test_members_of_objects_in_a_list_are_attributes(build: Build) -> None:
    shirts: dict[str, list[dict[str, object]]] = {
        "1": [{"color": "red", "size": "M"}, {"color": "blue", "size": "L"}],
        "2": [{"color": "red", "size": "L"}, {"color": "red", "stock": {"berlin": 3}}],
        "3": [],
    }
    reading = build([upsert(name, "shirt", variants=variants) for name, variants in shirts.items()]).reading()
    facets = retrieve(reading, facets=["variants.color", "variants.stock.berlin"]).facets
    assert counts(facets["variants.color"]) == {"red": 2, "blue": 1}
    assert counts(facets["variants.stock.berlin"]) == {"3": 1}
    for condition, expected in (
        ("variants.color:blue", {"1"}),
        ("variants.size:L", {"1", "2"}),
        ("variants.stock.berlin>2", {"2"}),
    ):
        assert set(ids(reading, retrieve(reading, filters=condition).keyword)) == expected


def test_an_attribute_may_have_an_empty_name(build: Build) -> None:
    odd: dict[str, Any] = {"": "odd", ".": "odder"}
    reading = build([upsert("1", "red shoe", **odd), upsert("2", "red sock")]).reading()
    assert retrieve(reading, "red", seed=1).total == 2
    assert ids(reading, retrieve_by_rules(reading, "red", pinned_ids=("1",)).pinned) == ["1"]
