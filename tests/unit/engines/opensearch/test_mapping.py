"""The mapping of an index."""

from __future__ import annotations

from searchsvc.engines.opensearch.mapping import (
    MAX_ID_BYTES,
    PROGRESS_ID,
    index_body,
    node_id,
)
from tests.factories import DIMENSION, SETTINGS


def test_the_id_on_the_node_is_never_too_long_nor_that_of_the_progress() -> None:
    ids = ["1", PROGRESS_ID, "x" * MAX_ID_BYTES, "y" * 10_000, "ö" * MAX_ID_BYTES]
    on_node = [node_id(document_id) for document_id in ids]
    assert len(set(on_node)) == len(ids)
    assert PROGRESS_ID not in on_node
    assert all(len(each.encode()) <= 512 for each in on_node)


def test_vectors_are_mapped_only_if_the_node_searches_them() -> None:
    with_knn, without = (index_body(SETTINGS, DIMENSION, knn=knn) for knn in (True, False))
    assert with_knn["mappings"]["properties"]["vector"]["dimension"] == DIMENSION
    assert with_knn["settings"]["index"]["knn"] is True
    assert "vector" not in without["mappings"]["properties"]
    assert "knn" not in without["settings"]["index"]
    assert set(with_knn["mappings"]["properties"]["text"]["properties"]) == {"0", "1"}
