"""Where a search runs, and what is logged of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from searchsvc.execution.load import SearchLoad
from searchsvc.execution.search_execution import SearchExecution, SearchJob, SearchThreads
from searchsvc.runtime.batches import Batches
from searchsvc.search.request import SearchRequest
from searchsvc.search.searcher import Searcher
from searchsvc.state.serving_state import ServingState
from tests.factories import NOW, FakeEmbedder
from tests.searching import hit_ids, red_shoes


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


def job(state: ServingState, request: SearchRequest) -> SearchJob:
    return SearchJob(state, "shop", request, "q", time.perf_counter(), NOW, NOW)


@pytest.mark.anyio
async def test_a_query_that_cannot_be_encoded_is_answered_by_words_and_logged(
    tmp_path: Path, pool: ThreadPoolExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    searcher = Searcher(FakeEmbedder(), n_candidates=10)
    threads = SearchThreads(pool, Batches(pool), None)
    execution = SearchExecution(searcher, threads, SearchLoad(8), deadline_s=30.0)
    state = red_shoes(tmp_path)
    outcome = await execution.run(job(state, SearchRequest(query="broken")))
    assert outcome.answer.degraded == ["vector"]
    assert [record.getMessage() for record in caplog.records] == [
        "a query was answered without vectors: the embedding model failed"
    ]
    caplog.clear()
    outcome = await execution.run(job(state, SearchRequest(query="red shoe 7")))
    assert hit_ids(outcome.answer)[0] == "d07"
    assert not caplog.records


@pytest.mark.parametrize(
    ("search_request", "is_short"),
    [
        (SearchRequest(query="red"), True),
        (SearchRequest(query="red", sort=["votes:asc"]), False),
        (SearchRequest(query="red", distinct="brand"), False),
        (SearchRequest(query="red", limit=101), False),
    ],
)
def test_plain_first_pages_of_a_fast_engine_are_short(
    tmp_path: Path, search_request: SearchRequest, is_short: bool
) -> None:
    assert job(red_shoes(tmp_path), search_request).is_short == is_short
