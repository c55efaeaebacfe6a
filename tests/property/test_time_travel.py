"""Laws of going back: a past state is the fold up to it; after a revert or rollback, rankings are equal bit for bit."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from events import codec, control
from events.control import ControlState
from events.edits import DeleteRule, DeleteSegment, Edit, SetLimits, SetPolicy, SetRule, SetSegment, SetWeights
from events.errors import Conflict, InvalidInput
from events.policies import Policy
from events.rules import BoostAction, Conditions, HideAction, PinAction, QueryPattern, ReplaceWordsAction, Rule
from events.segments import Segment
from events.types import ChangePublished, ControlEvent, IndexConfigured
from searchsvc.changes.differences import difference
from searchsvc.changes.reverting import revert_edits, rollback_edits
from searchsvc.search.request import SearchRequest
from searchsvc.search.searcher import Searcher
from searchsvc.state.serving_state import ServingState
from tests.factories import NOW, SETTINGS, FakeEmbedder, engine, history_of, upsert
from tuning.features import default_weights

DOCUMENTS = [upsert(f"d{i}", f"red shoe {i % 5}", f"text {i}", seed=i, votes=i % 7) for i in range(12)]
FIRST = IndexConfigured(
    id="1", timestamp=NOW, index="shop", settings=SETTINGS, default_weights=default_weights(SETTINGS)
)

weights = st.dictionaries(st.sampled_from(["bm25.title", "cosine", "signal.votes"]), st.floats(-9, 9), min_size=1)
actions = st.one_of(
    st.builds(PinAction, st.integers(0, 13).map(lambda i: f"d{i}"), st.integers(1, 5)),
    st.builds(HideAction, st.integers(0, 13).map(lambda i: f"d{i}")),
    st.builds(BoostAction, st.sampled_from((0.2, 3.0)), st.just("votes>3")),
    st.just(ReplaceWordsAction("shoe", "boot")),
)
conditions = st.sampled_from((Conditions(), Conditions(query=QueryPattern("contains", "shoe"))))
rules = st.builds(Rule, st.tuples(actions), conditions=conditions, priority=st.integers(0, 2))
names = st.sampled_from(("r1", "r2", "r3"))
segments = st.builds(Segment, st.just(Conditions(query=QueryPattern("contains", "shoe"))), weights)
limits = st.builds(
    SetLimits,
    st.dictionaries(st.sampled_from(["cosine", "bm25.title"]), st.sampled_from((None, (-9.0, 9.0), (-50.0, 50.0)))),
    st.dictionaries(st.sampled_from(["cosine", "bm25.title"]), st.booleans()),
)
edits = st.one_of(
    st.builds(SetWeights, weights),
    st.builds(SetRule, names, rules),
    st.builds(DeleteRule, names),
    st.builds(SetSegment, names, segments),
    st.builds(DeleteSegment, names),
    limits,
    st.builds(SetPolicy, st.builds(Policy, approvals=st.integers(0, 2))),
)
changes = st.lists(st.lists(edits, min_size=1, max_size=3).map(tuple), min_size=1, max_size=6)
FEW = settings(max_examples=40, deadline=None)


def published(seq: int, edits: Sequence[Edit]) -> ControlEvent:
    return ChangePublished(id=str(seq), timestamp=NOW + timedelta(minutes=seq), index="shop", edits=tuple(edits))


def logged(changes: Sequence[Sequence[Edit]]) -> list[ControlEvent]:
    return [FIRST, *(published(seq, edits) for seq, edits in enumerate(changes, start=2))]


def folded(events: Sequence[ControlEvent]) -> ControlState:
    state = ControlState()
    for seq, event in enumerate(events, start=1):
        state = control.fold_message(state, codec.encode(event), seq)
    return state


def rankings(state: ControlState, snapshot: object) -> list[list[tuple[str, float]]]:
    """Return the hits and scores of all kinds of searches."""
    searcher = Searcher(FakeEmbedder(), n_candidates=6)
    serving = ServingState(state, {"shop": snapshot})  # type: ignore[dict-item]
    hits = []
    for query in ("red shoe", "shoe 3", "", "boot"):
        request = SearchRequest(query=query, limit=12)
        answer = searcher.search(serving, "shop", request, query_id="q", now=NOW).answer
        hits.append([(hit.id, hit.score) for hit in answer.hits])
    return hits


@FEW
@given(changes=changes)
def test_a_past_state_is_what_a_log_that_ends_there_folds_to(changes: list[tuple[Edit, ...]]) -> None:
    events = logged(changes)
    with tempfile.TemporaryDirectory() as folder:
        history = history_of(Path(folder), events)
        # In both directions: no state may depend on the one that was requested before.
        for seq in [*range(len(events), -1, -1), *range(len(events) + 1)]:
            assert history.state_at(seq) == folded(events[:seq])
            assert history.seq_at(NOW + timedelta(minutes=seq, seconds=30), "to_time") == seq
        steps = list(history.steps(1, len(events)))
        assert [step.event for step in steps] == events[1:]
        assert [(step.before, step.after) for step in steps] == [
            (folded(events[:seq]), folded(events[: seq + 1])) for seq in range(1, len(events))
        ]
        with pytest.raises(InvalidInput, match="at most"):
            history.seq_at(len(events) + 1, "to_seq")


@FEW
@given(before=changes, change=st.lists(edits, min_size=1, max_size=4))
def test_a_revert_restores_every_ranking_bit_for_bit(before: list[tuple[Edit, ...]], change: list[Edit]) -> None:
    events = logged(before)
    first, later = folded(events), folded([*events, published(len(events) + 1, change)])
    reverting = revert_edits(first.index("shop"), later.index("shop"), later.index("shop"), force=False)
    assume(reverting)
    after = folded([*events, published(len(events) + 1, change), published(len(events) + 2, reverting)])
    assert difference(first.index("shop"), after.index("shop")).is_empty
    with tempfile.TemporaryDirectory() as folder:
        snapshot = engine(Path(folder), DOCUMENTS).snapshot()
        assert rankings(after, snapshot) == rankings(first, snapshot)


@FEW
@given(before=changes, since=changes)
def test_a_rollback_to_any_moment_restores_every_ranking_bit_for_bit(
    before: list[tuple[Edit, ...]], since: list[tuple[Edit, ...]]
) -> None:
    events = logged([*before, *since])
    past, now = folded(logged(before)), folded(events)
    rolling_back = rollback_edits(now.index("shop"), past.index("shop"))
    after = folded([*events, published(len(events) + 1, rolling_back)])
    # The policy has no part in the ranking.
    assert msgspec.structs.replace(difference(past.index("shop"), after.index("shop")), policy=None).is_empty
    assert after.index("shop").policy == now.index("shop").policy
    assert rollback_edits(after.index("shop"), past.index("shop")) == []
    with tempfile.TemporaryDirectory() as folder:
        snapshot = engine(Path(folder), DOCUMENTS).snapshot()
        assert rankings(after, snapshot) == rankings(past, snapshot)


def test_limits_of_a_feature_that_is_gone_do_not_prevent_a_rollback() -> None:
    events = logged([[SetLimits({"signal.votes": (0.0, 5.0)}, {"signal.votes": True})]])
    without = msgspec.structs.replace(SETTINGS, signals=())
    without_feature = IndexConfigured(
        id="9", timestamp=NOW, index="shop", settings=without, default_weights=default_weights(without)
    )
    now = folded([*events, without_feature, published(4, [SetRule("r1", Rule((HideAction("d1"),)))])]).index("shop")
    assert rollback_edits(now, folded(events[:1]).index("shop")) == [DeleteRule("r1")]


def test_a_moment_before_the_first_message_has_the_empty_state(tmp_path: Path) -> None:
    history = history_of(tmp_path, logged([[SetWeights({"cosine": 1.0})]]))
    assert history.seq_at(datetime.fromisoformat("0001-01-01T00:00:00+01:00"), "as_of") == 0
    assert history.state_at(0) == ControlState()


def test_a_change_is_reverted_alone_unless_it_was_changed_again() -> None:
    pin, hide = Rule((PinAction("d1", 1),)), Rule((HideAction("d2"),))
    first = folded(logged([[SetWeights({"cosine": 1.0})]])).index("shop")
    change: list[Edit] = [SetWeights({"cosine": 2.0, "bm25.title": 5.0}), SetRule("r1", pin), SetRule("r2", pin)]
    events = logged([[SetWeights({"cosine": 1.0})], change, [SetRule("r3", hide), SetWeights({"signal.votes": 3.0})]])
    after, now = folded(events[:3]).index("shop"), folded(events).index("shop")
    assert revert_edits(first, after, now, force=False) == [
        SetWeights({"cosine": 1.0, "bm25.title": first.weights["bm25.title"]}),
        DeleteRule("r1"),
        DeleteRule("r2"),
    ]
    again = folded([*events, published(5, [SetRule("r2", hide), SetWeights({"cosine": 7.0})])]).index("shop")
    with pytest.raises(Conflict, match=r"weights\.cosine, rules\.r2 changed again since") as refused:
        revert_edits(first, after, again, force=False)
    assert refused.value.field == "weights.cosine"
    assert revert_edits(first, after, again, force=True) == revert_edits(first, after, now, force=False)
    # A change that was undone by hand leaves nothing to revert.
    by_hand = folded([*events, published(5, revert_edits(first, after, now, force=False))]).index("shop")
    assert revert_edits(first, after, by_hand, force=False) == []
