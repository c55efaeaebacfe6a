"""Requests to one concrete index."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from events.errors import Unavailable
from searchsvc.engines.opensearch.concrete import BULK_BYTES, ConcreteIndex
from searchsvc.engines.opensearch.replies import Count
from tests.unit.engines.opensearch.fake_node import WHOLE, FakeNode


def test_an_index_that_the_node_does_not_know_is_gone() -> None:
    index = ConcreteIndex(FakeNode(lambda *_: None), "shop-v1")
    assert not index.gone
    for request in (index.refresh, lambda: index.search([{}]), lambda: index.call("GET", "/_mapping", msgspec.Raw)):
        index.gone = False
        with pytest.raises(Unavailable, match="shop-v1 is gone from OpenSearch"):
            request()
        assert index.gone


def test_a_missing_index_is_also_noticed_where_the_node_reports_it_for_each_document() -> None:
    failure = {"error": {"type": "index_not_found_exception"}}
    index = ConcreteIndex(FakeNode(lambda *_: {"docs": [failure]}), "shop-v1")
    with pytest.raises(Unavailable, match="is gone"):
        index.documents(["d1"], ["id"])
    assert index.gone
    other = ConcreteIndex(FakeNode(lambda *_: {"docs": [{"error": {"type": "x", "reason": "y"}}]}), "shop-v1")
    with pytest.raises(Unavailable, match="cannot read from shop-v1: x: y"):
        other.documents(["d1"], ["id"])
    assert not other.gone


def test_a_count_needs_every_shard() -> None:
    node = FakeNode(lambda *_: {**WHOLE, "count": 3})
    assert ConcreteIndex(node, "shop-v1").ask_all("/_count", Count, {}).count == 3
    partial = FakeNode(lambda *_: {**WHOLE, "timed_out": True, "count": 3})
    with pytest.raises(Unavailable, match="not all shards of shop-v1 answered"):
        ConcreteIndex(partial, "shop-v1").ask_all("/_count", Count, {})


def test_changes_are_written_in_batches_and_again_while_the_node_is_busy() -> None:
    statuses = iter([429, 201, 201, 201])

    def answer(method: str, path: str, body: Any) -> Any:
        return {"items": [{"index": {"status": next(statuses)}}]}

    node = FakeNode(answer)
    change = b"x" * (BULK_BYTES - 10)
    written = ConcreteIndex(node, "shop-v1").write([change, change, change])
    assert [each.status for each in written] == [201, 201, 201]
    assert [len(body) for _, _, body in node.requests] == [len(change)] * 4
