"""Writes: which changes are sent, and what the node's answers mean."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from events.errors import Unavailable
from searchsvc.engines.opensearch.concrete import ConcreteIndex
from searchsvc.engines.opensearch.replies import Progress
from searchsvc.engines.opensearch.writes import prepare, record_progress, send
from searchsvc.engines.protocol import Delete
from tests.factories import DIMENSION, SETTINGS, upsert
from tests.unit.engines.opensearch.fake_node import FakeNode

OLD = upsert("a", "red shoe", seed=1)


class StoringNode(FakeNode):
    """Has document `a` of sequence 5; answers writes with a status, and an error for it.

    sent: the documents that were written
    """

    def __init__(self, status: int = 201, error: dict[str, str] | None = None) -> None:
        super().__init__(self._reply)
        self._outcomes = [{"status": status, "error": error}]
        self.sent: list[dict[str, Any]] = []

    def _reply(self, method: str, path: str, body: Any) -> Any:
        if path.endswith("/_mget"):
            stored = {"found": True, "_version": 5, "_source": {"id": "a", "live": True, "document": OLD.text.decode()}}
            return {"docs": [stored if document["_id"] == "da" else {} for document in body["docs"]]}
        documents = [msgspec.json.decode(line) for line in body.splitlines()[1::2]]
        self.sent += documents
        outcome = self._outcomes.pop(0) if self._outcomes else {"status": 201}
        return {"items": [{"index": outcome} for _ in documents]}


def prepared(node: FakeNode, *changes: Any) -> Any:
    return prepare(ConcreteIndex(node, "shop-v1"), SETTINGS, changes, 9, dimension=DIMENSION, knn=True)


def test_the_last_change_of_a_document_counts_and_what_the_node_has_from_later_stays() -> None:
    newer, older = msgspec.structs.replace(upsert("a", "blue sock", seed=2), seq=8), Delete("a", seq=4)
    write = prepared(StoringNode(), newer, upsert("b", "hat"), older)
    assert (set(write.lines), set(write.added)) == ({"a", "b"}, {"a", "b"})
    assert write.seqs == {"a": 8, "b": 9}
    assert [source.id for source in write.removed] == ["a"]
    assert not write.has_deletions
    assert not prepared(StoringNode(), older).lines
    assert prepared(StoringNode(), Delete("a", seq=6)).has_deletions


def test_progress_adds_what_is_new_and_subtracts_what_it_replaces() -> None:
    write = prepared(StoringNode(), Delete("a"), upsert("b", "hat", seed=3))
    before = Progress(3, Progress().digest.changed([OLD.text], []), [0.0] * DIMENSION, "log")
    after = write.progress_after(before, DIMENSION)
    assert (after.catalog_seq, after.log_created, after.digest.count) == (9, "log", 1)
    np.testing.assert_allclose(after.vector_sum, write.added["b"].upsert.vector, atol=1 / 127)


def test_a_refused_document_becomes_a_tombstone_with_the_reason() -> None:
    node = StoringNode(400, {"type": "mapper_parsing_exception", "reason": "too deep"})
    write = prepared(node, upsert("b", "hat"))
    send(ConcreteIndex(node, "shop-v1"), write)
    assert (write.refusals, write.added) == ({"b": "too deep"}, {})
    assert node.sent[-1] == {"id": "b", "live": False, "seq": 9, "refused": "too deep"}


@pytest.mark.parametrize(
    ("status", "error"),
    [(503, None), (400, {"type": "illegal_argument_exception", "reason": "of the node"})],
)
def test_any_other_failure_is_unavailable(status: int, error: dict[str, str] | None) -> None:
    node = StoringNode(status, error)
    write = prepared(node, upsert("b", "hat"))
    with pytest.raises(Unavailable, match="did not write 1 documents"):
        send(ConcreteIndex(node, "shop-v1"), write)
    assert not write.refusals


def test_a_conflict_is_no_failure() -> None:
    node = StoringNode(409)
    write = prepared(node, upsert("b", "hat"))
    send(ConcreteIndex(node, "shop-v1"), write)
    assert set(write.added) == {"b"}


def test_progress_is_recorded_in_a_document_of_its_own() -> None:
    node = StoringNode()
    record_progress(ConcreteIndex(node, "shop-v1"), Progress(7))
    assert (node.sent[0]["live"], node.sent[0]["state"]["catalog_seq"]) == (False, 7)
    refusing = StoringNode(400, {"type": "mapper_parsing_exception", "reason": "no"})
    with pytest.raises(Unavailable, match="did not record the progress of shop-v1: no"):
        record_progress(ConcreteIndex(refusing, "shop-v1"), Progress(7))
