"""The service without HTTP: deadlines, overload, reading one's own write, compaction."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from events import control
from events.edits import SetLearning
from events.errors import Unavailable
from events.learning import Learning
from events.memory import MemoryEventLog
from events.types import ChangePublished, IndexConfigured
from searchsvc.analysis.understanding import understand
from searchsvc.behavior.dead_letters import DeadLetters
from searchsvc.behavior.keyring import Keyring
from searchsvc.behavior.state import BehaviorState
from searchsvc.behavior.writer import BehaviorWriter
from searchsvc.changes.commands import Commands
from searchsvc.changes.drafts import Drafts
from searchsvc.embedding.embedder import Embedder
from searchsvc.engines.embedded import storage
from searchsvc.engines.embedded.indexes import EmbeddedStorage
from searchsvc.engines.protocol import Delete
from searchsvc.indexing.indexer import Indexer
from searchsvc.runtime.batches import Batches
from searchsvc.runtime.tasks import end
from searchsvc.search.answer import SearchOutcome, SearchRequest
from searchsvc.search.last_known import LastKnown
from searchsvc.search.searcher import Searcher
from searchsvc.service.service import Service
from searchsvc.state.serving import IndexBehavior, Serving
from tests.factories import DIMENSION, NOW, SETTINGS, FakeEmbedder, engine, no_history, upsert, vector
from tuning.arrays import FloatArray
from tuning.features import default_weights


class StuckEmbedder(Embedder):
    """Hangs until it is let go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()

    def cached(self, query: str) -> FloatArray | None:
        return None

    def encode_query(self, query: str, *, alone: bool = False) -> FloatArray:
        self.let_go.wait(30)
        return vector(1)


async def service(
    folder: Path, searcher: Searcher, *, max_waiting: int = 8, n_last_known: int = 0, reserve: bool = True
) -> Service:
    log, serving = MemoryEventLog(), Serving()
    memory = BehaviorState(n_rankings=10, n_events=10)
    event = IndexConfigured(
        id="1", timestamp=NOW, index="shop", settings=SETTINGS, default_weights=default_weights(SETTINGS)
    )
    await serving.set_control(control.fold(control.ControlState(), event, 1))
    documents = [upsert(str(i), f"red shoe {i}") for i in range(20)]
    await serving.set_snapshot("shop", 1, engine(folder, documents).snapshot())
    writer, keyring = BehaviorWriter(log, memory, outbox_size=10), Keyring(folder / "privacy.sqlite")
    commands = Commands(log, serving, searcher.rulebooks, no_history(folder))
    threads = ThreadPoolExecutor(2)
    return Service(
        log,
        serving,
        commands,
        Drafts(log, serving, commands, no_history(folder)),
        searcher,
        threads,
        Batches(threads),
        ThreadPoolExecutor(1) if reserve else None,
        writer,
        memory,
        keyring,
        DeadLetters(log, writer, memory.rankings, keyring, lambda: serving.current.control),
        LastKnown(n_last_known),
        max_events_per_s=1e9,
        deadline_s=0.1,
        max_waiting=max_waiting,
    )


def test_no_more_is_left_to_chance_than_is_found_worth_it(tmp_path: Path) -> None:
    async def run() -> None:
        running = await service(tmp_path, Searcher(FakeEmbedder(), n_candidates=10))
        serving = running.serving
        learns = Learning(mode="automatic", exploration=0.5)
        event = ChangePublished(id="2", timestamp=NOW, index="shop", edits=(SetLearning(learns),))
        await serving.set_control(control.fold(serving.current.control, event, 2))

        async def n_explored() -> int:
            asked = [await running.search("shop", SearchRequest(query="red shoe")) for _ in range(40)]
            return sum(outcome.shown.exploration is not None for outcome in asked)

        assert await n_explored() > 5
        await serving.set_behavior({"shop": IndexBehavior(exploration=0.0)})
        assert await n_explored() == 0

    asyncio.run(run())


def test_a_stuck_encoder_degrades_every_answer_within_the_deadline(tmp_path: Path) -> None:
    async def run() -> None:
        embedder = StuckEmbedder()
        running = await service(tmp_path, Searcher(embedder, n_candidates=10))
        for _ in range(4):  # more than there are threads to hang
            started = time.monotonic()
            answer = (await running.search("shop", SearchRequest(query="red shoe"))).answer
            assert answer.degraded == ["vector"]
            assert len(answer.hits) == 10
            assert time.monotonic() - started < 1.0
        embedder.let_go.set()

    asyncio.run(run())


def test_where_nothing_is_in_reserve_what_is_late_is_answered_as_last_time_or_refused_in_time(tmp_path: Path) -> None:
    async def run() -> None:
        embedder = StuckEmbedder()
        embedder.let_go.set()
        running = await service(tmp_path, Searcher(embedder, n_candidates=10), n_last_known=10, reserve=False)
        before = (await running.search("shop", SearchRequest(query="red shoe"))).answer
        embedder.let_go.clear()
        for _ in range(4):  # more than there are threads to hang
            started = time.monotonic()
            again = (await running.search("shop", SearchRequest(query="red shoe"))).answer
            assert (again.degraded, again.hits) == (["last_known"], before.hits)
            with pytest.raises(Unavailable, match=r"nothing was found within 0\.1 s"):
                await running.search("shop", SearchRequest(query="shoe"))
            assert time.monotonic() - started < 1.0
        embedder.let_go.set()

    asyncio.run(run())


class WatchedSearcher(Searcher):
    """Notes on which thread each search was finished."""

    def __init__(self, embedder: Embedder) -> None:
        super().__init__(embedder, n_candidates=10)
        self.finished_on: list[int] = []

    def finish(self, *args: Any, **kwargs: Any) -> SearchOutcome:
        self.finished_on.append(threading.get_ident())
        return super().finish(*args, **kwargs)


class ForgetfulEmbedder(FakeEmbedder):
    """Remembers no query but `known`."""

    def cached(self, query: str) -> FloatArray | None:
        return vector(1) if query == "known" else None


def test_short_searches_are_finished_on_the_event_loop_long_ones_on_threads(tmp_path: Path) -> None:
    async def run() -> None:
        searcher = WatchedSearcher(ForgetfulEmbedder())
        running = await service(tmp_path, searcher)
        here = threading.get_ident()

        async def finished_here(*requests: SearchRequest) -> list[bool]:
            searcher.finished_on.clear()
            outcomes = await asyncio.gather(*(running.search("shop", request) for request in requests))
            assert [outcome.answer.degraded for outcome in outcomes] == [[]] * len(requests)
            return [thread == here for thread in searcher.finished_on]

        known, unknown = SearchRequest(query="known"), SearchRequest(query="unknown")
        assert await finished_here(known) == [True]
        assert await finished_here(unknown) == [False]
        assert await finished_here(known, unknown, known) == [True] * 3
        assert await finished_here(SearchRequest(query="known", sort=["title:asc"])) == [False]
        assert await finished_here(SearchRequest(query="known", limit=500)) == [False]

    asyncio.run(run())


def test_a_query_may_have_every_core_while_it_is_the_only_one(tmp_path: Path) -> None:
    async def run() -> None:
        embedder = ForgetfulEmbedder()
        running = await service(tmp_path, Searcher(embedder, n_candidates=10))
        unknown = SearchRequest(query="unknown")
        await running.search("shop", unknown)
        await asyncio.gather(*(running.search("shop", unknown) for _ in range(3)))
        await running.search("shop", unknown)
        assert (embedder.alone[0], embedder.alone[-1]) == (True, True)
        assert sorted(embedder.alone[1:-1]) == [False, False, True]

    asyncio.run(run())


def test_too_many_short_searches_at_once_are_refused_too(tmp_path: Path) -> None:
    async def run() -> None:
        running = await service(tmp_path, Searcher(ForgetfulEmbedder(), n_candidates=10), max_waiting=3)
        asked = [running.search("shop", SearchRequest(query="known")) for _ in range(5)]
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert sum(isinstance(outcome, Unavailable) for outcome in outcomes) == 2

    asyncio.run(run())


def test_only_the_answer_that_went_out_is_remembered(tmp_path: Path) -> None:
    async def run() -> None:
        embedder = StuckEmbedder()
        running = await service(tmp_path, Searcher(embedder, n_candidates=10))
        await running.search("shop", SearchRequest(query="red shoe"))
        embedder.let_go.set()
        await running.search("shop", SearchRequest(query="red shoe"))
        assert len(running.rankings) == 2

    asyncio.run(run())


def test_too_many_searches_at_once_are_refused_and_the_others_answered(tmp_path: Path) -> None:
    async def run() -> None:
        embedder = StuckEmbedder()
        running = await service(tmp_path, Searcher(embedder, n_candidates=10), max_waiting=3)
        asked = [running.search("shop", SearchRequest(query="red shoe")) for _ in range(5)]
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert sum(isinstance(outcome, Unavailable) for outcome in outcomes) == 2
        embedder.let_go.set()

    asyncio.run(run())


def test_a_sequence_that_never_comes_is_unavailable_and_a_stale_snapshot_is_not_shown(tmp_path: Path) -> None:
    async def run() -> None:
        serving = (await service(tmp_path, Searcher(StuckEmbedder(), n_candidates=10))).serving
        with pytest.raises(Unavailable, match="sequence 9"):
            await serving.until(lambda s: s.control.seq >= 9, 0.05, "sequence 9")
        before = serving.current.snapshots["shop"]
        await serving.set_snapshot("shop", 77, engine(tmp_path / "other").snapshot())
        assert serving.current.snapshots["shop"] is before

    asyncio.run(run())


class AwaySearcher(Searcher):
    """Finds nothing while it is away."""

    away = False

    def finish(self, *args: Any, **kwargs: Any) -> SearchOutcome:
        if self.away:
            raise Unavailable("the cluster is away")
        return super().finish(*args, **kwargs)


def test_while_nothing_can_be_found_what_was_found_last_is_shown_and_says_so(tmp_path: Path) -> None:
    async def run() -> None:
        searcher = AwaySearcher(FakeEmbedder(), n_candidates=10)
        running = await service(tmp_path, searcher, n_last_known=2)
        known = SearchRequest(query="red shoe 3", user_token="a")
        found = (await running.search("shop", known)).answer
        searcher.away = True
        again = await running.search("shop", msgspec.structs.replace(known, user_token="b", min_seq=1))
        assert (again.answer.degraded, again.shown.degraded) == (["last_known"], ("last_known",))
        assert (again.answer.hits, again.answer.total) == (found.hits, found.total)
        assert again.answer.query_id == again.shown.id != found.query_id
        assert running.rankings.contradiction(again.answer.query_id, "shop", found.hits[0].id, 1) is None
        # Neither another request nor one that has to be fresher.
        for other in ({"offset": 1}, {"filters": "votes>1"}, {"typos": False}):
            with pytest.raises(Unavailable, match="cluster is away"):
                await running.search("shop", msgspec.structs.replace(known, **other))
        newer = engine(tmp_path / "newer", [upsert(str(i), f"red shoe {i}") for i in range(21)])
        await running.serving.set_snapshot("shop", 1, newer.snapshot())
        with pytest.raises(Unavailable, match="cluster is away"):
            await running.search("shop", msgspec.structs.replace(known, min_catalog_seq=21))
        # Only so many are remembered, and none that lacked something.
        searcher.away = False
        for query in ("red shoe 4", "broken", "red shoe 5"):
            await running.search("shop", SearchRequest(query=query))
        searcher.away = True
        with pytest.raises(Unavailable):
            await running.search("shop", known)
        with pytest.raises(Unavailable):
            await running.search("shop", SearchRequest(query="broken"))
        assert (await running.search("shop", SearchRequest(query="red shoe 4"))).answer.degraded == ["last_known"]

    asyncio.run(run())


def test_an_indexer_that_failed_in_the_middle_of_a_write_saves_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        event = IndexConfigured(id="1", timestamp=NOW, index="shop", settings=SETTINGS, default_weights={})
        index = control.fold(control.ControlState(), event, 1).index("shop")
        for save in (False, True):
            folder = tmp_path / str(save)
            kept = EmbeddedStorage(folder, SETTINGS, dimension=DIMENSION)
            indexer = Indexer(index, kept, MemoryEventLog(), Serving(), None, ThreadPoolExecutor(1))
            indexer.engine = kept.open()
            indexer.engine.apply([upsert("1", "red shoe")], 1)
            indexer._n_unsaved = 1
            await indexer.close(save=save)
            assert bool(storage.snapshots(folder)) is save

    asyncio.run(run())


def test_compaction_drops_dead_slots_and_keeps_every_answer(tmp_path: Path) -> None:
    made = engine(tmp_path, [upsert(str(i), f"red shoe {i}", seed=i, votes=i) for i in range(30)])
    made.apply([Delete(str(i)) for i in range(0, 30, 2)], 31)
    before = made.snapshot()
    after = EmbeddedStorage(tmp_path, SETTINGS, dimension=DIMENSION)._rebuilt(made, lambda some: some).snapshot()
    assert (after.n_documents, after.catalog_seq) == (15, 31)
    assert after.generation != before.generation
    for document_id in ("1", "29"):
        old, new = (np.array([snapshot.find(document_id)]) for snapshot in (before, after))
        query = understand("red 29", after.lexicon)
        np.testing.assert_array_equal(before.text_features(old, query).bm25, after.text_features(new, query).bm25)
    assert after.find("2") is None


def test_a_task_that_swallows_a_cancellation_is_ended_all_the_same() -> None:
    async def run() -> None:
        swallowed = 0

        async def stubborn() -> None:
            nonlocal swallowed
            while swallowed < 2:
                try:
                    await asyncio.sleep(3600)
                except asyncio.CancelledError:
                    swallowed += 1
            await asyncio.sleep(3600)

        async def failing() -> None:
            try:
                await asyncio.sleep(3600)
            finally:
                raise ValueError("on the way out")

        tasks = [asyncio.create_task(stubborn()), asyncio.create_task(failing())]
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            await end(tasks, again_s=0.01)
        assert all(task.done() for task in tasks)
        assert isinstance(tasks[1].exception(), ValueError)

    asyncio.run(run())
