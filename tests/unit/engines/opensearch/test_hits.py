"""The hits of one search."""

from __future__ import annotations

from searchsvc.engines.opensearch.hits import Hits
from searchsvc.engines.opensearch.replies import Hit


def hit(document_id: str, **named: float) -> Hit:
    return Hit(fields={"id": [document_id], "columns": ["c"], "short": ["s"]}, matched_queries=named)


def test_a_slot_is_the_order_in_which_a_document_first_came() -> None:
    hits = Hits()
    assert hits.add([hit("b"), hit("a")]).tolist() == [0, 1]
    assert hits.add([hit("c"), hit("b")]).tolist() == [2, 0]
    assert hits.ids(hits.add([hit("a"), hit("c")])) == ["a", "c"]
    assert hits[0].id == "b"


def test_later_replies_add_to_what_is_known_of_a_hit() -> None:
    hits = Hits()
    hits.add([hit("a", title=1.0)])
    later = Hit(fields={"id": ["a"], "a.mbrand.g": ["tHP"]}, matched_queries={"bm25.0": 2.0})
    (joined,) = hits.select(hits.add([later]))
    assert joined.named == {"title": 1.0, "bm25.0": 2.0}
    assert (joined.short, joined.fields["a.mbrand.g"]) == ("s", ["tHP"])
    hits.clear_named()
    assert (hits[0].named, hits[0].short) == ({}, "s")
