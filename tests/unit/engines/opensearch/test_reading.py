"""What one search reads: replies of a fake node, kept for later questions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from events.errors import Unavailable
from searchsvc.analysis.understanding import understand
from searchsvc.engines.filters import parse_filter
from searchsvc.engines.opensearch.columns import Columns
from searchsvc.engines.opensearch.keyword_query import ALL_TERMS_LIFT
from searchsvc.engines.opensearch.named_scores import filter_name
from searchsvc.engines.opensearch.reading import OpenSearchReading
from searchsvc.engines.opensearch.snapshot import OpenSearchSnapshot
from searchsvc.engines.retrieval import Retrieval
from tests.factories import DIMENSION, vector
from tests.unit.engines.opensearch.fake_node import WHOLE, FakeNode
from tests.unit.engines.opensearch.states import state_on

COLUMNS = Columns(1, DIMENSION)


def hit(document_id: str, seed: int, score: float = 0.0, **named: float) -> dict[str, Any]:
    columns = COLUMNS.packed(np.array([0.5], np.float32), vector(seed), []).rstrip("=")
    short = "eyJpZCI6MX0"  # {"id":1}
    fields = {"id": [document_id], "columns": [columns], "short": [short], "a.mbrand.g": [f"t{document_id[0]}"]}
    return {"_score": score, "fields": fields, "matched_queries": named}


def reply(*hits: dict[str, Any], total: int = 0, n_all: int = 0, failed: int = 0) -> dict[str, Any]:
    hits_member = {"hits": list(hits), "total": {"value": total or len(hits)}}
    return {**WHOLE, "_shards": {"failed": failed}, "hits": hits_member, "aggregations": {"all": {"doc_count": n_all}}}


def reading_of(*replies: dict[str, Any]) -> tuple[OpenSearchReading, FakeNode]:
    remaining = list(replies)
    node = FakeNode(lambda *_: remaining.pop(0))
    return OpenSearchSnapshot(state_on(node)).reading(), node


def request(reading: OpenSearchReading, text: str, **members: Any) -> Retrieval:
    query = understand(text, reading._state.vocabulary.lexicon)
    weights = np.array([1.0], np.float32)
    return Retrieval(
        query, **{"vector": None, "field_boosts": {}, "signal_weights": weights, "k": 5, "window": 5, **members}
    )


def test_documents_with_all_terms_are_the_match_set_if_they_fill_a_page() -> None:
    lifted = [hit(f"d{i}", i, ALL_TERMS_LIFT + 1.0, **{"terms.0": 3.0}) for i in (2, 1)]
    others = [hit("x", 9, 0.5, **{"terms.0": 1.0})]
    reading, _ = reading_of(reply(*lifted, *others, total=30, n_all=10))
    candidates = reading.retrieve(request(reading, "red shoe"))
    assert (candidates.operator, candidates.total) == ("all", 10)
    assert [reading.id(slot) for slot in candidates.keyword.tolist()] == ["d1", "d2"]


def test_any_term_is_enough_if_all_do_not_fill_a_page() -> None:
    hits = [hit("a", 1, ALL_TERMS_LIFT + 1.0, **{"terms.0": 3.0}), hit("b", 2, 2.0, **{"terms.0": 1.0})]
    reading, _ = reading_of(reply(*hits, total=2, n_all=1))
    candidates = reading.retrieve(request(reading, "red shoe"))
    assert (candidates.operator, candidates.total) == ("any", 2)
    # The boost for all terms orders hits on the node only; here the score itself does.
    assert [reading.id(slot) for slot in candidates.keyword.tolist()] == ["b", "a"]


def test_later_questions_about_hits_need_no_request() -> None:
    condition = parse_filter("brand:a")
    assert condition is not None
    named = {"terms.0": 1.0, "bm25.0": 1.0, filter_name(condition): 0.0}
    reading, node = reading_of(reply(hit("a", 1, 1.0, **named), total=1))
    asked = request(reading, "red", distinct="brand", test_filters=(condition,))
    slots = reading.retrieve(asked).keyword
    n_requests = len(node.requests)
    assert reading.text_features(slots, asked.query).all_terms.tolist() == [1.0]
    assert reading.groups("brand", slots).tolist() == [0]
    assert reading.passes(slots, condition).tolist() == [True]
    assert reading.signals(slots, 0.0).tolist() == [[0.5]]
    assert reading.cosines(slots, vector(1))[0] == pytest.approx(1.0, abs=0.02)
    assert [bytes(document or b"") for document in reading.read(slots.tolist())] == [b'{"id":1}']
    assert len(node.requests) == n_requests


def test_the_nearest_join_the_match_set_unless_cosines_tell_nothing() -> None:
    near = hit("n", 1, 0.0)
    reading, _ = reading_of(reply(hit("a", 7, 1.0, **{"terms.0": 1.0}), total=1, n_all=1), reply(near))
    candidates = reading.retrieve(request(reading, "red", vector=vector(1)))
    assert [reading.id(slot) for slot in candidates.nearest.tolist()] == ["n"]
    assert (candidates.total, candidates.vector_trust) == (2, 1.0)


def test_an_answer_without_some_shards_is_degraded_and_a_lookup_fails() -> None:
    reading, _ = reading_of(reply(hit("a", 1), total=1, n_all=1, failed=1), reply(failed=1))
    assert reading.retrieve(request(reading, "red")).degraded == ("shards",)
    with pytest.raises(Unavailable, match="not all shards of shop-v1 answered"):
        reading.find("b")
