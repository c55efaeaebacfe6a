"""Appending commands to CONTROL: one history for all writers, and refusals that are logged at most once a minute."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from events.codec import decode_control, encode
from events.control import ControlState
from events.edits import SetPolicy, SetRule, SetWeights
from events.errors import Forbidden, InvalidInput, NotFound, Unavailable
from events.policies import Policy
from events.rules import HideAction, Rule
from events.types import ChangePublished, ChangeRefused, ControlEvent
from searchsvc.changes.author import Author
from searchsvc.changes.command import ConfigureIndex, DeleteIndex, EventStamp
from searchsvc.changes.control_writer import MAX_ATTEMPTS, ControlWriter
from searchsvc.changes.refusals import MAX_REFUSED_BYTES, RecentRefusals, shortened
from tests.changing import ADA, BEA, ChangingShop, changing_shop
from tests.factories import NOW, SETTINGS

TWO_LOOK = SetPolicy(Policy(approvals=1))
REFUSED = ChangeRefused(
    id="1", timestamp=NOW, index="shop", actor="ada", kind="change_published", policy="approvals", detail="no"
)


class Counted:
    """A command that sets a weight to the number of times that it was decided."""

    index, author = "shop", ADA

    def __init__(self, shop: ChangingShop, n_rivals: int) -> None:
        self._shop = shop
        self._n_rivals = n_rivals
        self.n_decisions = 0
        self.threads: list[threading.Thread] = []

    def decide(self, state: ControlState, stamp: EventStamp) -> ControlEvent:
        self.n_decisions += 1
        self.threads.append(threading.current_thread())
        if self.n_decisions <= self._n_rivals:
            self._shop.log.rivals.append(
                change(f"rival {self.n_decisions}", SetWeights({"phrase": float(self.n_decisions)}))
            )
        weights = SetWeights({"cosine": float(self.n_decisions)})
        return msgspec.structs.replace(change(stamp.event_id, weights), timestamp=stamp.timestamp)


def change(event_id: str, *edits: SetWeights) -> ChangePublished:
    return ChangePublished(id=event_id, timestamp=NOW, index="shop", edits=edits)


async def stored(shop: ChangingShop) -> list[ControlEvent]:
    events = [decode_control(record.data) async for record in shop.log.read("CONTROL")]
    return [event for event in events if isinstance(event, ControlEvent)]


@pytest.mark.anyio
async def test_a_command_that_another_writer_overtakes_is_decided_again_on_what_that_one_wrote(tmp_path: Path) -> None:
    async with changing_shop(tmp_path) as shop:
        command = Counted(shop, n_rivals=2)
        changed = await ControlWriter(shop.log, shop.serving, shop.clock).append(command)
        assert (command.n_decisions, changed.seq) == (3, 4)
        # It may check thousands of rules, which must not hold the event loop.
        assert threading.current_thread() not in command.threads
        assert changed.index is not None
        assert (changed.index.weights["phrase"], changed.index.weights["cosine"]) == (2.0, 3.0)


@pytest.mark.anyio
async def test_a_command_that_is_overtaken_every_time_is_given_up(tmp_path: Path) -> None:
    async with changing_shop(tmp_path) as shop:
        command = Counted(shop, n_rivals=1000)
        with pytest.raises(Unavailable, match=f"{MAX_ATTEMPTS} other changes came first"):
            await ControlWriter(shop.log, shop.serving, shop.clock).append(command)
        assert command.n_decisions == MAX_ATTEMPTS


@pytest.mark.anyio
async def test_an_append_of_unknown_outcome_is_repeated_and_stored_once(tmp_path: Path) -> None:
    async with changing_shop(tmp_path) as shop:
        shop.log.n_lost_answers = 1
        changed = await shop.commands.set_weights("shop", {"cosine": 3.0}, None, ADA)
        assert (changed.seq, len(await stored(shop))) == (2, 2)


@pytest.mark.anyio
async def test_commands_of_one_service_do_not_overtake_each_other(tmp_path: Path) -> None:
    async with changing_shop(tmp_path) as shop:
        rules = [(f"r{i}", Rule((HideAction(f"d{i}"),))) for i in range(10)]
        changes = [shop.commands.set_rule("shop", rule_id, rule, 0, ADA) for rule_id, rule in rules]
        changed = await asyncio.gather(*changes)
        assert [change.seq for change in changed] == [*range(2, 12)]
        assert {*shop.index.rules} == {rule_id for rule_id, _ in rules}


@pytest.mark.anyio
async def test_a_refusal_is_told_each_time_and_logged_once_a_minute_for_each_actor(tmp_path: Path) -> None:
    async with changing_shop(tmp_path) as shop:
        await shop.change("2", TWO_LOOK)

        async def refused(author: Author, value: float) -> str:
            with pytest.raises(Forbidden) as error:
                await shop.commands.set_weights("shop", {"cosine": value}, None, author)
            assert error.value.field == "policy.approvals"
            return error.value.message[-len("(sequence 3)") :]

        assert [await refused(ADA, value) for value in (1.0, 2.0)] == ["(sequence 3)"] * 2
        assert await refused(BEA, 1.0) == "(sequence 4)"
        shop.now = NOW + timedelta(seconds=59)
        assert await refused(ADA, 3.0) == "(sequence 3)"
        shop.now = NOW + timedelta(seconds=60)
        assert await refused(ADA, 4.0) == "(sequence 5)"
        events = [event for event in await stored(shop) if isinstance(event, ChangeRefused)]
        assert [(event.actor, event.kind, event.policy) for event in events] == [
            ("ada", "change_published", "approvals"),
            ("bea", "change_published", "approvals"),
            ("ada", "change_published", "approvals"),
        ]
        assert events[0].edits == (SetWeights({"cosine": 1.0}),)


@pytest.mark.anyio
async def test_settings_have_publishers_too(tmp_path: Path) -> None:
    async with changing_shop(tmp_path) as shop:
        await shop.change("2", SetPolicy(Policy(publishers={"settings": ("ops",)})))
        writer = ControlWriter(shop.log, shop.serving, shop.clock)
        for command in (ConfigureIndex("shop", SETTINGS, ADA), DeleteIndex("shop", ADA)):
            with pytest.raises(Forbidden) as refused:
                await writer.append(command)
            assert refused.value.field == "policy.publishers.settings"
        # An index that is new has no policy yet.
        assert (await writer.append(ConfigureIndex("films", SETTINGS, ADA))).index is not None
        deleted = await writer.append(DeleteIndex("shop", Author("ops")))
        assert deleted.index is None
        with pytest.raises(NotFound):
            await writer.append(DeleteIndex("shop", Author("ops")))


@pytest.mark.anyio
async def test_a_change_that_changes_nothing_is_refused_and_not_stored(tmp_path: Path) -> None:
    async with changing_shop(tmp_path) as shop:
        with pytest.raises(InvalidInput, match="nothing was changed"):
            await shop.commands.set_policy("shop", Policy(), ADA)
        with pytest.raises(InvalidInput, match="at most 1000 characters"):
            await shop.commands.set_weights("shop", {"cosine": 1.0}, None, Author("ada", "x" * 1001))
        assert len(await stored(shop)) == 1


def test_long_edits_are_not_stored_with_a_refusal() -> None:
    assert shortened(REFUSED) is REFUSED
    rules = tuple(SetRule(f"r{i}", Rule((HideAction("d" * 100),))) for i in range(1000))
    long = msgspec.structs.replace(REFUSED, edits=rules)
    assert len(encode(long)) > MAX_REFUSED_BYTES
    assert (shortened(long).edits, shortened(long).detail) == ((), "no (its 1000 edits are too long to be stored)")


def test_a_refusal_is_the_same_for_the_same_actor_policy_and_parts() -> None:
    refusals = RecentRefusals()
    of_weights = msgspec.structs.replace(REFUSED, edits=(SetWeights({"cosine": 1.0}),))
    refusals.remember(of_weights, 7)
    assert refusals.logged_seq(msgspec.structs.replace(of_weights, edits=(SetWeights({"phrase": 1.0}),))) == 7
    for other in (
        REFUSED,
        msgspec.structs.replace(of_weights, actor="bea"),
        msgspec.structs.replace(of_weights, policy="max_step"),
        msgspec.structs.replace(of_weights, index="films"),
        msgspec.structs.replace(of_weights, kind="index_deleted"),
    ):
        assert refusals.logged_seq(other) is None
