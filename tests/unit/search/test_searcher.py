"""One search from request to answer, on a small index."""

from __future__ import annotations

from pathlib import Path

import pytest

from events.errors import NotFound, Unavailable
from searchsvc.search.request import SearchRequest
from searchsvc.search.searcher import Searcher
from searchsvc.state.serving_state import ServingState
from tests.factories import NOW
from tests.searching import hit_ids, red_shoes, search


def test_the_best_match_of_both_legs_comes_first(tmp_path: Path) -> None:
    answer = search(red_shoes(tmp_path), "red shoe 7").answer
    assert hit_ids(answer)[0] == "d07"
    assert answer.total == 40
    assert [hit.rank for hit in answer.hits] == list(range(1, 11))
    assert [hit.score for hit in answer.hits] == sorted((hit.score for hit in answer.hits), reverse=True)


def test_pages_add_up_to_the_whole_list_without_gaps_or_repeats(tmp_path: Path) -> None:
    serving = red_shoes(tmp_path)
    whole = hit_ids(search(serving, "red shoe", n_candidates=5, limit=40).answer)
    paged = [
        document_id
        for offset in range(0, 40, 7)
        for document_id in hit_ids(search(serving, "red shoe", n_candidates=5, limit=7, offset=offset).answer)
    ]
    assert sorted(whole) == [f"d{i:02d}" for i in range(40)]
    assert paged == whole


def test_weights_decide_the_order(tmp_path: Path) -> None:
    lexical = hit_ids(search(red_shoes(tmp_path / "a", cosine=0.0), "shoe 7").answer)
    semantic = hit_ids(
        search(red_shoes(tmp_path / "b", bm25__title=0.0, bm25__text=0.0, cosine=1.0), "something 12").answer
    )
    assert lexical[0] == "d07"
    assert semantic[0] == "d12"


def test_equal_scores_are_ordered_by_id(tmp_path: Path) -> None:
    flat = red_shoes(tmp_path, bm25__title=0.0, bm25__text=0.0, cosine=0.0, neighbourhood=0.0, signal__votes=0.0)
    assert hit_ids(search(flat, "shoe", limit=40).answer) == [f"d{i:02d}" for i in range(40)]


def test_an_empty_query_browses_everything_and_is_not_degraded(tmp_path: Path) -> None:
    answer = search(red_shoes(tmp_path), "  ").answer
    assert (answer.total, answer.degraded) == (40, [])
    assert hit_ids(answer) == [f"d{i:02d}" for i in range(10)]


def test_words_that_no_document_contains_still_find_by_vector(tmp_path: Path) -> None:
    answer = search(red_shoes(tmp_path), "zzz qqq", n_candidates=5).answer
    assert answer.total == 5
    assert len(answer.hits) == 5


def test_an_unknown_index_is_not_found_and_one_without_a_snapshot_is_unavailable(tmp_path: Path) -> None:
    serving = red_shoes(tmp_path)
    with pytest.raises(NotFound, match="there are: shop"):
        Searcher(None, n_candidates=5).search(serving, "shp", SearchRequest(), query_id="q", now=NOW)
    with pytest.raises(Unavailable, match="being built"):
        Searcher(None, n_candidates=5).search(
            ServingState(serving.control), "shop", SearchRequest(), query_id="q", now=NOW
        )
