"""Drafts under a clock that the test sets: saved, approved, scheduled, and published on the newest state."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from events.edits import (
    DeleteRule,
    DeleteSegment,
    Edit,
    SetLearning,
    SetLimits,
    SetPolicy,
    SetRule,
    SetSegment,
    SetTrial,
    SetWeights,
)
from events.errors import Conflict, Forbidden, InvalidInput, NotFound
from events.learning import Learning, Trial
from events.policies import Policy
from events.rules import Conditions, HideAction, Rule
from events.segments import Segment
from events.types import IndexConfigured, IndexDeleted
from searchsvc.changes.author import Author
from searchsvc.changes.draft import draft_of, saved_event
from searchsvc.changes.draft_edits import changed_since, with_draft
from searchsvc.changes.draft_store import DraftStore
from searchsvc.changes.drafts import MAX_DRAFTS
from tests.changing import ADA, BEA, changing_shop
from tests.factories import NOW, SETTINGS, index_after
from tuning.features import default_weights

RULE, OTHER_RULE = Rule((HideAction("d1"),)), Rule((HideAction("d2"),))
SEGMENT = Segment(Conditions(user_segment="trade"), {"cosine": 3.0})
TRIAL = Trial("t1", "gate", {"cosine": 2.0}, 0.25)
WEIGHT = SetWeights({"cosine": 1.0})


@pytest.mark.anyio
async def test_a_draft_is_based_on_the_state_that_its_author_saw(tmp_path: Path) -> None:
    async with changing_shop(tmp_path) as shop:
        await shop.change("2", SetWeights({"phrase": 1.0}))
        draft = await shop.drafts.save("shop", "spring", [WEIGHT], 0, ADA)
        assert (draft.base_seq, draft.created_seq, draft.actor, draft.timestamp) == (2, 1, "ada", NOW)
        assert await shop.drafts.get("shop", "spring") == draft
        assert await shop.drafts.drafts_of("shop") == [draft]
        assert (shop.serving.current.control.seq, shop.index.weights["cosine"]) != (3, 1.0)


@pytest.mark.anyio
async def test_a_draft_is_saved_only_at_the_version_that_the_caller_knows(tmp_path: Path) -> None:
    async with changing_shop(tmp_path) as shop:
        first = await shop.drafts.save("shop", "spring", [WEIGHT], 0, ADA)
        with pytest.raises(Conflict, match="is at version 1, not 0"):
            await shop.drafts.save("shop", "spring", [WEIGHT], 0, ADA)
        second = await shop.drafts.save("shop", "spring", [WEIGHT], first.version, BEA)
        assert (second.version, second.actor) == (2, "bea")
        await shop.drafts.delete("shop", "spring", ADA)
        # A draft that was deleted is at version 0 again.
        assert (await shop.drafts.save("shop", "spring", [WEIGHT], 0, ADA)).version == 4


@pytest.mark.anyio
async def test_an_edit_that_cannot_be_honoured_is_named_by_its_place(tmp_path: Path) -> None:
    async with changing_shop(tmp_path) as shop:
        cases: list[tuple[list[Edit], type[InvalidInput], str]] = [
            ([], InvalidInput, "edits"),
            ([WEIGHT, SetPolicy(Policy(approvals=9))], InvalidInput, "edits[1].approvals"),
            ([SetWeights({"nope": 1.0})], InvalidInput, "weights.nope"),
            (
                [WEIGHT, SetSegment("s", msgspec.structs.replace(SEGMENT, weights={"nope": 1.0}))],
                InvalidInput,
                "edits[1].weights.nope",
            ),
            ([DeleteRule("r")], NotFound, "rule"),
            ([DeleteSegment("s")], NotFound, "segment"),
        ]
        for edits, error, field in cases:
            with pytest.raises(error) as refused:
                await shop.drafts.save("shop", "spring", edits, None, ADA)
            assert refused.value.field == field
        assert await shop.drafts.drafts_of("shop") == []


@pytest.mark.anyio
async def test_an_index_has_at_most_so_many_drafts(tmp_path: Path) -> None:
    async with changing_shop(tmp_path) as shop:
        for number in range(MAX_DRAFTS):
            await shop.drafts.save("shop", f"d{number}", [WEIGHT], None, ADA)
        await shop.drafts.save("shop", "d0", [WEIGHT], None, ADA)
        with pytest.raises(InvalidInput, match=f"at most {MAX_DRAFTS} drafts"):
            await shop.drafts.save("shop", "one-more", [WEIGHT], None, ADA)


@pytest.mark.anyio
async def test_a_draft_is_published_whole_and_gone_and_never_twice(tmp_path: Path) -> None:
    async with changing_shop(tmp_path) as shop:
        draft = await shop.drafts.save("shop", "spring", [WEIGHT, SetRule("r", RULE)], None, ADA)
        with pytest.raises(InvalidInput) as refused:
            await shop.drafts.publish("shop", "spring", Author("bea", " "), force=False)
        assert refused.value.field == "reason"
        changed = await shop.drafts.publish("shop", "spring", BEA, force=False)
        assert changed.index is not None
        assert (changed.seq, changed.index.weights["cosine"], {*changed.index.rules}) == (2, 1.0, {"r"})
        assert dict(changed.index.published) == {"spring": draft.saved_as}
        # As if the service had ended before it deleted the draft.
        await DraftStore(shop.log, shop.clock).save(saved_event(draft, draft.saved_as), None)
        with pytest.raises(NotFound):
            await shop.drafts.get("shop", "spring")
        with pytest.raises(NotFound):
            await shop.drafts.publish("shop", "spring", BEA, force=True)
        assert shop.serving.current.control.seq == 2


@pytest.mark.anyio
async def test_a_draft_whose_rule_others_changed_is_published_only_by_force(tmp_path: Path) -> None:
    async with changing_shop(tmp_path) as shop:
        await shop.change("2", SetRule("r", RULE), SetRule("old", RULE))
        edits: list[Edit] = [SetRule("r", OTHER_RULE), DeleteRule("old"), WEIGHT]
        await shop.drafts.save("shop", "spring", edits, None, ADA)
        await shop.change("3", DeleteRule("old"), SetWeights({"phrase": 1.0}))
        status = await shop.drafts.status("shop", "spring")
        assert (status.conflicts, status.problem) == (["rules.old"], "index shop has no rule 'old'")
        with pytest.raises(Conflict) as refused:
            await shop.drafts.publish("shop", "spring", BEA, force=False)
        assert (refused.value.field, refused.value.actual) == ("rules.old", 3)
        changed = await shop.drafts.publish("shop", "spring", BEA, force=True)
        assert changed.index is not None
        assert (changed.index.weights["cosine"], changed.index.weights["phrase"]) == (1.0, 1.0)
        assert changed.index.rules["r"].rule == OTHER_RULE


@pytest.mark.anyio
async def test_only_others_than_the_author_approve_and_only_what_they_saw(tmp_path: Path) -> None:
    async with changing_shop(tmp_path) as shop:
        await shop.change("2", SetPolicy(Policy(approvals=1)))
        draft = await shop.drafts.save("shop", "spring", [WEIGHT], None, ADA)
        assert (await shop.drafts.status("shop", "spring")).approvals_missing == 1
        for actor in ("ada", "", "anonymous"):
            with pytest.raises(InvalidInput, match="an actor other than its author"):
                await shop.drafts.approve("shop", "spring", None, Author(actor))
        with pytest.raises(Forbidden):
            await shop.drafts.publish("shop", "spring", ADA, force=False)
        with pytest.raises(Conflict):
            await shop.drafts.approve("shop", "spring", draft.version + 1, BEA)
        await shop.drafts.approve("shop", "spring", draft.version, BEA)
        approved = await shop.drafts.approve("shop", "spring", None, BEA)
        assert [approval.actor for approval in approved.approvals] == ["bea"]
        assert (approved.actor, approved.edits, approved.approved_by) == ("ada", (WEIGHT,), {"bea"})
        # Other edits are another draft.
        again = await shop.drafts.save("shop", "spring", [WEIGHT], None, ADA)
        assert again.approvals == ()
        await shop.drafts.approve("shop", "spring", None, BEA)
        assert (await shop.drafts.publish("shop", "spring", ADA, force=False)).index is not None


@pytest.mark.anyio
async def test_a_draft_is_scheduled_within_a_year_and_by_name_of_the_caller(tmp_path: Path) -> None:
    async with changing_shop(tmp_path) as shop:
        await shop.drafts.save("shop", "spring", [WEIGHT], None, ADA)
        for publish_at in (NOW, NOW + timedelta(days=367), (NOW + timedelta(days=1)).replace(tzinfo=None)):
            with pytest.raises(InvalidInput) as refused:
                await shop.drafts.schedule("shop", "spring", publish_at, BEA)
            assert refused.value.field == "publish_at"
        scheduled = await shop.drafts.schedule("shop", "spring", NOW + timedelta(days=366), BEA)
        assert scheduled.schedule is not None
        assert (scheduled.schedule.actor, scheduled.schedule.scheduled_at, scheduled.actor) == ("bea", NOW, "ada")
        assert (await shop.drafts.unschedule("shop", "spring", BEA)).schedule is None
        with pytest.raises(InvalidInput, match="a draft that is scheduled"):
            await shop.drafts.unschedule("shop", "spring", BEA)


@pytest.mark.anyio
async def test_drafts_of_a_deleted_index_are_not_those_of_a_new_one_of_its_name(tmp_path: Path) -> None:
    async with changing_shop(tmp_path) as shop:
        draft = await shop.drafts.save("shop", "spring", [WEIGHT], None, ADA)
        await shop.store(IndexDeleted(id="2", timestamp=NOW, index="shop"))
        with pytest.raises(NotFound):
            with_draft(shop.serving.current.control, draft)
        weights = default_weights(SETTINGS)
        await shop.store(
            IndexConfigured(id="3", timestamp=NOW, index="shop", settings=SETTINGS, default_weights=weights)
        )
        assert await shop.drafts.drafts_of("shop") == []


@pytest.mark.parametrize(
    ("edit", "since", "conflicts"),
    [
        (WEIGHT, SetWeights({"cosine": 3.0}), ["weights.cosine"]),
        (WEIGHT, SetWeights({"phrase": 3.0}), []),
        (SetRule("r", RULE), SetRule("r", OTHER_RULE), ["rules.r"]),
        (SetSegment("s", SEGMENT), SetSegment("t", SEGMENT), []),
        (
            SetLimits({"cosine": (0.0, 1.0)}, {"phrase": True}),
            SetLimits({"cosine": (0.0, 5.0)}, {"phrase": True}),
            ["bounds.cosine", "locks.phrase"],
        ),
        (SetPolicy(Policy(approvals=1)), SetPolicy(Policy(approvals=2)), ["policy"]),
        (SetLearning(Learning(mode="suggest")), SetLearning(Learning(mode="automatic")), ["learning"]),
        (SetTrial(None), SetTrial(TRIAL), ["trial"]),
        (SetTrial(None), WEIGHT, []),
    ],
)
def test_what_others_changed_since_is_named(edit: Edit, since: Edit, conflicts: list[str]) -> None:
    assert changed_since(index_after(), index_after([since]), [edit]) == conflicts


@pytest.mark.anyio
async def test_saving_a_draft_again_keeps_everything_but_its_version(tmp_path: Path) -> None:
    async with changing_shop(tmp_path) as shop:
        draft = await shop.drafts.save("shop", "spring", [WEIGHT], None, ADA)
        again = draft_of(saved_event(draft, "another event"), 7)
        assert again == msgspec.structs.replace(draft, version=7, saved_as="another event")
