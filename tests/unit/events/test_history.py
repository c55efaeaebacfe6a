"""Past states of CONTROL do not depend on earlier requests."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from events.control import ControlState
from events.edits import SetWeights
from events.errors import InvalidInput
from events.history import MESSAGES_PER_STATE, N_RECENT_STATES
from events.types import ChangePublished, ControlEvent
from tests.factories import CONFIGURED, NOW, history_of

N_MESSAGES = MESSAGES_PER_STATE + 5


def events(n: int) -> list[ControlEvent]:
    """Creates the index, then sets a weight to the sequence of each change."""
    return [
        CONFIGURED,
        *(
            ChangePublished(id=str(seq), timestamp=NOW, index="shop", edits=(SetWeights({"cosine": seq / 100}),))
            for seq in range(2, n + 1)
        ),
    ]


def test_a_past_state_is_the_same_in_whatever_order_states_are_requested(tmp_path: Path) -> None:
    history = history_of(tmp_path, events(N_RECENT_STATES + 10))
    last_seq = history.seq
    assert history.state_at(0) == ControlState()
    first = {seq: history.state_at(seq) for seq in range(last_seq, 0, -1)}
    assert [first[seq].index("shop").weights["cosine"] for seq in (2, 9, last_seq)] == [0.02, 0.09, last_seq / 100]
    assert {seq: history.state_at(seq) for seq in range(1, last_seq + 1)} == first


def test_states_past_the_first_kept_one_and_steps_across_it_are_whole(tmp_path: Path) -> None:
    history = history_of(tmp_path, events(N_MESSAGES))
    assert history.state_at(N_MESSAGES).seq == N_MESSAGES
    assert history.state_at(MESSAGES_PER_STATE + 1).index("shop").config_version == MESSAGES_PER_STATE + 1
    steps = list(history.steps(MESSAGES_PER_STATE - 2, N_MESSAGES))
    assert [step.record.seq for step in steps] == [*range(MESSAGES_PER_STATE - 1, N_MESSAGES + 1)]
    for step in steps:
        assert (step.before.seq, step.after.seq) == (step.record.seq - 1, step.record.seq)
        assert step.after == history.state_at(step.record.seq)


def test_one_step_has_its_event_and_the_states_around_it(tmp_path: Path) -> None:
    history = history_of(tmp_path, events(3))
    step = history.step(3)
    assert (step.event, step.before.seq, step.after.seq) == (events(3)[2], 2, 3)


def test_a_moment_is_a_sequence_or_a_time(tmp_path: Path) -> None:
    history = history_of(tmp_path, events(3))
    assert history.seq_at(2, "as_of") == 2
    assert history.seq_at(NOW + timedelta(minutes=2), "as_of") == 2
    assert history.seq_at(NOW, "as_of") == 0
    with pytest.raises(InvalidInput, match="at most 3") as refused:
        history.seq_at(4, "to_seq")
    assert refused.value.field == "to_seq"
