"""Concrete indexes and their aliases."""

from __future__ import annotations

from typing import Any

import pytest

from events.errors import NotFound
from searchsvc.engines.opensearch.indexes import Layout, OpenSearchStorage
from tests.factories import DIMENSION, SETTINGS
from tests.unit.engines.opensearch.fake_node import FakeNode

BASE = "t-shop-1"


def storage(answer: Any) -> tuple[OpenSearchStorage, FakeNode]:
    node = FakeNode(answer)
    return OpenSearchStorage(node, Layout("t", "model", DIMENSION), BASE, SETTINGS), node


def plugins(path: str) -> Any:
    return {"/_cat/plugins": [{"name": "n", "component": "opensearch-knn"}], "/_cat/nodes": [{"name": "n"}]}.get(path)


def test_the_previous_index_of_other_settings_is_not_opened() -> None:
    previous = {"mappings": {"_meta": {"fingerprint": "other"}}, "aliases": {f"{BASE}-p": {}}}

    def answer(method: str, path: str, body: Any) -> Any:
        return plugins(path) or {f"{BASE}-v1": previous}

    opened, _ = storage(answer)
    with pytest.raises(NotFound, match="no previous index by the settings in force"):
        opened.open_previous()


def test_a_new_index_gets_the_next_number_after_those_of_its_own_name() -> None:
    created: list[str] = []

    def answer(method: str, path: str, body: Any) -> Any:
        if method == "PUT":
            created.append(path)
            assert body["mappings"]["_meta"]["prefix"] == "t"
            return None
        # The last one belongs to an index whose own name is `shop-1-v9`.
        return plugins(path) or {f"{BASE}-v2": {"mappings": {}}, f"{BASE}-v9-4-v7": {"mappings": {}}}

    opened, _ = storage(answer)
    with pytest.raises(NotFound):
        opened.create()
    assert created == [f"/{BASE}-v3"]


def test_the_node_stores_and_merges_by_itself() -> None:
    opened, node = storage(lambda *_: None)
    opened.save()
    opened.compact()
    assert node.requests == []
