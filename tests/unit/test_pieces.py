"""Analysis, ranking, columns, weights, the behaviour writer, and the benchmarks' own arithmetic."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from benchmarks import report
from events.codec import decode_behavior
from events.errors import InvalidInput, Unavailable
from events.log import Entry, Record
from events.memory import MemoryEventLog
from events.settings import Embedding, SearchableField
from events.streams import StreamName
from searchsvc.analysis.analyzer import embedding_text, field_text
from searchsvc.behavior.state import BehaviorState
from searchsvc.behavior.stored_events import BLOCK_IDS, StoredEventIds
from searchsvc.behavior.writer import BehaviorWriter
from searchsvc.engines.columnar.columns import Column
from searchsvc.search import ranking
from tests.factories import click
from tests.factories import ranking as shown
from tuning.weights import check_weights


def test_field_text_joins_members_and_prefixes() -> None:
    document = {"id": "1", "tags": ["a", "b"], "attr_x": "c", "attr_y": 5, "flag": True, "deep": {"k": "d"}}
    assert field_text(document, SearchableField("all", ("tags", "attr_*", "flag", "deep", "none"))) == "a b c 5 d"
    assert embedding_text(document, Embedding(("tags", "none", "attr_x"), 3)) == "a, . c"


def test_the_best_come_first_and_equal_ones_by_id() -> None:
    scores = np.array([0.5, 0.9, 0.5, 0.1, 0.5])
    ids = ["e", "d", "c", "b", "a"]
    assert ranking.best(scores, 5, ids.__getitem__) == [1, 4, 2, 0, 3]
    assert ranking.best(scores, 2, ids.__getitem__) == [1, 4]
    assert ranking.best(scores, 0, ids.__getitem__) == []


def test_contributions_add_up_to_the_score() -> None:
    rng = np.random.default_rng(0)
    features, weights = rng.random((50, 9)).astype(np.float32), rng.normal(size=9)
    parts = ranking.contributions(features, weights)
    np.testing.assert_array_equal(parts.sum(axis=1), ranking.score(features, weights))


def test_the_nearest_count_as_overlooked_only_where_the_best_hold_none_of_them() -> None:
    scores = np.array([5.0, 4.0, 3.0, 2.0, 1.0])
    ranks = np.array([0, 0, 3, 1, 2])
    found = ranking.overlooked(scores, ranks, k=2)
    assert found is not None
    np.testing.assert_allclose(found, [0, 0, 0, 1.0, 0.5])
    assert ranking.overlooked(scores, ranks, k=3) is None
    # Whoever equals the last of the best is one of them, wherever it stands.
    for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
        tied, near = np.array([2.0, 1.0, 1.0])[order], np.array([0, 0, 1])[order]
        assert ranking.overlooked(tied, near, k=2) is None
    assert ranking.overlooked(scores, np.zeros(5, np.int64), k=2) is None


def test_reciprocal_rank_fusion_is_that_of_the_paper() -> None:
    fused = ranking.reciprocal_rank_fusion(np.array([[1.0, 2.0, np.inf], [3.0, np.inf, 1.0]]))
    np.testing.assert_allclose(fused, [1 / 61 + 1 / 63, 1 / 62, 1 / 61])


def test_a_view_of_a_column_never_changes() -> None:
    column = Column(np.int64)
    column.extend(np.array([1, 2]))
    before = column.view()
    for i in range(5000):
        column.extend(np.array([i]))
    np.testing.assert_array_equal(before, [1, 2])
    assert len(column.view()) == 5002
    with pytest.raises(ValueError, match="read-only"):
        before[0] = 9


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 100.1, -100.1])
def test_weights_out_of_bounds_are_refused(value: float) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_weights({"a": 1.0, "b": value}, {"a": 0.0, "b": 0.0}, {})
    assert refused.value.field == "weights.b"


class FailingLog(MemoryEventLog):
    """Is away for the first appends."""

    def __init__(self, n_failures: int) -> None:
        super().__init__()
        self.n_failures = n_failures

    async def append(self, stream: StreamName, entry: Entry, **expectations: int | None) -> int:
        if self.n_failures > 0:
            self.n_failures -= 1
            raise Unavailable("away")
        return await super().append(stream, entry, **expectations)


async def stored(log: MemoryEventLog) -> list[Record]:
    return [record async for record in log.read("BEHAVIOR")]


def memory() -> BehaviorState:
    return BehaviorState(n_rankings=100, n_events=100)


async def drained(log: MemoryEventLog, outbox_size: int, n_rankings: int, n_clicks: int) -> BehaviorWriter:
    writer = BehaviorWriter(log, memory(), outbox_size=outbox_size)
    for i in range(n_rankings):
        writer.offer(shown(f"q{i}"))
    running = asyncio.create_task(writer.run())
    await asyncio.gather(*(writer.append([click(f"e{i}", f"q{i}")]) for i in range(n_clicks)))
    writer.close()
    await running
    return writer


def test_many_events_share_a_message_and_rankings_go_before_their_clicks() -> None:
    async def run() -> None:
        log = MemoryEventLog()
        writer = await drained(log, 100, 30, 20)
        records = await stored(log)
        events = [event for record in records for event in decode_behavior(record.data).events]
        assert len(records) <= 2
        assert [event.id for event in events] == [f"q{i}" for i in range(30)] + [f"e{i}" for i in range(20)]
        assert (writer.counts.written, writer.counts.shed, writer.counts.queued) == (50, 0, 0)

    asyncio.run(run())


def test_what_the_outbox_cannot_hold_is_shed_and_counted() -> None:
    async def run() -> None:
        writer = await drained(MemoryEventLog(), 10, 25, 1)
        assert (writer.counts.written, writer.counts.shed) == (11, 15)

    asyncio.run(run())


def test_a_log_that_is_away_for_a_moment_loses_nothing_and_one_that_stays_away_is_said() -> None:
    async def run() -> None:
        log = FailingLog(2)
        assert (await drained(log, 10, 3, 2)).counts.written == 5
        assert len(await stored(log)) == 1
        with pytest.raises(Unavailable):
            await drained(FailingLog(100), 10, 3, 2)

    asyncio.run(run())


def test_an_interaction_sent_again_is_stored_once_however_it_is_sent() -> None:
    async def run() -> None:
        log = MemoryEventLog()
        writer = BehaviorWriter(log, memory(), outbox_size=10)
        running = asyncio.create_task(writer.run())
        # At once from two sides, twice in one batch, and again once it is stored.
        await asyncio.gather(writer.append([click("a")]), writer.append([click("a"), click("b"), click("b")]))
        await writer.append([click("b"), click("c")])
        writer.close()
        await running
        events = [event.id for record in await stored(log) for event in decode_behavior(record.data).events]
        assert sorted(events) == ["a", "b", "c"]

    asyncio.run(run())


def test_an_interaction_that_could_not_be_stored_can_be_sent_again() -> None:
    async def run() -> None:
        log = FailingLog(3)
        writer = BehaviorWriter(log, memory(), outbox_size=10)
        running = asyncio.create_task(writer.run())
        refused = await asyncio.gather(writer.append([click("a")]), writer.append([click("a")]), return_exceptions=True)
        assert [type(error) for error in refused] == [Unavailable, Unavailable]
        await writer.append([click("a")])
        writer.close()
        await running
        assert len(await stored(log)) == 1

    asyncio.run(run())


def test_a_writer_that_meets_the_unforeseen_tells_who_waits_and_goes_on() -> None:
    async def run() -> None:
        broken = [True]

        async def before_write() -> None:
            if broken.pop() if broken else False:
                raise ZeroDivisionError("unforeseen")

        log = MemoryEventLog()
        writer = BehaviorWriter(log, memory(), outbox_size=10, before_write=before_write)
        running = asyncio.create_task(writer.run())
        with pytest.raises(Unavailable, match="unforeseen"):
            await writer.append([click("a")])
        await writer.append([click("a")])
        writer.close()
        await running
        assert len(await stored(log)) == 1

    asyncio.run(run())


def test_at_least_so_many_stored_ids_are_remembered_and_the_oldest_are_forgotten_first() -> None:
    events = StoredEventIds(BLOCK_IDS)
    for i in range(3 * BLOCK_IDS):
        assert events.add(f"e{i}")
        assert not events.add(f"e{i}")
    assert BLOCK_IDS <= len(events) <= 2 * BLOCK_IDS
    assert "e0" not in events
    assert all(f"e{i}" in events for i in range(2 * BLOCK_IDS, 3 * BLOCK_IDS))


def test_rankings_too_large_for_one_message_are_spread_over_several() -> None:
    async def run() -> None:
        log = MemoryEventLog()
        writer = BehaviorWriter(log, memory(), outbox_size=100)
        ids = [f"{i:0500d}" for i in range(1000)]  # half a megabyte a ranking, eight to a message
        for i in range(40):
            writer.offer(shown(f"q{i}", ids=ids))
        running = asyncio.create_task(writer.run())
        async with asyncio.timeout(20):  # a writer that ended on the way would leave them waiting
            await asyncio.gather(*(writer.append([click(f"e{i}", f"q{i}")]) for i in range(20)))
            writer.close()
            await running
        records = await stored(log)
        events = [event.id for record in records for event in decode_behavior(record.data).events]
        assert len(records) > 2
        assert sorted(events) == sorted([f"q{i}" for i in range(40)] + [f"e{i}" for i in range(20)])
        assert events.index("q39") < events.index("e0")
        assert (writer.counts.written, writer.counts.shed) == (60, 0)

    asyncio.run(run())


def test_intervals_hold_the_figure_and_repeat() -> None:
    values = np.random.default_rng(1).normal(10, 2, 400)
    interval = report.mean_interval(values)
    assert interval.low < interval.value < interval.high
    assert interval == report.mean_interval(values)
    figures = report.latency(values.tolist())
    assert figures.p50.low <= figures.p50.value <= figures.p50.high <= figures.p99.high
    assert figures.n == 400


def test_every_published_result_names_commit_machine_versions_and_seed() -> None:
    import msgspec

    for file in (Path(report.__file__).parent / "results").glob("*.json"):
        result = msgspec.json.decode(file.read_bytes())
        assert {"benchmark", "question", "commit", "machine", "versions", "seed", "checks"} <= set(result), file
