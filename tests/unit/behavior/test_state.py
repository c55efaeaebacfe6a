"""The state of BEHAVIOR: what is folded, counts once, and survives a snapshot."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from events.errors import Corrupt
from events.types import BehaviorEvent
from searchsvc.behavior.query_counts import MIN_USERS
from searchsvc.behavior.state import BehaviorState
from tests.factories import click, ranking


def parts_of(state: BehaviorState) -> dict[str, bytes]:
    return {name: b"".join(pieces) for name, pieces in state.parts().items()}


def test_a_restored_state_equals_the_saved_one() -> None:
    state = BehaviorState(n_rankings=10, n_events=10_000)
    events: Sequence[BehaviorEvent] = [ranking(f"q{i}") for i in range(12)] + [click(f"e{i}") for i in range(9_000)]
    state.fold(events, 7)
    restored = BehaviorState(n_rankings=10, n_events=10_000)
    restored.restore(parts_of(state), 7)
    assert parts_of(restored) == parts_of(state)
    assert restored.fold(events, 7) == []
    new_events = restored.fold([*events, click("new")], 8)
    assert [event.id for event in new_events if event.id.startswith(("e", "new"))] == ["new"]


def test_query_counts_are_restored_and_each_ranking_counts_once() -> None:
    state = BehaviorState(n_rankings=10, n_events=10)
    for number in range(MIN_USERS):
        shown = msgspec.structs.replace(ranking(f"q{number}"), query="red shoe", user=f"u{number}")
        state.fold([shown, shown], number + 1)
    restored = BehaviorState(n_rankings=10, n_events=10)
    restored.restore(parts_of(state), state.seq)
    assert [(query.text, query.count) for query in restored.query_counts.matching("shop", "r", 5)] == [
        ("red shoe", MIN_USERS)
    ]


def test_an_acknowledged_event_is_stored_and_still_new_when_its_message_is_folded() -> None:
    state = BehaviorState(n_rankings=10, n_events=10)
    state.acknowledge(["e1"])
    assert state.has_stored("e1")
    assert state.fold([click("e1")], 1) == [click("e1")]
    assert state.fold([click("e1")], 2) == []
    assert state.has_stored("e1")


def test_a_message_that_was_folded_already_changes_nothing() -> None:
    state = BehaviorState(n_rankings=10, n_events=10)
    state.fold([click("e1")], 5)
    before = parts_of(state)
    assert state.fold([click("e2"), ranking("q2")], 5) == []
    assert (parts_of(state), state.seq) == (before, 5)


@pytest.mark.parametrize("parts", [{}, {"rankings": b"{", "queries": b"", "events": b""}])
def test_parts_that_are_no_state_are_corrupt(parts: dict[str, bytes]) -> None:
    with pytest.raises(Corrupt, match="no state of BEHAVIOR"):
        BehaviorState(n_rankings=1, n_events=1).restore(parts, 1)
