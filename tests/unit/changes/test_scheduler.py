"""Publishing drafts at their time, under a clock that the test sets."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from events.codec import encode
from events.edits import DeleteRule, SetRule, SetWeights
from events.errors import NotFound, Unavailable
from events.log import Entry, Record
from events.rules import HideAction, Rule
from events.streams import draft_subject
from events.tasks import end
from events.types import DraftDeleted, DraftSaved, Schedule
from searchsvc.changes.draft import Draft
from searchsvc.changes.scheduler import Scheduler
from tests.changing import ADA, BEA, ChangingShop, changing_shop
from tests.factories import NOW

HOUR = timedelta(hours=1)
SAVED = DraftSaved(
    id="s1",
    timestamp=NOW,
    index="shop",
    draft="spring",
    created_seq=1,
    base_seq=1,
    edits=(SetWeights({"cosine": 1.0}),),
    schedule=Schedule(NOW + HOUR, "bea", NOW, "at night"),
)


def record(event: DraftSaved | DraftDeleted, seq: int = 1) -> Record:
    return Record("DRAFTS", draft_subject("shop", event.draft), seq, NOW, encode(event))


async def scheduled(shop: ChangingShop, weight: float) -> Draft:
    """Draft `spring`, which sets a weight an hour from now."""
    await shop.drafts.save("shop", "spring", [SetWeights({"cosine": weight})], None, ADA)
    return await shop.drafts.schedule("shop", "spring", shop.now + HOUR, BEA)


@pytest.mark.anyio
async def test_a_draft_is_due_at_its_time_and_only_once(tmp_path: Path) -> None:
    async with changing_shop(tmp_path) as shop:
        scheduler = Scheduler(shop.log, shop.drafts, shop.clock)
        scheduler.observe(record(SAVED, seq=7))
        assert scheduler.take_due() == []
        shop.now = NOW + HOUR
        (due,) = scheduler.take_due()
        assert (due.id, due.version, due.saved_as) == ("spring", 7, "s1")
        assert scheduler.take_due() == []


@pytest.mark.anyio
@pytest.mark.parametrize(
    "ended_by",
    [
        DraftDeleted(id="d", timestamp=NOW, index="shop", draft="spring"),
        msgspec.structs.replace(SAVED, id="s2", schedule=None),
        msgspec.structs.replace(SAVED, id="s2", schedule=Schedule(NOW + HOUR, "bea", NOW, "x", failure="no")),
        msgspec.structs.replace(SAVED, id="s2", schedule=Schedule(NOW + 3 * HOUR, "bea", NOW, "later")),
    ],
)
async def test_a_later_message_of_the_draft_replaces_its_schedule(
    tmp_path: Path, ended_by: DraftSaved | DraftDeleted
) -> None:
    async with changing_shop(tmp_path) as shop:
        scheduler = Scheduler(shop.log, shop.drafts, shop.clock)
        scheduler.observe(record(SAVED))
        scheduler.observe(record(ended_by, seq=2))
        shop.now = NOW + 2 * HOUR
        assert scheduler.take_due() == []


@pytest.mark.anyio
async def test_a_message_that_cannot_be_read_ends_no_schedule(tmp_path: Path) -> None:
    async with changing_shop(tmp_path) as shop:
        scheduler = Scheduler(shop.log, shop.drafts, shop.clock)
        scheduler.observe(record(SAVED))
        scheduler.observe(Record("DRAFTS", draft_subject("shop", "spring"), 2, NOW, b"{"))
        shop.now = NOW + HOUR
        assert [draft.id for draft in scheduler.take_due()] == ["spring"]


@pytest.mark.anyio
async def test_a_running_scheduler_publishes_a_draft_whose_time_passed_before_it_started(tmp_path: Path) -> None:
    async with changing_shop(tmp_path) as shop:
        await scheduled(shop, 3.0)
        shop.now = NOW + 2 * HOUR
        running = asyncio.create_task(Scheduler(shop.log, shop.drafts, shop.clock).run())
        state = await shop.serving.wait_until(lambda state: state.control.seq == 2, 10.0, "the change")
        await end([running])
        assert state.control.index("shop").weights["cosine"] == 3.0
        last = state.control.index("shop").history[-1]
        assert (last.actor, last.reason, last.timestamp) == ("bea", "another reason", NOW + 2 * HOUR)


@pytest.mark.anyio
async def test_a_draft_whose_weight_was_changed_since_is_not_published_and_says_why(tmp_path: Path) -> None:
    async with changing_shop(tmp_path) as shop:
        draft = await scheduled(shop, 3.0)
        await shop.change("2", SetWeights({"cosine": 5.0}))
        shop.now = NOW + HOUR
        await Scheduler(shop.log, shop.drafts, shop.clock).publish(draft)
        assert shop.index.weights["cosine"] == 5.0
        unpublished = await shop.drafts.get("shop", "spring")
        assert unpublished.schedule is not None
        assert "weights.cosine changed since" in unpublished.schedule.failure
        assert unpublished.edits == draft.edits


@pytest.mark.anyio
async def test_a_draft_that_deletes_a_rule_that_is_gone_says_why_and_stays(tmp_path: Path) -> None:
    async with changing_shop(tmp_path) as shop:
        await shop.change("2", SetRule("r", Rule((HideAction("d1"),))))
        await shop.drafts.save("shop", "spring", [DeleteRule("r")], None, ADA)
        draft = await shop.drafts.schedule("shop", "spring", NOW + HOUR, BEA)
        await shop.change("3", DeleteRule("r"))
        shop.now = NOW + HOUR
        await Scheduler(shop.log, shop.drafts, shop.clock).publish(draft)
        unpublished = await shop.drafts.get("shop", "spring")
        assert unpublished.schedule is not None
        assert "rules.r changed since" in unpublished.schedule.failure


@pytest.mark.anyio
async def test_a_draft_is_there_while_another_writer_saves_it_again(tmp_path: Path) -> None:
    """A reader must not get a 404 while the draft is being replaced."""
    async with changing_shop(tmp_path) as shop:
        draft = await scheduled(shop, 3.0)
        event = msgspec.structs.replace(SAVED, id="again", schedule=Schedule(NOW + HOUR, "bea", NOW, "x", failure="no"))
        entry = Entry(draft_subject("shop", "spring"), encode(event), event.id)
        shop.log.during_next_read = [entry]
        stored = await shop.drafts.get("shop", "spring")
        assert stored.schedule is not None
        assert (stored.version, stored.schedule.failure) == (draft.version + 1, "no")
        shop.log.during_next_read = [msgspec.structs.replace(entry, msg_id="another")]
        assert (await shop.drafts.status("shop", "spring")).draft.version == draft.version + 2


@pytest.mark.anyio
async def test_a_draft_that_was_saved_again_since_it_was_scheduled_is_not_published(tmp_path: Path) -> None:
    async with changing_shop(tmp_path) as shop:
        draft = await scheduled(shop, 3.0)
        await shop.drafts.save("shop", "spring", [SetWeights({"cosine": 4.0})], None, ADA)
        shop.now = NOW + HOUR
        await Scheduler(shop.log, shop.drafts, shop.clock).publish(draft)
        assert shop.index.weights["cosine"] != 3.0
        unpublished = await shop.drafts.get("shop", "spring")
        assert (unpublished.edits, unpublished.schedule) == ((SetWeights({"cosine": 4.0}),), None)


@pytest.mark.anyio
async def test_of_two_services_that_publish_the_same_draft_one_counts(tmp_path: Path) -> None:
    async with changing_shop(tmp_path) as shop:
        draft = await scheduled(shop, 3.0)
        shop.now = NOW + HOUR
        scheduler = Scheduler(shop.log, shop.drafts, shop.clock)
        await asyncio.gather(scheduler.publish(draft), scheduler.publish(draft))
        assert (shop.serving.current.control.seq, shop.index.weights["cosine"]) == (2, 3.0)
        with pytest.raises(NotFound):
            await shop.drafts.get("shop", "spring")


@pytest.mark.anyio
async def test_a_draft_based_on_a_change_that_is_not_applied_here_yet_waits(tmp_path: Path) -> None:
    async with changing_shop(tmp_path) as shop:
        ahead = msgspec.structs.replace(SAVED, base_seq=2)
        await shop.log.append("DRAFTS", Entry(draft_subject("shop", "spring"), encode(ahead), ahead.id))
        draft = await shop.drafts.get("shop", "spring")
        with pytest.raises(Unavailable, match="CONTROL 2"):
            await shop.drafts.publish_scheduled(draft)
        await shop.change("2", SetWeights({"bm25.title": 1.0}))
        await shop.drafts.publish_scheduled(draft)
        assert shop.index.weights["cosine"] == 1.0
