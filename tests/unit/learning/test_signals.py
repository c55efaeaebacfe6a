"""Writing what was learnt to SIGNALS."""

from __future__ import annotations

from types import MappingProxyType

import pytest

from events.codec import decode_signal
from events.control import ControlState
from events.errors import Unavailable
from events.log import Entry
from events.memory import MemoryEventLog
from events.streams import StreamName
from events.types import DocumentBehaviorLearnt, ExplorationLearnt, QueryBehaviorLearnt, SignalEvent
from searchsvc.learning.index_learners import Outcome
from searchsvc.learning.signals import SignalsWriter
from searchsvc.state.serving import Serving
from tests.factories import NOW
from tests.simulation.shop import index
from tuning.learners.behavior import BehaviorStatistics
from tuning.learners.exploration import Exploration
from tuning.online.behavior import LearntBehavior

pytestmark = pytest.mark.anyio
STATISTICS = BehaviorStatistics(clicks=12.34567, expected=5.00049, users=[1, 2])


def learnt(query: str = "", factor: float = 1.123456) -> LearntBehavior:
    return LearntBehavior(query, "d1", factor, 0.98765, STATISTICS)


class AwayLog(MemoryEventLog):
    """Cannot be written while `away` is set."""

    away = True

    async def append(self, stream: StreamName, entry: Entry, **expectations: int | None) -> int:
        if self.away:
            raise Unavailable("the log is away")
        return await super().append(stream, entry, **expectations)


async def writer_to(log: MemoryEventLog) -> SignalsWriter:
    serving = Serving()
    await serving.set_control(ControlState(indexes=MappingProxyType({"shop": index()})))
    return SignalsWriter(log, serving, lambda: NOW)


async def written(log: MemoryEventLog) -> list[SignalEvent]:
    events = [decode_signal(record.data) async for record in log.read("SIGNALS")]
    return [event for event in events if not isinstance(event, str)]  # type: ignore[misc]


async def test_values_are_written_rounded_by_document_and_by_query() -> None:
    log = MemoryEventLog()
    writer = await writer_to(log)
    writer.add(Outcome(behavior={"shop": [learnt(), learnt("lamp")]}))
    await writer.write()
    document, pair = await written(log)
    assert isinstance(document, DocumentBehaviorLearnt)
    assert (document.factor, document.log2_lift, document.clicks, document.expected_clicks, document.users) == (
        1.1235, 0.988, 12.346, 5.0, 2,
    )  # fmt: skip
    assert isinstance(pair, QueryBehaviorLearnt)
    assert (pair.query, pair.document_id, pair.factor, pair.created_seq) == ("lamp", "d1", 1.1235, 1)


async def test_the_exploration_share_is_written() -> None:
    log = MemoryEventLog()
    writer = await writer_to(log)
    writer.add(Outcome(explorations={"shop": Exploration(20.0, 5.0, 0.55555, 0.0123456)}))
    await writer.write()
    (event,) = await written(log)
    assert isinstance(event, ExplorationLearnt)
    assert (event.share, event.uncertainty, event.votes_per_search) == (0.012346, 0.556, 0.25)


async def test_a_newer_value_replaces_one_that_could_not_be_written() -> None:
    log = AwayLog()
    writer = await writer_to(log)
    writer.add(Outcome(behavior={"shop": [learnt()]}))
    with pytest.raises(Unavailable):
        await writer.write()
    writer.add(Outcome(behavior={"shop": [learnt(factor=1.2)]}))
    log.away = False
    await writer.write()
    await writer.write()
    assert [event.factor for event in await written(log) if isinstance(event, DocumentBehaviorLearnt)] == [1.2]


async def test_values_of_an_index_that_is_gone_are_dropped() -> None:
    log = MemoryEventLog()
    writer = await writer_to(log)
    writer.add(Outcome(behavior={"gone": [learnt()]}, explorations={"gone": Exploration()}))
    await writer.write()
    assert await written(log) == []
