"""Reading back what an index on the node contains."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from searchsvc.engines.opensearch.columns import pack_vector
from searchsvc.engines.opensearch.concrete import ConcreteIndex
from searchsvc.engines.opensearch.stored_index import StoredIndex
from tests.factories import DIMENSION, upsert, vector
from tests.unit.engines.opensearch.fake_node import WHOLE, FakeNode

DOCUMENTS = {name: upsert(name, "shoe", seed=seed) for seed, name in enumerate(("a", "b", "c"))}


def stored(answer: Any) -> StoredIndex:
    return StoredIndex(ConcreteIndex(FakeNode(answer), "shop-v1"), DIMENSION)


def page(method: str, path: str, body: Any) -> Any:
    """Answer with two documents, then with the rest."""
    after = body.get("search_after", [""])[0]
    names = [name for name in DOCUMENTS if name > after][:2]
    hits = []
    for name in names:
        packed = base64.b64encode(pack_vector(vector(list(DOCUMENTS).index(name)))).decode() if name != "b" else ""
        hits.append({"_source": {"id": name, "document": DOCUMENTS[name].text.decode(), "bytes": packed}})
    return {**WHOLE, "hits": {"hits": hits}}


def test_all_pages_are_added_up() -> None:
    totals = stored(page).recount()
    assert totals.digest.count == 3
    np.testing.assert_allclose(totals.vector_sum, vector(0) + vector(2), atol=2 / 127)


def test_documents_without_a_vector_are_left_out() -> None:
    pages = list(stored(page).vectors())
    assert [[name for name, _ in each] for each in pages] == [["a"], ["c"]]


def test_counts_of_all_pages_are_joined() -> None:
    def answer(method: str, path: str, body: Any) -> Any:
        after = body["aggs"]["terms"]["composite"].get("after")
        word = "shoe" if after else "red"
        terms = {"buckets": [{"key": {"key": word}, "doc_count": 2}], "after_key": None if after else {"key": "red"}}
        return {**WHOLE, "aggregations": {"terms": terms}}

    assert stored(answer).counts("words") == {"red": 2, "shoe": 2}


def test_kinds_are_counted_and_refusals_are_read_from_tombstones() -> None:
    def answer(method: str, path: str, body: Any) -> Any:
        keys = ["brand\0text", "brand\0no date", "votes\0number"]
        buckets = [{"key": {"key": key}, "doc_count": 2} for key in keys]
        return {**WHOLE, "aggregations": {"terms": {"buckets": buckets, "after_key": None}}}

    kinds = stored(answer).attribute_kinds().view()
    assert kinds == {"brand": {"text", "no date"}, "votes": {"number"}}
    refused = {"_source": {"id": "x", "refused": "too long"}}
    assert stored(lambda *_: {**WHOLE, "hits": {"hits": [refused]}}).refusals(5) == {"x": "too long"}


def test_documents_past_the_recorded_progress_are_noticed() -> None:
    assert stored(lambda *_: {**WHOLE, "count": 1}).is_ahead_of(3)
    assert not stored(lambda *_: {**WHOLE, "count": 0}).is_ahead_of(3)
