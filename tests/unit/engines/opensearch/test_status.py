"""The state of a cluster, for `doctor`."""

from __future__ import annotations

from typing import Any

import pytest

from searchsvc.engines.opensearch.status import has_knn, status
from tests.unit.engines.opensearch.fake_node import WHOLE, FakeNode

TOKENS = [{"token": "one", "position": 0}, {"token": "two", "position": 0}, {"token": "three", "position": 1}]


def cluster(*with_knn: str, tokens: Any = TOKENS) -> FakeNode:
    answers = {
        "/": {"cluster_name": "c", "version": {"number": "3.6.0"}},
        "/_cluster/health": {"status": "green", "number_of_nodes": 2},
        "/_cat/plugins": [{"name": name, "component": "opensearch-knn"} for name in with_knn],
        "/_cat/nodes": [{"name": "n1"}, {"name": "n2"}],
        "/shop-*/_alias": {"shop-my-index-7-v2": {"aliases": {"shop-my-index-7-w": {}, "shop-my-index-7-r": {}}}},
        "/shop-my-index-7-v2/_count": {**WHOLE, "count": 5},
        "/shop-my-index-7-v2/_mget": {"docs": [{"_source": {"state": {"catalog_seq": 9}}}]},
        "/shop-my-index-7-v2/_analyze": {"tokens": tokens},
    }
    return FakeNode(lambda method, path, body: answers[path])


def test_an_index_is_named_as_the_service_names_it() -> None:
    (index,) = status(cluster("n1", "n2"), "shop").indexes
    assert (index.index, index.created_seq, index.documents, index.catalog_seq) == ("my-index", 7, 5, 9)
    assert index.aliases == ["shop-my-index-7-r", "shop-my-index-7-w"]
    assert index.analyzes


def test_an_analyzer_that_splits_otherwise_is_noticed() -> None:
    (index,) = status(cluster(tokens=TOKENS[:1]), "shop").indexes
    assert not index.analyzes


@pytest.mark.parametrize(("with_knn", "everywhere"), [((), False), (("n1",), False), (("n1", "n2"), True)])
def test_the_node_searches_vectors_only_if_every_node_has_the_plugin(
    with_knn: tuple[str, ...], everywhere: bool
) -> None:
    assert has_knn(cluster(*with_knn)) == everywhere
    assert status(cluster(*with_knn), "shop").knn == everywhere
