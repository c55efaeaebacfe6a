"""Searching without HTTP: deadlines, overload, the last known answer."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from events import control
from events.edits import SetLearning
from events.errors import Unavailable
from events.learning import Learning
from events.memory import MemoryEventLog
from events.types import ChangePublished, IndexConfigured
from searchsvc.behavior.keyring import Keyring
from searchsvc.behavior.recent_rankings import RecentRankings
from searchsvc.behavior.state import BehaviorState
from searchsvc.behavior.writer import BehaviorWriter
from searchsvc.changes.commands import Commands
from searchsvc.changes.drafts import Drafts
from searchsvc.embedding.embedder import Embedder
from searchsvc.execution.load import SearchLoad
from searchsvc.execution.search_execution import SearchExecution, SearchThreads
from searchsvc.rehearsal.rehearser import Rehearser
from searchsvc.runtime.batches import Batches
from searchsvc.search.answer import SearchOutcome
from searchsvc.search.last_known import LastKnown
from searchsvc.search.request import SearchRequest
from searchsvc.search.searcher import Searcher
from searchsvc.service.searches import RankingLog, Searches
from searchsvc.state.serving import Serving
from searchsvc.state.serving_state import IndexBehavior
from tests.factories import NOW, SETTINGS, FakeEmbedder, engine, no_history, upsert, vector
from tuning.arrays import FloatArray
from tuning.features import default_weights


class StuckEmbedder(Embedder):
    """Hangs until `let_go` is set: a search that waits for it never ends."""

    def __init__(self) -> None:
        self.let_go = threading.Event()

    def cached(self, query: str) -> FloatArray | None:
        return None

    def knows(self, word: str) -> bool:
        return True

    def encode_query(self, query: str, *, all_cores: bool = False) -> FloatArray:
        self.let_go.wait()
        return vector(1)


class SearchSetup(msgspec.Struct, frozen=True):
    """Searches over index `shop` of 20 red shoes."""

    searches: Searches
    rehearser: Rehearser
    serving: Serving
    rankings: RecentRankings

    async def search(self, request: SearchRequest) -> SearchOutcome:
        return await self.searches.search("shop", request)


async def set_up(
    folder: Path, searcher: Searcher, *, max_waiting: int = 8, n_last_known: int = 0, reserve: bool = True
) -> SearchSetup:
    """reserve: whether a thread is reserved for late searches"""
    log, serving = MemoryEventLog(), Serving()
    state = BehaviorState(n_rankings=10, n_events=10)
    event = IndexConfigured(
        id="1", timestamp=NOW, index="shop", settings=SETTINGS, default_weights=default_weights(SETTINGS)
    )
    await serving.set_control(control.fold(control.ControlState(), event, 1))
    documents = [upsert(str(i), f"red shoe {i}") for i in range(20)]
    await serving.set_snapshot("shop", 1, engine(folder, documents).snapshot())
    writer, keyring = BehaviorWriter(log, state, outbox_size=10), Keyring(folder / "privacy.sqlite")
    commands = Commands(log, serving, searcher.rulebooks, no_history(folder))
    drafts = Drafts(log, serving, commands, no_history(folder))
    pool, load = ThreadPoolExecutor(2), SearchLoad(max_waiting)
    threads = SearchThreads(pool, Batches(pool), ThreadPoolExecutor(1) if reserve else None)
    execution = SearchExecution(searcher, threads, load, deadline_s=0.1)
    rehearser = Rehearser(execution, load, serving)
    ranking_log = RankingLog(writer, state.rankings, keyring)
    last_known = LastKnown(n_last_known)
    searches = Searches(serving, execution, load, ranking_log, last_known, rehearser, commands, drafts)
    return SearchSetup(searches, rehearser, serving, state.rankings)


@pytest.mark.anyio
async def test_no_more_searches_explore_than_is_worth_it(tmp_path: Path) -> None:
    setup = await set_up(tmp_path, Searcher(FakeEmbedder(), n_candidates=10))
    serving = setup.serving
    learns = Learning(mode="automatic", exploration=0.5)
    event = ChangePublished(id="2", timestamp=NOW, index="shop", edits=(SetLearning(learns),))
    await serving.set_control(control.fold(serving.current.control, event, 2))

    async def n_explored() -> int:
        outcomes = [await setup.search(SearchRequest(query="red shoe")) for _ in range(40)]
        return sum(outcome.shown.exploration is not None for outcome in outcomes)

    assert await n_explored() > 5
    await serving.set_behavior({"shop": IndexBehavior(exploration=0.0)})
    assert await n_explored() == 0


@pytest.mark.anyio
async def test_a_stuck_encoder_degrades_every_answer_within_the_deadline(tmp_path: Path) -> None:
    embedder = StuckEmbedder()
    setup = await set_up(tmp_path, Searcher(embedder, n_candidates=10))
    for _ in range(4):  # more than there are threads to hang
        answer = (await setup.search(SearchRequest(query="red shoe"))).answer
        assert answer.degraded == ["vector"]
        assert len(answer.hits) == 10
    embedder.let_go.set()


@pytest.mark.anyio
async def test_without_a_reserved_thread_a_late_search_gets_the_last_known_answer_or_is_refused(
    tmp_path: Path,
) -> None:
    embedder = StuckEmbedder()
    embedder.let_go.set()
    setup = await set_up(tmp_path, Searcher(embedder, n_candidates=10), n_last_known=10, reserve=False)
    before = (await setup.search(SearchRequest(query="red shoe"))).answer
    embedder.let_go.clear()
    for _ in range(4):  # more than there are threads to hang
        again = (await setup.search(SearchRequest(query="red shoe"))).answer
        assert (again.degraded, again.hits) == (["last_known"], before.hits)
        with pytest.raises(Unavailable, match=r"the search took longer than 0\.1 s"):
            await setup.search(SearchRequest(query="shoe"))
    embedder.let_go.set()


class WatchedSearcher(Searcher):
    """Records the thread on which each search was finished."""

    def __init__(self, embedder: Embedder) -> None:
        super().__init__(embedder, n_candidates=10)
        self.finished_on: list[int] = []

    def complete(self, *args: Any, **kwargs: Any) -> SearchOutcome:
        self.finished_on.append(threading.get_ident())
        return super().complete(*args, **kwargs)


class ForgetfulEmbedder(FakeEmbedder):
    """Remembers no query but `known`."""

    def cached(self, query: str) -> FloatArray | None:
        return vector(1) if query == "known" else None


@pytest.mark.anyio
async def test_short_searches_are_finished_on_the_event_loop_long_ones_on_threads(tmp_path: Path) -> None:
    searcher = WatchedSearcher(ForgetfulEmbedder())
    setup = await set_up(tmp_path, searcher)
    loop_thread = threading.get_ident()

    async def finished_here(*requests: SearchRequest) -> list[bool]:
        searcher.finished_on.clear()
        outcomes = await asyncio.gather(*(setup.search(request) for request in requests))
        assert [outcome.answer.degraded for outcome in outcomes] == [[]] * len(requests)
        return [thread == loop_thread for thread in searcher.finished_on]

    cached, uncached = SearchRequest(query="known"), SearchRequest(query="unknown")
    assert await finished_here(cached) == [True]
    assert await finished_here(uncached) == [False]
    assert await finished_here(cached, uncached, cached) == [True] * 3
    assert await finished_here(SearchRequest(query="known", sort=["title:asc"])) == [False]
    assert await finished_here(SearchRequest(query="known", limit=500)) == [False]


@pytest.mark.anyio
async def test_a_query_is_encoded_on_every_core_while_it_is_the_only_one(tmp_path: Path) -> None:
    embedder = ForgetfulEmbedder()
    setup = await set_up(tmp_path, Searcher(embedder, n_candidates=10))
    unknown = SearchRequest(query="unknown")
    await setup.search(unknown)
    await asyncio.gather(*(setup.search(unknown) for _ in range(3)))
    await setup.search(unknown)
    assert (embedder.all_cores[0], embedder.all_cores[-1]) == (True, True)
    assert sorted(embedder.all_cores[1:-1]) == [False, False, True]


@pytest.mark.anyio
async def test_too_many_short_searches_at_once_are_refused_too(tmp_path: Path) -> None:
    setup = await set_up(tmp_path, Searcher(ForgetfulEmbedder(), n_candidates=10), max_waiting=3)
    searches = [setup.search(SearchRequest(query="known")) for _ in range(5)]
    outcomes = await asyncio.gather(*searches, return_exceptions=True)
    assert sum(isinstance(outcome, Unavailable) for outcome in outcomes) == 2


@pytest.mark.anyio
async def test_only_the_answer_that_went_out_is_remembered(tmp_path: Path) -> None:
    embedder = StuckEmbedder()
    setup = await set_up(tmp_path, Searcher(embedder, n_candidates=10))
    await setup.search(SearchRequest(query="red shoe"))
    embedder.let_go.set()
    await setup.search(SearchRequest(query="red shoe"))
    assert len(setup.rankings) == 2


@pytest.mark.anyio
async def test_too_many_searches_at_once_are_refused_and_the_others_answered(tmp_path: Path) -> None:
    embedder = StuckEmbedder()
    setup = await set_up(tmp_path, Searcher(embedder, n_candidates=10), max_waiting=3)
    searches = [setup.search(SearchRequest(query="red shoe")) for _ in range(5)]
    outcomes = await asyncio.gather(*searches, return_exceptions=True)
    assert sum(isinstance(outcome, Unavailable) for outcome in outcomes) == 2
    embedder.let_go.set()


class AwaySearcher(Searcher):
    """Finds nothing while it is away."""

    away = False

    def complete(self, *args: Any, **kwargs: Any) -> SearchOutcome:
        if self.away:
            raise Unavailable("the cluster is away")
        return super().complete(*args, **kwargs)


@pytest.mark.anyio
async def test_while_nothing_can_be_retrieved_the_last_known_answer_is_shown_as_degraded(tmp_path: Path) -> None:
    searcher = AwaySearcher(FakeEmbedder(), n_candidates=10)
    setup = await set_up(tmp_path, searcher, n_last_known=2)
    request = SearchRequest(query="red shoe 3", user_token="a")
    answer = (await setup.search(request)).answer
    searcher.away = True
    again = await setup.search(msgspec.structs.replace(request, user_token="b", min_seq=1))
    assert (again.answer.degraded, again.shown.degraded) == (["last_known"], ("last_known",))
    assert (again.answer.hits, again.answer.total) == (answer.hits, answer.total)
    assert again.answer.query_id == again.shown.id != answer.query_id
    assert setup.rankings.contradiction(again.answer.query_id, "shop", answer.hits[0].id, 1) is None
    # Not for another request, and not for one that requires a newer sequence.
    for other in ({"offset": 1}, {"filters": "votes>1"}, {"typos": False}):
        with pytest.raises(Unavailable, match="cluster is away"):
            await setup.search(msgspec.structs.replace(request, **other))
    newer = engine(tmp_path / "newer", [upsert(str(i), f"red shoe {i}") for i in range(21)])
    await setup.serving.set_snapshot("shop", 1, newer.snapshot())
    with pytest.raises(Unavailable, match="cluster is away"):
        await setup.search(msgspec.structs.replace(request, min_catalog_seq=21))
    # A limited number is remembered, and no degraded answer.
    searcher.away = False
    for query in ("red shoe 4", "broken", "red shoe 5"):
        await setup.search(SearchRequest(query=query))
    searcher.away = True
    with pytest.raises(Unavailable):
        await setup.search(request)
    with pytest.raises(Unavailable):
        await setup.search(SearchRequest(query="broken"))
    assert (await setup.search(SearchRequest(query="red shoe 4"))).answer.degraded == ["last_known"]
