"""Attributes: filters, facets, sort keys and groups over the short values of documents."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from events.errors import InvalidInput
from searchsvc.analysis.query import Query
from searchsvc.engines.embedded import attribute_reading as reading_module
from searchsvc.engines.embedded import attributes as attributes_module
from searchsvc.engines.embedded.attributes import Attributes
from searchsvc.engines.embedded.attributes_view import AttributesView
from searchsvc.engines.embedded.ids import Ids
from searchsvc.engines.filters import AllOf, AnyOf, Exists, Filter, Is, Not, Range
from searchsvc.engines.retrieval import FacetRequest, FacetStats, FacetValue, Retrieval
from tests.factories import SETTINGS, engine, upsert

DOCUMENTS: list[dict[str, object]] = [
    {"id": "a", "brand": "HP", "price": 10, "released": "2020-01-01", "colour": ["red", "Blue"]},
    {"id": "b", "brand": "hp", "price": 20.5, "released": "2021-06-30"},
    {"id": "c", "brand": "Canon", "colour": "red"},
    {"id": "d", "price": "30", "nested": {"size": 4}},
]


def view(attributes: Attributes, documents: list[dict[str, object]]) -> AttributesView:
    ids = Ids()
    ids.append([str(document["id"]) for document in documents])
    return attributes.view(ids.view(), np.ones(len(documents), np.bool_))


def attributes_of(documents: list[dict[str, object]]) -> Attributes:
    attributes = Attributes()
    attributes.add(0, documents)
    return attributes


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (Is("brand", ("HP",)), "ab"),
        (Is("brand", ("canon", "none")), "c"),
        (Is("colour", ("BLUE",)), "a"),
        (Is("price", ("20.5",)), "b"),
        (Is("price", ("30",)), "d"),
        (Is("id", ("c", "x")), "c"),
        (Is("nested.size", ("4",)), "d"),
        (Range("price", 10.0, 20.0), "a"),
        (Range("price", 10.0, 20.5, low_included=False), "b"),
        (Range("released", high=1_600_000_000.0, dates=True), "a"),
        (Exists("colour"), "ac"),
        (Not(Exists("colour")), "bd"),
        (AllOf((Exists("price"), Exists("brand"))), "ab"),
        (AnyOf((Is("brand", ("Canon",)), Exists("nested.size"))), "cd"),
    ],
)
def test_a_filter_passes_the_documents_it_describes(condition: Filter, expected: str) -> None:
    mask = view(attributes_of(DOCUMENTS), DOCUMENTS).mask(condition)
    assert "".join(str(document["id"]) for document, passes in zip(DOCUMENTS, mask, strict=True) if passes) == expected


@pytest.mark.parametrize(
    "condition", [Exists("bran"), Not(Is("bran", ("x",))), Range("brand", 1.0), Range("price", dates=True)]
)
def test_a_filter_on_what_no_document_has_passes_none_and_is_refused_where_it_is_checked(condition: Filter) -> None:
    attributes = view(attributes_of(DOCUMENTS), DOCUMENTS)
    passes_all = isinstance(condition, Not)
    assert attributes.mask(condition).tolist() == [passes_all] * len(DOCUMENTS)
    with pytest.raises(InvalidInput, match=r"bran|price"):
        attributes.check(condition, "filters")
    attributes.check(Is("id", ("x",)), "filters")


def test_in_an_empty_index_any_name_is_allowed() -> None:
    attributes, slots = view(Attributes(), []), np.empty(0, np.int64)
    assert attributes.mask(Exists("x")).tolist() == []
    assert attributes.facet("x", np.empty(0, np.bool_), 5).n_values == 0
    assert attributes.sort_key("x", slots, descending=False).tolist() == []
    assert attributes.groups("x", slots).tolist() == []


def test_a_facet_counts_matching_documents_and_describes_numbers() -> None:
    attributes = view(attributes_of(DOCUMENTS), DOCUMENTS)
    matching = np.array([True, True, True, False])
    assert attributes.facet("colour", matching, 5).values == [FacetValue("red", 2), FacetValue("Blue", 1)]
    prices = attributes.facet("price", matching, 5)
    assert (prices.n_values, prices.stats) == (2, FacetStats(10.0, 20.5, 15.25, 30.5))
    assert attributes.facet("brand", matching, 0).values == []
    assert attributes.facet("brand", matching, 5).stats is None


def test_documents_without_a_value_come_last_in_any_order() -> None:
    attributes, slots = view(attributes_of(DOCUMENTS), DOCUMENTS), np.arange(4)
    assert attributes.sort_key("price", slots, descending=False).tolist() == [10.0, 20.5, np.inf, 30.0]
    assert attributes.sort_key("price", slots, descending=True).tolist() == [-10.0, -20.5, np.inf, -30.0]
    dates = attributes.sort_key("released", slots, descending=False)
    assert dates.argsort(kind="stable").tolist() == [0, 1, 2, 3]
    brands = attributes.sort_key("brand", slots, descending=False)
    assert brands.argsort(kind="stable").tolist() == [2, 0, 1, 3]
    colours = attributes.sort_key("colour", slots, descending=True)
    assert colours[0] == colours[2] < colours[1] == np.inf


def test_documents_group_by_their_first_value() -> None:
    groups = view(attributes_of(DOCUMENTS), DOCUMENTS).groups("colour", np.array([0, 2, 1, 3]))
    assert groups[0] == groups[1]
    assert len(set(groups.tolist())) == 3


def test_reopened_attributes_are_the_same_and_take_more() -> None:
    attributes = attributes_of(DOCUMENTS)
    reopened = Attributes(attributes.store())
    more: list[dict[str, object]] = [{"id": "e", "brand": "HP", "new": "x"}]
    for each in (attributes, reopened):
        each.add(len(DOCUMENTS), more)
    documents = [*DOCUMENTS, *more]
    before, after = view(attributes, documents), view(reopened, documents)
    all_slots = np.ones(len(documents), np.bool_)
    for name in ("brand", "price", "released", "colour", "nested.size", "new"):
        assert after.facet(name, all_slots, 9) == before.facet(name, all_slots, 9)
    assert after.mask(Is("brand", ("HP",))).tolist() == [True, True, False, False, True]
    assert Attributes(reopened.store()).store().names == reopened.store().names


def test_a_view_does_not_see_later_documents() -> None:
    attributes = attributes_of(DOCUMENTS)
    before = view(attributes, DOCUMENTS)
    attributes.add(len(DOCUMENTS), [{"id": "e", "brand": "HP"}])
    assert before.mask(Is("brand", ("HP",))).tolist() == [True, True, False, False]
    assert before.facet("brand", np.ones(4, np.bool_), 9).values[0].count == 2


def test_equally_frequent_values_are_shown_in_alphabetical_order(tmp_path: Path) -> None:
    numbers = np.random.default_rng(3).permutation(3000)
    skus: list[object] = [f"SKU-00000-{i % 700:04d}-{i}" if i % 3 else float(i) / 2 for i in numbers.tolist()]
    documents = [upsert(str(i), "red", sku=value) for i, value in enumerate(skus)]
    index = engine(tmp_path, [*documents, upsert("twice", "red", sku=skus[5])])
    weights = np.zeros(len(SETTINGS.signals), np.float32)
    request = Retrieval(Query(""), None, {}, weights, 10, 10, facets=(FacetRequest("sku", 90),))
    facet = index.snapshot().reading().retrieve(request).facets["sku"]
    texts = [str(int(v)) if isinstance(v, float) and v.is_integer() else str(v) for v in skus]
    expected = sorted(texts, key=lambda text: (text != texts[5], text))
    assert [value.value for value in facet.values] == expected[:90]
    assert (facet.values[0].count, facet.n_values) == (2, 3000)


def test_texts_that_differ_only_in_trailing_zero_bytes_are_selected(tmp_path: Path) -> None:
    values = ["a" + "\0" * i for i in range(150)]
    index = engine(tmp_path, [upsert(str(i), "red", code=value) for i, value in enumerate(values)])
    weights = np.zeros(len(SETTINGS.signals), np.float32)
    request = Retrieval(Query(""), None, {}, weights, 10, 10, facets=(FacetRequest("code", 90),))
    assert [value.value for value in index.snapshot().reading().retrieve(request).facets["code"].values] == values[:90]


def test_an_index_takes_a_limited_number_of_attributes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attributes_module, "MAX_ATTRIBUTES", 3)
    attributes = Attributes()
    attributes.add(0, [{"a": 1, "b": 2}, {"c": 3, "d": 4, "a": 5}])
    attributes.add(2, [{"e": 6, "b": 7}])
    view = attributes.view(Ids().view(), np.ones(3, np.bool_))
    assert view.n_attributes == 3
    assert [view.holds(Exists(name)) for name in "abcde"] == [True, True, True, False, False]
    assert view.mask(Exists("b")).tolist() == [True, False, True]


def test_words_are_looked_for_in_the_most_frequent_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_module, "MAX_LOOKED_THROUGH", 2)
    attributes = Attributes()
    attributes.add(0, [{"brand": value} for value in ["Oak", "Oslo", "Oslo", "Otto", "Otto", "Pine"]])
    view = attributes.view(Ids().view(), np.ones(6, np.bool_))
    found = view.facet("brand", np.ones(6, np.bool_), 10, "o")
    assert [value.value for value in found.values] == ["Oslo", "Otto"]


def test_names_are_listed_while_documents_come() -> None:
    attributes = Attributes()
    attributes.add(0, [{"brand": "Oak"}])
    view = attributes.view(Ids().view(), np.ones(1, np.bool_))
    stopping = Event()

    def write() -> None:
        for slot in count(1):
            if stopping.is_set():
                return
            attributes.add(slot, [{f"n{slot}": 1}])

    with ThreadPoolExecutor(1) as thread:
        writing = thread.submit(write)
        for _ in range(300):
            with pytest.raises(InvalidInput, match="'none', which no document has"):
                view.check(Exists("none"), "filters")
        stopping.set()
        writing.result()
