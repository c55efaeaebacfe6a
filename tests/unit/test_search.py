"""One search on a small engine: order, pages, totals, explanations, degradation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.oracle import OracleSnapshot
from events.errors import InvalidInput, NotFound, Unavailable
from searchsvc.engines.protocol import EngineSnapshot
from searchsvc.engines.retrieval import Retrieval, Retrieved
from searchsvc.engines.vector_trust import vector_trust
from searchsvc.search.answer import SearchAnswer, SearchOutcome
from searchsvc.search.request import SearchRequest
from searchsvc.search.searcher import Searcher
from searchsvc.state.serving_state import ServingState
from tests.factories import NOW, SETTINGS, FakeEmbedder, engine, serving, upsert, vector
from tuning.features import default_weights


def state(folder: Path, n: int = 40, **weights: float) -> ServingState:
    snapshot = engine(
        folder, [upsert(f"d{i:02d}", f"Red shoe {i}", f"text {i % 3}", seed=i) for i in range(n)]
    ).snapshot()
    return serving(snapshot, **weights)


def search(serving: ServingState, query: str, n_candidates: int = 100, **request: object) -> SearchOutcome:
    searcher = Searcher(FakeEmbedder(), n_candidates=n_candidates)
    asked = SearchRequest(query=query, **request)  # type: ignore[arg-type]
    asked.check()
    return searcher.search(serving, "shop", asked, query_id="q", now=NOW)


def ids(answer: SearchAnswer) -> list[str]:
    return [hit.id for hit in answer.hits]


def test_the_best_match_of_both_legs_comes_first(tmp_path: Path) -> None:
    answer = search(state(tmp_path), "red shoe 7").answer
    assert ids(answer)[0] == "d07"
    assert answer.total == 40
    assert [hit.rank for hit in answer.hits] == list(range(1, 11))
    assert [hit.score for hit in answer.hits] == sorted((hit.score for hit in answer.hits), reverse=True)


def test_pages_add_up_to_the_whole_list_without_gaps_or_repeats(tmp_path: Path) -> None:
    serving = state(tmp_path)
    whole = ids(search(serving, "red shoe", n_candidates=5, limit=40).answer)
    paged = [
        one
        for at in range(0, 40, 7)
        for one in ids(search(serving, "red shoe", n_candidates=5, limit=7, offset=at).answer)
    ]
    assert sorted(whole) == [f"d{i:02d}" for i in range(40)]
    assert paged == whole


def test_an_explanation_adds_up_to_the_score(tmp_path: Path) -> None:
    for hit in search(state(tmp_path), "red 3", explain=True).answer.hits:
        assert hit.explanation is not None
        parts = hit.explanation.features
        assert sum(part.contribution for part in parts.values()) == pytest.approx(hit.score, abs=1e-12)
        assert all(part.contribution == pytest.approx(part.value * part.weight) for part in parts.values())


def test_what_is_logged_is_what_was_shown(tmp_path: Path) -> None:
    outcome = search(state(tmp_path), "red shoe", limit=3, offset=2, explain=True)
    shown = outcome.shown
    assert list(shown.document_ids) == ids(outcome.answer)
    assert (shown.first_rank, shown.weights_version, shown.applied_seq) == (3, 1, 1)
    weights = default_weights(SETTINGS)
    assert tuple(weights) == shown.feature_names
    again = np.array(shown.features) @ np.array(list(weights.values()))
    np.testing.assert_allclose(again, shown.scores, rtol=1e-6)


def test_weights_decide_the_order(tmp_path: Path) -> None:
    lexical = ids(search(state(tmp_path / "a", cosine=0.0), "shoe 7").answer)
    semantic = ids(search(state(tmp_path / "b", bm25__title=0.0, bm25__text=0.0, cosine=1.0), "something 12").answer)
    assert lexical[0] == "d07"
    assert semantic[0] == "d12"


def test_equal_scores_are_ordered_by_id(tmp_path: Path) -> None:
    flat = state(tmp_path, bm25__title=0.0, bm25__text=0.0, cosine=0.0, signal__votes=0.0)
    assert ids(search(flat, "shoe", limit=40).answer) == [f"d{i:02d}" for i in range(40)]


def test_a_failing_encoder_degrades_to_keyword_hits_and_says_so(tmp_path: Path) -> None:
    answer = search(state(tmp_path), "broken").answer
    assert answer.degraded == ["vector"]
    late = Searcher(FakeEmbedder(), n_candidates=100).search(
        state(tmp_path / "b"), "shop", SearchRequest(query="red"), query_id="q", now=NOW, vector_leg=False
    )
    assert late.answer.degraded == ["vector"]
    assert len(late.answer.hits) == 10


class LargeOracle(OracleSnapshot):
    """Not small, so it is handed what encodes the query. Notes what it was asked for."""

    def retrieve(self, asked: Retrieval) -> Retrieved:
        self.asked = asked
        return super().retrieve(asked)


def test_a_large_index_encodes_by_itself_and_waits_for_no_vector_that_is_not_to_come() -> None:
    snapshot = LargeOracle([upsert(f"d{i}", f"Red shoe {i}", seed=i) for i in range(5)], SETTINGS)
    state, request = serving(snapshot), SearchRequest(query="red 3")
    whole = Searcher(FakeEmbedder(), n_candidates=5)
    outcome = whole.search(state, "shop", request, query_id="q", now=NOW)
    assert callable(snapshot.asked.vector)
    assert outcome.answer.degraded == []
    assert outcome.timings.encode > 0.0
    for searcher, vector_leg in ((whole, False), (Searcher(None, n_candidates=5), True)):
        answer = searcher.search(state, "shop", request, query_id="q", now=NOW, vector_leg=vector_leg).answer
        assert snapshot.asked.vector is None
        assert (answer.degraded, answer.total) == (["vector"], 5)
    broken = whole.search(state, "shop", SearchRequest(query="broken"), query_id="q", now=NOW).answer
    assert broken.degraded == ["vector"]


class BusyOracle(LargeOracle):
    @property
    def encodes_concurrently(self) -> bool:
        return True


def test_a_query_has_one_core_where_words_are_looked_up_on_another_or_somebody_else_is_answered() -> None:
    upserts, request = [upsert("d1", "Red shoe", seed=1)], SearchRequest(query="red 3")
    for kind, alone, expected in ((LargeOracle, True, True), (LargeOracle, False, False), (BusyOracle, True, False)):
        embedder = FakeEmbedder()
        searcher, state = Searcher(embedder, n_candidates=5), serving(kind(upserts, SETTINGS))
        searcher.search(state, "shop", request, query_id="q", now=NOW, all_cores=alone)
        assert embedder.all_cores == [expected]


def test_an_empty_query_browses_everything_and_is_not_degraded(tmp_path: Path) -> None:
    answer = search(state(tmp_path), "  ").answer
    assert (answer.total, answer.degraded) == (40, [])
    assert ids(answer) == [f"d{i:02d}" for i in range(10)]


def test_words_that_nobody_uses_still_find_by_vector(tmp_path: Path) -> None:
    answer = search(state(tmp_path), "zzz qqq", n_candidates=5).answer
    assert answer.total == 5
    assert len(answer.hits) == 5


@pytest.mark.parametrize(
    ("field", "value"),
    [("limit", -1), ("limit", 1001), ("offset", -1), ("offset", 995), ("user_token", "x" * 130), ("min_seq", -1)],
)
def test_a_request_out_of_its_limits_names_field_value_and_limit(field: str, value: object) -> None:
    with pytest.raises(InvalidInput) as refused:
        SearchRequest(query="x", **{field: value}).check()  # type: ignore[arg-type]
    assert refused.value.field == field
    assert refused.value.limit


def test_an_unknown_index_is_not_found_and_one_without_a_snapshot_is_unavailable(tmp_path: Path) -> None:
    serving = state(tmp_path)
    with pytest.raises(NotFound, match="there are: shop"):
        Searcher(None, n_candidates=5).search(serving, "shp", SearchRequest(), query_id="q", now=NOW)
    with pytest.raises(Unavailable, match="being built"):
        Searcher(None, n_candidates=5).search(
            ServingState(serving.control), "shop", SearchRequest(), query_id="q", now=NOW
        )


def sleeves_and_notebooks(folder: Path, low: float, high: float) -> tuple[EngineSnapshot, set[str]]:
    """Sleeves hold the word of "laptop 7" and are so near it; notebooks are near and hold none of its words. Also the
    ids of the notebooks."""
    seeds = range(1000, 4000)
    near_seeds = [seed for seed in seeds if vector(seed) @ vector(7) > 0.55][:10]
    half_near_seeds = [seed for seed in seeds if low < vector(seed) @ vector(7) < high][:30]
    far_seeds = half_near_seeds + [seed for seed in seeds if -0.5 < vector(seed) @ vector(7) < 0.1][:60]
    words = [("laptop sleeve", "for a laptop")] * 30 + [("garden chair", "wood")] * 60
    far = [upsert(f"f{i:02d}", *pair, seed=seed) for i, (pair, seed) in enumerate(zip(words, far_seeds, strict=True))]
    notebooks = [upsert(f"n{i}", "notebook", "portable", seed=seed) for i, seed in enumerate(near_seeds)]
    return engine(folder, [*far, *notebooks]).snapshot(), {notebook.id for notebook in notebooks}


def test_where_words_and_meaning_disagree_the_page_shows_some_of_both(tmp_path: Path) -> None:
    snapshot, near = sleeves_and_notebooks(tmp_path, 0.2, 0.45)
    both = search(serving(snapshot), "laptop 7", explain=True)
    found = set(ids(both.answer))
    assert found & near
    assert found - near
    first = next(hit for hit in both.answer.hits if hit.id in near)
    assert first.explanation is not None
    share = first.explanation.features["overlooked"]
    assert (share.value, share.contribution) == (1.0, 4.0)
    parts = sum(one.contribution for one in first.explanation.features.values())
    assert first.score == pytest.approx(parts)
    column = both.shown.feature_names.index("overlooked")
    assert max(row[column] for row in both.shown.features) == 1.0
    assert not set(ids(search(serving(snapshot, overlooked=0.0), "laptop 7").answer)) & near
    # Nothing is overlooked where the words find what is near.
    agreeing = search(serving(snapshot), "notebook 7", explain=True).answer
    assert all(h.explanation and h.explanation.features["overlooked"].value == 0.0 for h in agreeing.hits)


def test_what_the_words_overlook_counts_as_far_as_the_vectors_are_trusted(tmp_path: Path) -> None:
    snapshot, near = sleeves_and_notebooks(tmp_path, 0.08, 0.14)
    both = search(serving(snapshot, overlooked=8.0), "laptop 7", explain=True, limit=100).answer
    assert both.vector_trust is not None
    assert 0.1 < both.vector_trust < 0.9
    parts = [hit.explanation.features["overlooked"] for hit in both.hits if hit.id in near and hit.explanation]
    assert max(part.value for part in parts) == pytest.approx(both.vector_trust, abs=1e-3)
    assert max(part.contribution for part in parts) == pytest.approx(8.0 * both.vector_trust, abs=1e-2)


def test_a_vector_leg_that_knows_nothing_adds_nothing(tmp_path: Path) -> None:
    """What the query's words find is no nearer to it than chance: then neither order nor total follow the vectors."""
    documents = [upsert(f"d{i:03d}", "red shoe" if i % 4 == 0 else "blue hat", "text", seed=i) for i in range(200)]
    snapshot = engine(tmp_path, documents).snapshot()
    served = serving(snapshot)
    answers = [search(served, f"red shoe {i}", operator="all", explain=True).answer for i in range(1000, 1040)]
    assert sum((one.vector_trust or 0.0) < 0.01 for one in answers) > 25
    answer = next(one for one in answers if one.total == 50)
    assert answer.vector_trust == 0.0
    assert ids(answer) == [f"d{i:03d}" for i in range(0, 40, 4)]
    assert all(hit.explanation and hit.explanation.features["cosine"].value == 0.0 for hit in answer.hits)


def test_trust_in_vectors_follows_how_much_nearer_than_chance_the_words_are() -> None:
    nearest = np.full(10, 0.6, np.float32)

    def trust(by_words: float, n: int = 10) -> float:
        return vector_trust(np.full(n, by_words, np.float32), nearest, 0.1, 1000)

    assert trust(0.6) == trust(0.23) == 1.0
    assert trust(0.1875) == pytest.approx(0.5, abs=1e-5)
    assert trust(0.1) == trust(-0.2) == 0.0
    assert trust(0.1, n=2) == 1.0
    assert vector_trust(nearest, nearest[:0], 0.1, 1000) == 0.0
    assert vector_trust(nearest, nearest, 0.9, len(nearest)) == 1.0, "all there is, no nearer than the mean"
