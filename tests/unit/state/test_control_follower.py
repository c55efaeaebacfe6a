"""CONTROL is followed into the serving state and into the copy on disk."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

from events.codec import encode
from events.copy import COPY_NAME, ControlCopy
from events.edits import SetWeights
from events.errors import Corrupt
from events.index_control import IndexControl
from events.log import Entry
from events.memory import MemoryEventLog
from events.tasks import end
from events.types import ChangePublished, ControlEvent, IndexConfigured
from searchsvc.rules.rulebook import Rulebooks
from searchsvc.state.control_follower import ControlFollower
from searchsvc.state.serving import Serving
from tests.factories import NOW, SETTINGS
from tests.waiting import wait_for_async
from tuning.features import default_weights

CONFIGURED = IndexConfigured(
    id="1", timestamp=NOW, index="shop", settings=SETTINGS, default_weights=default_weights(SETTINGS)
)
LATER_VERSION = b'{"type":"rules_changed.v7","id":"x"}'


def change(event_id: str, title: float) -> ChangePublished:
    return ChangePublished(id=event_id, timestamp=NOW, index="shop", edits=(SetWeights({"bm25.title": title}),))


async def append(log: MemoryEventLog, *events: ControlEvent | bytes) -> None:
    for event in events:
        data = event if isinstance(event, bytes) else encode(event)
        await log.append("CONTROL", Entry("control.shop", data))


@pytest.mark.anyio
async def test_a_replay_serves_all_of_control_and_completes_the_copy(tmp_path: Path) -> None:
    log, serving, copy = MemoryEventLog(), Serving(), ControlCopy(tmp_path / COPY_NAME)
    await append(log, CONFIGURED, change("2", 7.0))
    follower = ControlFollower(log, copy, serving, Rulebooks())
    assert await follower.replay() == ""
    assert (serving.current.control.seq, copy.seq) == (2, 2)
    assert serving.current.control.index("shop").weights["bm25.title"] == 7.0
    assert follower.structure_changed.is_set()
    copy.close()
    without_log = Serving()
    again = ControlCopy(tmp_path / COPY_NAME)
    await ControlFollower(MemoryEventLog(), again, without_log, Rulebooks()).serve_copy()
    assert without_log.current.control == serving.current.control
    again.close()


@pytest.mark.anyio
async def test_a_replay_stops_before_a_later_version_names_it_and_copies_what_follows(tmp_path: Path) -> None:
    log, serving, copy = MemoryEventLog(), Serving(), ControlCopy(tmp_path / COPY_NAME)
    await append(log, CONFIGURED, LATER_VERSION, change("3", 7.0))
    reason = await ControlFollower(log, copy, serving, Rulebooks()).replay()
    assert "rules_changed.v7" in reason
    assert (serving.current.control.seq, copy.seq) == (1, 3)
    copy.close()


@pytest.mark.anyio
async def test_a_log_that_lacks_what_the_copy_holds_is_corrupt(tmp_path: Path) -> None:
    log, copy = MemoryEventLog(), ControlCopy(tmp_path / COPY_NAME)
    await append(log, CONFIGURED, change("2", 7.0))
    await ControlFollower(log, copy, Serving(), Rulebooks()).replay()
    shorter = MemoryEventLog()
    await append(shorter, CONFIGURED)
    with pytest.raises(Corrupt, match=r"CONTROL ends at 1, .* holds 2"):
        await ControlFollower(shorter, copy, Serving(), Rulebooks()).replay()
    copy.close()


class WatchedRulebooks(Rulebooks):
    """Notes on which thread and before which state rules are prepared."""

    def __init__(self, serving: Serving) -> None:
        super().__init__()
        self._serving = serving
        self.prepared: list[tuple[threading.Thread, int]] = []

    def prepare(self, indexes: Iterable[IndexControl]) -> None:
        self.prepared.append((threading.current_thread(), self._serving.current.control.seq))
        super().prepare(indexes)


@pytest.mark.anyio
async def test_rules_are_prepared_on_a_thread_before_they_are_served(tmp_path: Path) -> None:
    log, serving, copy = MemoryEventLog(), Serving(), ControlCopy(tmp_path / COPY_NAME)
    await append(log, CONFIGURED)
    rulebooks = WatchedRulebooks(serving)
    follower = ControlFollower(log, copy, serving, rulebooks)
    await follower.replay()
    running = asyncio.create_task(follower.run())
    await append(log, change("2", 7.0))
    await wait_for_async(lambda: serving.current.control.seq == 2, "the change")
    await end([running])
    copy.close()
    assert [seq for _, seq in rulebooks.prepared] == [0, 1]
    assert threading.current_thread() not in [thread for thread, _ in rulebooks.prepared]
    index = serving.current.control.index("shop")
    assert rulebooks.get(index).rules is index.rules


@pytest.mark.anyio
async def test_only_changes_of_the_structure_have_indexers_reconciled(tmp_path: Path) -> None:
    log, serving, copy = MemoryEventLog(), Serving(), ControlCopy(tmp_path / COPY_NAME)
    await append(log, CONFIGURED)
    follower = ControlFollower(log, copy, serving, Rulebooks())
    await follower.replay()
    follower.structure_changed.clear()
    running = asyncio.create_task(follower.run())
    await append(log, change("2", 7.0))
    await wait_for_async(lambda: serving.current.control.seq == 2, "the change")
    assert (copy.seq, follower.structure_changed.is_set()) == (2, False)
    await append(log, IndexConfigured(id="3", timestamp=NOW, index="zoo", settings=SETTINGS, default_weights={}))
    await wait_for_async(lambda: serving.current.control.seq == 3, "the new index")
    await wait_for_async(follower.structure_changed.is_set, "the signal")
    await end([running])
    copy.close()
