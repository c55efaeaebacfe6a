"""One learner per index: following CONTROL, and which learners have yet to read the log."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType

import msgspec
import pytest

from events.control import ControlState
from events.index_control import IndexControl
from events.learning import Ignored, Learning
from searchsvc.behavior.keyring import KEYRING_NAME, Keyring
from searchsvc.learning.index_learners import IndexLearners, Outcome
from searchsvc.learning.queue import QueuedEvent
from searchsvc.learning.teacher import Teacher
from searchsvc.state.serving import Serving
from tests.factories import NOW, ranking
from tests.simulation.shop import index
from tuning.clicks.pages import SETTLE

SHOWN = [QueuedEvent(5, msgspec.structs.replace(ranking(), user="u1"))]


@pytest.fixture
def learners(tmp_path: Path) -> Iterator[IndexLearners]:
    keyring = Keyring(tmp_path / KEYRING_NAME)
    yield IndexLearners(Serving(), Teacher(Serving(), keyring), SETTLE, b"secret")
    keyring.close()


def learn(learners: IndexLearners, *indexes: IndexControl, events: list[QueuedEvent] | None = None) -> Outcome:
    control = ControlState(seq=1, indexes=MappingProxyType({control.name: control for control in indexes}))
    return learners.learn(events or [], control, NOW, republish=False)


def n_documents(learners: IndexLearners) -> int:
    return learners.status("shop", "").n_documents


def test_a_new_learner_has_to_read_the_log_and_then_is_complete(learners: IndexLearners) -> None:
    learn(learners, index())
    assert learners.incomplete == {"shop"}
    assert msgspec.msgpack.decode(learners.packed()) == {}
    learners.replace("shop", learners.new_learner(index(), silent=True), 5)
    assert learners.incomplete == frozenset()
    assert msgspec.msgpack.decode(learners.packed()).keys() == {"shop/1"}


def test_events_that_the_log_reader_had_are_not_learnt_twice(learners: IndexLearners) -> None:
    learn(learners, index())
    learners.replace("shop", learners.new_learner(index(), silent=True), 5)
    learn(learners, index(), events=SHOWN)
    assert n_documents(learners) == 0
    learn(learners, index(), events=[QueuedEvent(6, SHOWN[0].event)])
    assert n_documents(learners) == 3


def test_a_learner_with_other_windows_to_ignore_has_to_read_the_log_again(learners: IndexLearners) -> None:
    learn(learners, index())
    learners.replace("shop", learners.new_learner(index(), silent=True), 5)
    window = Ignored(NOW, NOW + timedelta(days=1))
    learn(learners, index(learning=Learning(mode="automatic", ignored=(window,))))
    assert learners.incomplete == {"shop"}


def test_a_learner_that_read_for_an_index_that_is_gone_is_dropped(learners: IndexLearners) -> None:
    learn(learners, index(created_seq=9))
    learners.replace("shop", learners.new_learner(index(), silent=True), 5)
    assert learners.incomplete == {"shop"}


def test_an_index_that_is_deleted_or_stops_learning_has_no_learner(learners: IndexLearners) -> None:
    for control in ([index(learning=Learning())], []):
        learn(learners, index(), events=SHOWN)
        assert n_documents(learners) == 3
        learn(learners, *control)
        assert (n_documents(learners), learners.incomplete) == (0, frozenset())


def test_a_snapshot_is_taken_by_the_same_index_alone(learners: IndexLearners) -> None:
    learn(learners, index())
    learners.replace("shop", learners.new_learner(index(), silent=True), 0)
    learn(learners, index(), events=SHOWN)
    packed = learners.packed()
    for control, expected in ((index(), 3), (index(created_seq=9), 0)):
        restarted = IndexLearners(Serving(), learners.teacher, SETTLE, b"secret")
        restarted.restore(packed)
        assert restarted.packed() == packed, "before CONTROL is known, all is kept"
        learn(restarted, control)
        assert n_documents(restarted) == expected
        assert ("shop" in restarted.incomplete) is (expected == 0)


def test_a_snapshot_of_another_version_is_relearnt(learners: IndexLearners) -> None:
    learners.restore(msgspec.msgpack.encode({"shop/1": {"ignored": b"[]"}}))
    learn(learners, index())
    assert learners.incomplete == {"shop"}
