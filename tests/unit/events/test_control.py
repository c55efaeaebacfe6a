"""The fold of CONTROL: what each event does to the state of an index."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from events.control import MAX_PUBLISHED, ControlState, fold
from events.edits import DeleteRule, Edit, SetLearning, SetLimits, SetPolicy, SetRule, SetSegment, SetTrial, SetWeights
from events.errors import NotFound
from events.index_control import IndexControl
from events.learning import Learning, Trial
from events.policies import Policy
from events.rules import Conditions, HideAction, PinAction, Rule
from events.segments import Segment
from events.types import ChangePublished, ChangeRefused, ControlEvent, IndexDeleted
from tests.factories import CONFIGURED, NOW, SETTINGS
from tuning.features import default_weights

RULE, OTHER_RULE = Rule((HideAction("d1"),)), Rule((PinAction("d2", 1),))
TRIAL = Trial("t1", "gate", {"cosine": 2.0}, 0.25, judged_baseline=0.5)
AUTOMATIC = SetLearning(Learning(mode="automatic"))


def change(*edits: Edit, seq: int = 2, draft: str = "", draft_event: str = "") -> ChangePublished:
    timestamp = NOW + timedelta(minutes=seq)
    return ChangePublished(
        id=str(seq),
        timestamp=timestamp,
        index="shop",
        actor="ada",
        reason=f"reason {seq}",
        edits=edits,
        draft=draft,
        draft_event=draft_event,
    )


def folded(*events: ControlEvent) -> ControlState:
    state = ControlState()
    for seq, event in enumerate(events, start=1):
        state = fold(state, event, seq)
    return state


def shop(*changes: tuple[Edit, ...]) -> IndexControl:
    events = [change(*edits, seq=seq) for seq, edits in enumerate(changes, start=2)]
    return folded(CONFIGURED, *events).index("shop")


def test_a_new_index_has_its_default_weights_in_version_1() -> None:
    index = shop()
    assert dict(index.weights) == default_weights(SETTINGS)
    assert (index.weights_version, index.created_seq, index.settings_seq, index.config_version) == (1, 1, 1, 1)
    assert [(change.version, change.seq) for change in index.history] == [(1, 1)]


def test_other_settings_keep_the_weights_of_features_that_stay_and_end_the_trial_where_features_differ() -> None:
    before = folded(CONFIGURED, change(SetWeights({"cosine": 3.0, "bm25.title>1/3": 1.0}), AUTOMATIC, SetTrial(TRIAL)))
    unchanged = fold(before, msgspec.structs.replace(CONFIGURED, id="3"), 3).index("shop")
    assert (unchanged.weights, unchanged.weights_version, unchanged.trial) == (before.index("shop").weights, 2, TRIAL)
    assert (unchanged.settings_seq, unchanged.config_version) == (3, 3)
    without = msgspec.structs.replace(SETTINGS, signals=())
    fewer = msgspec.structs.replace(CONFIGURED, settings=without, default_weights=default_weights(without))
    after = fold(before, fewer, 3).index("shop")
    assert after.weights["cosine"] == 3.0
    assert after.weights["bm25.title>1/3"] == 1.0
    assert "signal.votes" not in after.weights
    assert (after.weights_version, after.trial) == (3, None)
    assert after.history[-1].changed == {"signal.votes": (default_weights(SETTINGS)["signal.votes"], None)}


def test_all_weights_of_a_change_are_one_version_with_who_when_and_why() -> None:
    before = shop()
    index = shop((SetWeights({"cosine": 2.0}), SetWeights({"cosine": 3.0, "phrase": 4.0, "gone": 1.0})))
    assert (index.weights["cosine"], index.weights["phrase"], "gone" in index.weights) == (3.0, 4.0, False)
    last = index.history[-1]
    assert (last.version, last.seq, last.timestamp) == (2, 2, NOW + timedelta(minutes=2))
    assert (last.actor, last.actor_verified, last.reason) == ("ada", False, "reason 2")
    assert last.changed == {"cosine": (before.weights["cosine"], 3.0), "phrase": (before.weights["phrase"], 4.0)}
    assert last.weights == dict(index.weights)


def test_a_hinge_of_weight_0_and_a_hinge_of_no_feature_are_not_there() -> None:
    hinges = SetWeights({"bm25.title>1/3": 2.0, "gone>1/3": 1.0})
    assert shop((hinges,)).weights["bm25.title>1/3"] == 2.0
    assert "gone>1/3" not in shop((hinges,)).weights
    assert "bm25.title>1/3" not in shop((hinges,), (SetWeights({"bm25.title>1/3": 0.0}),)).weights


def test_a_rule_keeps_the_sequence_that_created_it_until_it_is_deleted() -> None:
    written = shop((SetRule("r", RULE),), (SetRule("r", OTHER_RULE),)).rules["r"]
    assert (written.rule, written.seq, written.created_seq, written.reason) == (OTHER_RULE, 3, 2, "reason 3")
    again = shop((SetRule("r", RULE),), (DeleteRule("r"), SetRule("r", OTHER_RULE))).rules["r"]
    assert (again.seq, again.created_seq) == (3, 3)


def test_limits_that_are_not_named_stay_and_none_ends_bounds() -> None:
    limits = SetLimits({"cosine": (0.0, 5.0), "phrase": (0.0, 1.0)}, {"phrase": True, "cosine": True})
    index = shop((limits,), (SetLimits({"cosine": None, "bm25.title": (1.0, 2.0)}, {"phrase": False}),))
    assert dict(index.bounds) == {"phrase": (0.0, 1.0), "bm25.title": (1.0, 2.0)}
    assert index.locks == ("cosine",)


def test_what_a_change_does_not_edit_stays_the_same_object() -> None:
    segment = SetSegment("s", Segment(Conditions(user_segment="trade"), {"cosine": 1.0}))
    state = folded(CONFIGURED, change(SetRule("r", RULE), segment, SetLimits({"cosine": (0.0, 9.0)})))
    before = state.index("shop")
    after = fold(state, change(SetPolicy(Policy(approvals=1)), seq=3), 3).index("shop")
    for member in ("weights", "rules", "segments", "bounds", "locks", "learning", "history"):
        assert getattr(after, member) is getattr(before, member), member
    assert (after.policy.approvals, after.config_version) == (1, 3)


@pytest.mark.parametrize(
    ("edits", "trial"),
    [
        ((SetPolicy(Policy()),), TRIAL),
        # A change to weights that were not compared ends the trial, unless the same change sets one.
        ((SetWeights({"cosine": 1.0}),), None),
        ((SetTrial(TRIAL), SetWeights({"cosine": 1.0})), TRIAL),
        ((SetTrial(None),), None),
        # Only the automatic mode keeps its trial; other judgments have no baseline yet.
        ((SetLearning(Learning(mode="suggest")),), None),
        ((SetLearning(Learning(mode="automatic", exploration=0.1)),), TRIAL),
        (
            (SetLearning(Learning(mode="automatic", judgments={"lamp": {"d1": 1}})),),
            msgspec.structs.replace(TRIAL, judged_baseline=0.0),
        ),
    ],
)
def test_a_change_keeps_ends_or_sets_the_trial(edits: tuple[Edit, ...], trial: Trial | None) -> None:
    assert shop((AUTOMATIC, SetTrial(TRIAL)), edits).trial == trial


def test_a_change_of_an_index_that_is_gone_and_a_refused_change_do_nothing() -> None:
    deleted = IndexDeleted(id="2", timestamp=NOW, index="shop")
    state = folded(CONFIGURED, deleted, change(SetWeights({"cosine": 1.0}), seq=3))
    assert (state.seq, dict(state.indexes)) == (3, {})
    with pytest.raises(NotFound, match="there are: none yet"):
        state.index("shop")
    refused = ChangeRefused(
        id="2", timestamp=NOW, index="shop", kind="change_published", policy="approvals", detail="no"
    )
    before, after = folded(CONFIGURED), folded(CONFIGURED, refused)
    assert after.seq == 2
    assert after.index("shop") is not None
    assert after.index("shop") == before.index("shop")


def test_the_drafts_published_last_are_remembered_up_to_a_limit() -> None:
    state = folded(CONFIGURED, change(SetWeights({"cosine": 1.0}), draft="first", draft_event="saved"))
    assert dict(state.index("shop").published) == {"first": "saved"}
    for seq in range(3, 3 + MAX_PUBLISHED):
        state = fold(state, change(SetPolicy(Policy()), seq=seq, draft=f"d{seq}", draft_event=str(seq)), seq)
    published = state.index("shop").published
    assert (len(published), "first" in published, "d3" in published) == (MAX_PUBLISHED, False, True)
