"""Requests to change an index: expected versions, rollbacks and reverts."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from events.edits import SetLearning, SetLimits, SetRule, SetTrial, SetWeights
from events.errors import Conflict, InvalidInput, NotFound
from events.learning import Learning, Trial
from events.rules import Conditions, HideAction, PinAction, Rule
from events.segments import Segment
from tests.changing import ADA, changing_shop
from tests.factories import NOW, SETTINGS

RULE, OTHER_RULE = Rule((HideAction("d1"),)), Rule((HideAction("d2"),))
SEGMENT = Segment(Conditions(user_segment="trade"), {"cosine": 3.0})


@pytest.mark.anyio
async def test_weights_are_set_only_at_the_version_that_the_caller_knows(tmp_path: Path) -> None:
    async with changing_shop(tmp_path) as shop:
        limits = SetLimits({"phrase": (0.0, 1.0)})
        first = await shop.commands.set_weights("shop", {"cosine": 1.0}, 1, ADA, limits=limits)
        assert first.index is not None
        assert (first.index.weights["cosine"], first.index.bounds["phrase"]) == (1.0, (0.0, 1.0))
        with pytest.raises(Conflict, match="at version 2, not 1") as refused:
            await shop.commands.set_weights("shop", {"cosine": 2.0}, 1, ADA)
        assert (refused.value.field, refused.value.actual) == ("expected_version", 2)
        # Limits alone are no new version of the weights.
        second = await shop.commands.set_weights("shop", {}, 2, ADA, limits=SetLimits(locks={"cosine": True}))
        assert second.index is not None
        assert (second.index.weights_version, second.index.locks) == (2, ("cosine",))


@pytest.mark.anyio
async def test_rules_are_written_and_deleted_only_at_the_sequence_that_the_caller_knows(tmp_path: Path) -> None:
    async with changing_shop(tmp_path) as shop:
        written = await shop.commands.set_rule("shop", "r", RULE, 0, ADA)
        with pytest.raises(Conflict, match="last changed at sequence 2, not 0"):
            await shop.commands.set_rule("shop", "r", OTHER_RULE, 0, ADA)
        with pytest.raises(Conflict):
            await shop.commands.delete_rule("shop", "r", 1, ADA)
        await shop.commands.delete_rule("shop", "r", written.seq, ADA)
        with pytest.raises(NotFound):
            await shop.commands.delete_rule("shop", "r", None, ADA)
        with pytest.raises(InvalidInput):
            await shop.commands.set_rule("shop", "a b", RULE, None, ADA)


@pytest.mark.anyio
async def test_segments_are_written_within_the_bounds_of_the_index(tmp_path: Path) -> None:
    async with changing_shop(tmp_path) as shop:
        written = await shop.commands.set_segment("shop", "trade", SEGMENT, ADA)
        assert written.index is not None
        assert written.index.segments["trade"].segment == SEGMENT
        await shop.change("3", SetLimits({"cosine": (0.0, 5.0)}))
        high = msgspec.structs.replace(SEGMENT, weights={"cosine": 6.0})
        with pytest.raises(InvalidInput) as refused:
            await shop.commands.set_segment("shop", "trade", high, ADA)
        assert refused.value.field == "weights.cosine"
        await shop.commands.delete_segment("shop", "trade", ADA)
        with pytest.raises(NotFound):
            await shop.commands.delete_segment("shop", "trade", ADA)


@pytest.mark.anyio
async def test_learning_is_changed_from_what_it_is_by_then(tmp_path: Path) -> None:
    async with changing_shop(tmp_path) as shop:
        await shop.change("2", SetLearning(Learning(mode="automatic")))
        changed = await shop.commands.set_learning(
            "shop", lambda learning: msgspec.structs.replace(learning, exploration=0.1), ADA
        )
        assert changed.index is not None
        assert (changed.index.learning.mode, changed.index.learning.exploration) == ("automatic", 0.1)
        with pytest.raises(InvalidInput, match="nothing was changed"):
            await shop.commands.set_learning("shop", lambda learning: learning, ADA)
        with pytest.raises(InvalidInput) as refused:
            await shop.commands.set_learning("shop", lambda _: Learning(max_boost=9.0), ADA)
        assert refused.value.field == "max_boost"


@pytest.mark.anyio
async def test_a_trial_is_stopped_once(tmp_path: Path) -> None:
    async with changing_shop(tmp_path) as shop:
        trial = Trial("t1", "gate", {"cosine": 2.0}, 0.25)
        await shop.change("2", SetLearning(Learning(mode="automatic")), SetTrial(trial))
        stopped = await shop.commands.stop_trial("shop", ADA)
        assert stopped.index is not None
        assert stopped.index.trial is None
        with pytest.raises(NotFound, match="has no trial"):
            await shop.commands.stop_trial("shop", ADA)


@pytest.mark.anyio
async def test_weights_of_a_past_version_are_restored(tmp_path: Path) -> None:
    async with changing_shop(tmp_path) as shop:
        before = dict(shop.index.weights)
        await shop.change("2", SetWeights({"cosine": 7.0}))
        restored = await shop.commands.restore_weights("shop", 1, ADA)
        assert restored.index is not None
        assert (dict(restored.index.weights), restored.index.weights_version) == (before, 3)
        with pytest.raises(NotFound, match="allowed: 1 to 3") as refused:
            await shop.commands.restore_weights("shop", 9, ADA)
        assert refused.value.field == "to_version"


@pytest.mark.anyio
async def test_an_index_is_rolled_back_to_a_sequence_at_which_it_existed(tmp_path: Path) -> None:
    async with changing_shop(tmp_path) as shop:
        await shop.commands.set_rule("shop", "r", RULE, None, ADA)
        await shop.commands.delete_rule("shop", "r", None, ADA)
        restored = await shop.commands.restore("shop", 2, "to_seq", ADA)
        assert restored.index is not None
        assert restored.index.rules["r"].rule == RULE
        moments: list[tuple[int | datetime, type[InvalidInput]]] = [
            (0, NotFound),
            (NOW - timedelta(days=1), NotFound),
            (99, InvalidInput),
        ]
        for moment, error in moments:
            with pytest.raises(error) as refused:
                await shop.commands.restore("shop", moment, "to_seq", ADA)
            assert refused.value.field == "to_seq"


@pytest.mark.anyio
async def test_a_change_is_reverted_and_settings_are_not(tmp_path: Path) -> None:
    async with changing_shop(tmp_path) as shop:
        changed = await shop.commands.set_rule("shop", "r", RULE, None, ADA)
        reverted = await shop.commands.revert(changed.seq, ADA, force=False)
        assert reverted.index is not None
        assert dict(reverted.index.rules) == {}
        for seq, message in ((0, "a sequence from 1"), (99, "at most 3"), (1, "is no such change")):
            with pytest.raises(InvalidInput, match=message) as refused:
                await shop.commands.revert(seq, ADA, force=False)
            assert refused.value.field == "seq"
        # The index of the change is gone; one of its name is another.
        await shop.commands.delete_index("shop", ADA)
        await shop.commands.configure_index("shop", SETTINGS, ADA)
        with pytest.raises(NotFound, match="of sequence 2 is gone"):
            await shop.commands.revert(changed.seq, ADA, force=True)


@pytest.mark.anyio
async def test_rules_that_want_the_same_rank_are_in_conflict_and_cost_searches_together(tmp_path: Path) -> None:
    async with changing_shop(tmp_path) as shop:
        assert await shop.commands.examine_rule("shop", "a") == ([], None)
        assert await shop.commands.examine_rule("films", "a") == ([], None)
        await shop.change("2", SetRule("a", Rule((PinAction("d1", 1),))), SetRule("b", Rule((PinAction("d2", 1),))))
        (conflict,), cost = await shop.commands.examine_rule("shop", "a")
        assert (conflict.rule, conflict.subject) == ("b", "documents d1 and d2 at rank 1")
        assert cost is not None
        assert (cost.search, cost.synonym_words) == (2, 0)


@pytest.mark.anyio
async def test_every_way_to_write_a_rule_refuses_one_that_costs_searches_too_much(tmp_path: Path) -> None:
    most = Rule(tuple(HideAction(f"d{i}") for i in range(300)))
    over = Rule(most.actions[:201])
    async with changing_shop(tmp_path) as shop:
        await shop.commands.set_rule("shop", "a", most, None, ADA)
        written = await shop.commands.set_rule("shop", "b", Rule(over.actions[:200]), None, ADA)
        with pytest.raises(InvalidInput) as refused:
            await shop.commands.set_rule("shop", "b", over, None, ADA)
        assert (refused.value.field, refused.value.value) == ("actions", 501)
        with pytest.raises(InvalidInput):
            await shop.drafts.save("shop", "spring", [SetRule("b", over)], None, ADA)
        deleted = await shop.commands.delete_rule("shop", "a", None, ADA)
        draft = await shop.drafts.save("shop", "spring", [SetRule("b", over)], None, ADA)
        assert draft.edits == (SetRule("b", over),)
        await shop.commands.set_rule("shop", "b", over, None, ADA)
        with pytest.raises(InvalidInput):
            await shop.commands.revert(deleted.seq, ADA, force=False)
        await shop.commands.restore("shop", written.seq, "as_of", ADA)
        assert set(shop.index.rules) == {"a", "b"}
        with pytest.raises(InvalidInput):
            await shop.drafts.publish("shop", "spring", ADA, force=True)
