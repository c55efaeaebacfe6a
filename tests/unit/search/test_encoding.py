"""When and how a query is encoded."""

from __future__ import annotations

from pathlib import Path

from benchmarks.oracle.snapshot import OracleSnapshot
from events.errors import Unavailable
from searchsvc.engines.retrieval import Retrieval, Retrieved
from searchsvc.search.encoding import QueryEncoding
from searchsvc.search.request import SearchRequest
from searchsvc.search.searcher import Searcher
from tests.factories import NOW, SETTINGS, FakeEmbedder, serving, upsert, vector
from tests.searching import red_shoes, search
from tuning.arrays import FloatArray


def test_a_vector_is_computed_once_and_only_when_it_is_needed() -> None:
    calls = []

    def encode() -> FloatArray:
        calls.append(1)
        return vector(3)

    encoding = QueryEncoding(encode)
    assert encoding.for_retrieval() is encoding
    assert not calls
    first, second = encoding(), encoding()
    assert first is second
    assert len(calls) == 1
    assert encoding.for_retrieval() is first
    assert (encoding.degraded, encoding.failure) == ([], "")


def test_a_failure_is_reported_and_leaves_no_vector() -> None:
    def encode() -> FloatArray:
        raise Unavailable("the embedding model failed")

    encoding = QueryEncoding(encode)
    assert encoding() is None
    assert (encoding.degraded, encoding.failure) == (["vector"], "the embedding model failed")
    assert encoding.for_retrieval() is None


def test_the_outcome_of_a_search_reports_why_its_query_was_not_encoded(tmp_path: Path) -> None:
    state = red_shoes(tmp_path)
    assert search(state, "broken").encoding_failure == "the embedding model failed"
    assert search(state, "red").encoding_failure == ""


def test_a_failing_encoder_degrades_to_keyword_hits_and_says_so(tmp_path: Path) -> None:
    answer = search(red_shoes(tmp_path), "broken").answer
    assert answer.degraded == ["vector"]
    late = Searcher(FakeEmbedder(), n_candidates=100).search(
        red_shoes(tmp_path / "b"), "shop", SearchRequest(query="red"), query_id="q", now=NOW, vector_leg=False
    )
    assert late.answer.degraded == ["vector"]
    assert len(late.answer.hits) == 10


class SlowOracle(OracleSnapshot):
    """An engine that is not fast, so it computes the vector itself. Keeps the last request."""

    def retrieve(self, request: Retrieval) -> Retrieved:
        self.last_request = request
        return super().retrieve(request)


def test_a_slow_engine_encodes_during_retrieval_and_waits_for_no_vector_that_cannot_come() -> None:
    snapshot = SlowOracle([upsert(f"d{i}", f"Red shoe {i}", seed=i) for i in range(5)], SETTINGS)
    state, request = serving(snapshot), SearchRequest(query="red 3")
    hybrid = Searcher(FakeEmbedder(), n_candidates=5)
    outcome = hybrid.search(state, "shop", request, query_id="q", now=NOW)
    assert callable(snapshot.last_request.vector)
    assert outcome.answer.degraded == []
    assert outcome.timings.encode > 0.0
    for searcher, vector_leg in ((hybrid, False), (Searcher(None, n_candidates=5), True)):
        answer = searcher.search(state, "shop", request, query_id="q", now=NOW, vector_leg=vector_leg).answer
        assert snapshot.last_request.vector is None
        assert (answer.degraded, answer.total) == (["vector"], 5)
    broken = hybrid.search(state, "shop", SearchRequest(query="broken"), query_id="q", now=NOW).answer
    assert broken.degraded == ["vector"]


class ConcurrentOracle(SlowOracle):
    """An engine that has other work during encoding."""

    @property
    def encodes_concurrently(self) -> bool:
        return True


def test_the_encoder_uses_one_core_beside_other_work() -> None:
    upserts, request = [upsert("d1", "Red shoe", seed=1)], SearchRequest(query="red 3")
    for engine, all_cores, expected in (
        (SlowOracle, True, True),
        (SlowOracle, False, False),
        (ConcurrentOracle, True, False),
    ):
        embedder = FakeEmbedder()
        searcher, state = Searcher(embedder, n_candidates=5), serving(engine(upserts, SETTINGS))
        searcher.search(state, "shop", request, query_id="q", now=NOW, all_cores=all_cores)
        assert embedder.all_cores == [expected]
