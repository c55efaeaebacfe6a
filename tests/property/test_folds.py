"""Laws of the folds and the codec: a snapshot and its tail are the whole; duplicates change nothing."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from events import codec, control
from events.control import ControlState
from events.edits import DeleteRule, SetRule, SetWeights
from events.rules import PinAction, Rule
from events.settings import Embedding, IndexSettings, SearchableField
from events.types import (
    BehaviorBatch,
    BehaviorEvent,
    ChangePublished,
    ControlEvent,
    IndexConfigured,
    IndexDeleted,
    InteractionRecorded,
)
from tests.factories import NOW, click, ranking
from tuning.clicks.join import Clickthrough, ClickthroughJoin, Orphan
from tuning.features import default_weights, feature_names

names = st.sampled_from(["shop", "films"])
fields = st.lists(st.sampled_from(["title", "text", "brand"]), min_size=1, max_size=3, unique=True)
weights = st.dictionaries(st.sampled_from(["bm25.title", "bm25.text", "cosine"]), st.floats(-100, 100), max_size=3)
rule_ids = st.sampled_from(["r1", "r2"])
rules = st.builds(lambda rank: Rule((PinAction("a", rank),)), st.integers(1, 9))
edits = st.one_of(st.builds(SetWeights, weights), st.builds(SetRule, rule_ids, rules), st.builds(DeleteRule, rule_ids))


@st.composite
def control_events(draw: st.DrawFn) -> ControlEvent:
    name, event_id = draw(names), draw(st.uuids()).hex
    kind = draw(st.sampled_from(["configured", "weights", "weights", "deleted"]))
    if kind == "configured":
        chosen = draw(fields)
        settings = IndexSettings(tuple(map(SearchableField, chosen)), chosen[0], Embedding((chosen[0],)))
        return IndexConfigured(
            id=event_id, timestamp=NOW, index=name, settings=settings, default_weights=default_weights(settings)
        )
    if kind == "weights":
        return ChangePublished(id=event_id, timestamp=NOW, index=name, edits=tuple(draw(st.lists(edits, max_size=3))))
    return IndexDeleted(id=event_id, timestamp=NOW, index=name)


def folded(state: ControlState, events: list[ControlEvent], first_seq: int) -> ControlState:
    for seq, event in enumerate(events, start=first_seq):
        state = control.fold(state, event, seq)
    return state


@given(st.lists(control_events(), max_size=20), st.integers(0, 20))
def test_a_snapshot_and_its_tail_fold_to_the_whole(events: list[ControlEvent], cut: int) -> None:
    snapshot = folded(ControlState(), events[:cut], 1)
    assert folded(snapshot, events[cut:], min(cut, len(events)) + 1) == folded(ControlState(), events, 1)


@given(st.lists(control_events(), min_size=1, max_size=20))
def test_folding_an_event_again_changes_nothing(events: list[ControlEvent]) -> None:
    state = folded(ControlState(), events, 1)
    for seq, event in enumerate(events, start=1):
        assert control.fold(state, event, seq) is state


@given(st.lists(control_events(), max_size=20))
def test_weights_are_always_those_of_the_settings_and_the_history_ends_in_them(events: list[ControlEvent]) -> None:
    for index in folded(ControlState(), events, 1).indexes.values():
        assert tuple(index.weights) == feature_names(index.settings)
        assert index.history[-1].weights == dict(index.weights)
        assert [change.seq for change in index.history] == sorted({change.seq for change in index.history})


@given(control_events())
def test_decoding_what_was_encoded_is_the_identity(event: ControlEvent) -> None:
    assert codec.decode_control(codec.encode(event)) == event


behavior = st.one_of(
    st.builds(ranking, st.sampled_from(["q1", "q2", "q3"])),
    st.builds(click, st.sampled_from(["e1", "e2", "e3", "e4"]), st.sampled_from(["q1", "q2", "q9", None])),
)


def outcomes(events: list[BehaviorEvent]) -> list[tuple[str, str]]:
    """Return (kind, interaction id) of every outcome of the join, once all waiting interactions have expired."""
    join = ClickthroughJoin(wait=timedelta(seconds=1))
    joined: list[Clickthrough | Orphan] = [outcome for event in events for outcome in join.apply(event)]
    joined += join.expire(NOW + timedelta(seconds=2))
    return sorted((type(outcome).__name__, outcome.interaction.id) for outcome in joined)


@given(st.lists(behavior, max_size=15))
def test_every_interaction_comes_out_of_the_join_exactly_once(events: list[BehaviorEvent]) -> None:
    ids = {event.id for event in events if isinstance(event, InteractionRecorded)}
    assert sorted(event_id for _, event_id in outcomes(events)) == sorted(ids)


@given(st.lists(behavior, max_size=15))
def test_delivering_everything_twice_changes_nothing(events: list[BehaviorEvent]) -> None:
    assert outcomes([event for event in events for _ in range(2)]) == outcomes(events)
    assert outcomes(events + events) == outcomes(events)


@given(st.lists(behavior, max_size=9))
def test_behavior_batches_survive_the_codec(events: list[BehaviorEvent]) -> None:
    batch = BehaviorBatch(events=events)
    assert codec.decode_behavior(codec.encode(batch)) == batch
