"""Carrying out decisions: commands, drafts, policies, and trying again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from events.edits import SetLearning, SetPolicy, SetTrial, SetWeights
from events.errors import Forbidden, InvalidInput, Unavailable
from events.learning import Learning, Trial
from events.policies import Policy
from searchsvc.learning.checks import DecisionChecks
from searchsvc.learning.publishing import ACTOR, DRAFT, DecisionPublisher, DecisionQueue
from tests.changing import ADA, ChangingShop, changing_shop
from tuning.gate.pipeline import Kind, Step
from tuning.online.decision import Decision

pytestmark = pytest.mark.anyio
CANDIDATE = {"cosine": 1.0}


def decision(kind: Kind, trial: str = "t", **weights: float) -> Decision:
    return Decision(Step(kind, "the reason", 0.5), trial, weights, 250)


@asynccontextmanager
async def shop_on_ramp(
    folder: Path, policy: Policy | None = None
) -> AsyncIterator[tuple[ChangingShop, DecisionPublisher]]:
    """A shop whose candidate is in force on the ramp."""
    async with changing_shop(folder) as shop:
        before = dict(shop.index.weights)
        learning = SetLearning(Learning(mode="automatic"))
        await shop.change("ramp", learning, SetWeights(CANDIDATE), SetTrial(Trial("t", "ramp", before, 0.1)))
        if policy is not None:
            await shop.change("policy", SetPolicy(policy))
        yield shop, DecisionPublisher(shop.serving, shop.commands, shop.drafts, shop.clock)


async def test_a_rollback_restores_the_weights_and_freezes_the_learner(tmp_path: Path) -> None:
    async with shop_on_ramp(tmp_path) as (shop, publisher):
        await publisher.publish("shop", decision("rolled_back"))
        await shop.serving.wait_until(lambda state: state.control.index("shop").trial is None, 10.0, "the rollback")
        assert shop.index.weights["cosine"] != CANDIDATE["cosine"]
        assert shop.index.learning.frozen == "the reason"
        assert len(shop.index.learning.ignored) == 1
        assert shop.index.history[-1].actor == ACTOR


async def test_a_rung_is_published_and_a_decision_about_another_trial_is_refused(tmp_path: Path) -> None:
    async with shop_on_ramp(tmp_path) as (shop, publisher):
        await publisher.publish("shop", decision("ramped"))
        assert shop.index.trial is not None
        assert (shop.index.trial.solo_share, shop.index.trial.decision) == (0.5, "the reason")
        with pytest.raises(InvalidInput):
            await publisher.publish("shop", decision("ramped", trial="another"))


async def test_a_suggestion_replaces_the_learners_draft_and_no_other(tmp_path: Path) -> None:
    async with shop_on_ramp(tmp_path) as (shop, publisher):
        weights = dict(shop.index.weights)
        await publisher.publish("shop", decision("suggested", "", **weights))
        assert await shop.drafts.drafts_of("shop") == [], "nothing would change"
        for value in (1.5, 1.7):
            await publisher.publish("shop", decision("suggested", "", **{**weights, "cosine": value}))
        (draft,) = await shop.drafts.drafts_of("shop")
        assert (draft.id, draft.actor, draft.edits) == (DRAFT, ACTOR, (SetWeights({"cosine": 1.7}),))
        await shop.drafts.save("shop", DRAFT, [SetWeights({"cosine": 3.0})], draft.version, ADA)
        with pytest.raises(Unavailable, match="draft learnt belongs to ada"):
            await publisher.publish("shop", decision("suggested", "", **{**weights, "cosine": 1.9}))


async def test_a_learner_that_may_not_publish_does_not(tmp_path: Path) -> None:
    async with shop_on_ramp(tmp_path, Policy(publishers={"learning": ("ada",), "weights": ("ada",)})) as (
        shop,
        publisher,
    ):
        with pytest.raises(Forbidden):
            await publisher.publish("shop", decision("ramped"))
        assert shop.index.trial is not None
        assert shop.index.trial.solo_share == 0.1


class Checks(DecisionChecks):
    """Accepts every decision except proposals."""

    def __init__(self) -> None:
        self.needed = False

    def needs_searches(self, name: str, decision: Decision) -> bool:
        return self.needed

    async def check(self, name: str, decision: Decision) -> Decision | str:
        return "rejected" if decision.step.kind == "proposed" else decision


class Publisher(DecisionPublisher):
    """Records what is published; raises `error` if it is set."""

    def __init__(self) -> None:
        self.published: list[str] = []
        self.error: Exception | None = None

    async def publish(self, name: str, decision: Decision) -> None:
        if self.error is not None:
            raise self.error
        self.published.append(decision.step.kind)


class Queue:
    """A queue with its checks, its publisher and its messages."""

    def __init__(self) -> None:
        self.checks, self.publisher, self.messages = Checks(), Publisher(), dict[str, str]()
        self.n_followed = 0
        self.queue = DecisionQueue(self.checks, self.publisher, self.messages, self._follow_again)

    def _follow_again(self) -> None:
        self.n_followed += 1


async def test_a_decision_that_could_not_be_written_is_carried_out_later() -> None:
    parts = Queue()
    parts.publisher.error = Unavailable("the log is away")
    await parts.queue.carry_out([("shop", decision("ramped"))])
    assert parts.messages["shop"] == "ramped, and not written yet: the log is away"
    parts.publisher.error = None
    await parts.queue.carry_out([])
    assert parts.publisher.published == [], "not before a second has passed"
    parts.queue._retry_at = 0.0
    await parts.queue.carry_out([])
    assert parts.publisher.published == ["ramped"]
    assert (parts.messages["shop"], parts.n_followed) == ("ramped: the reason", 0)


@pytest.mark.parametrize("error", [Forbidden("not allowed"), InvalidInput("no", field="x", value=1, limit="2")])
async def test_a_decision_that_is_refused_is_dropped_with_the_reason(error: Exception) -> None:
    parts = Queue()
    parts.publisher.error = error
    await parts.queue.carry_out([("shop", decision("ramped"))])
    assert parts.messages["shop"] == f"ramped, and not carried out: {error}"
    assert parts.n_followed == 1, "the learner takes the stage of CONTROL again"


async def test_a_rejected_proposal_is_dropped_with_the_reason() -> None:
    parts = Queue()
    await parts.queue.carry_out([("shop", decision("proposed"))])
    assert (parts.messages["shop"], parts.n_followed, parts.publisher.published) == ("rejected", 1, [])


async def test_postponed_decisions_are_carried_out_before_new_ones() -> None:
    parts = Queue()
    parts.queue.postpone([("shop", decision("published"))])
    await parts.queue.carry_out([("shop", decision("ramped"))])
    assert parts.publisher.published == ["published", "ramped"]


async def test_decisions_that_take_searches_are_carried_out_in_a_task_of_their_own() -> None:
    parts = Queue()
    parts.checks.needed = True
    await parts.queue.carry_out([("shop", decision("ramped")), ("shop", decision("published"))])
    assert parts.publisher.published == []
    assert parts.queue._task is not None
    await parts.queue._task
    assert parts.publisher.published == ["ramped", "published"]
