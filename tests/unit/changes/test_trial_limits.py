"""Limits that end a trial: a lock and bounds hold from the change that sets them."""

from __future__ import annotations

from pathlib import Path

import pytest

from events.edits import Edit, SetLearning, SetLimits, SetTrial, SetWeights
from events.errors import InvalidInput
from events.learning import Learning, RampTrial, Stage, Trial
from searchsvc.changes.command import MakeEdits
from tests.changing import ADA, changing_shop
from tuning.gate.pipeline import Step
from tuning.online.decision import Decision, edits_of

LOCKED = SetLimits(locks={"cosine": True})


def constantly(edits: list[Edit]) -> MakeEdits:
    return lambda _: edits


def gate(weights: dict[str, float], ramp: RampTrial | None = None) -> Trial:
    return Trial("t", "gate", weights, 0.25, ramp=ramp)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("moved", "stage", "edits", "goes_on"),
    [
        ({"cosine": 0.4}, "gate", [LOCKED], False),
        ({"cosine>1/3": 0.5}, "gate", [LOCKED], False),
        ({"cosine": 0.4}, "ramp", [LOCKED], False),
        ({"cosine": 0.4}, "gate", [SetLimits({"cosine": (0.45, 5.0)})], False),
        ({"cosine": 0.4}, "ramp", [SetLimits({"cosine": (0.45, 5.0)})], True),
        ({"cosine": 0.4}, "gate", [SetLimits({"cosine": (0.1, 50.0)})], True),
        ({"cosine": 0.4}, "gate", [SetLimits({"cosine": None}, {"cosine": False})], True),
        ({"rr.keyword": 0.123}, "gate", [LOCKED], True),
        ({"cosine": 0.4}, "gate", [SetLearning(Learning(mode="automatic", exploration=0.1))], True),
        ({"cosine": 0.4}, "gate", [LOCKED, SetWeights({"rr.keyword": 2.0})], False),
    ],
)
async def test_limits_end_a_trial_that_they_forbid(
    tmp_path: Path, moved: dict[str, float], stage: Stage, edits: list[Edit], goes_on: bool
) -> None:
    async with changing_shop(tmp_path) as shop:
        trial = Trial("t", stage, {**shop.index.weights, **moved}, 0.25)
        await shop.change("2", SetLearning(Learning(mode="automatic")), SetTrial(trial))
        changed = await shop.commands.publish("shop", constantly(edits), ADA)
        assert changed.index is not None
        assert (changed.index.trial == trial) is goes_on
        assert goes_on or changed.index.trial is None


@pytest.mark.anyio
async def test_a_trial_on_the_ramp_goes_on_if_only_the_one_at_the_gate_is_forbidden(tmp_path: Path) -> None:
    async with changing_shop(tmp_path) as shop:
        before = RampTrial("u", {**shop.index.weights, "rr.keyword": 0.123}, 0.5)
        candidate = gate({**shop.index.weights, "cosine": 0.4}, before)
        await shop.change("2", SetLearning(Learning(mode="automatic")), SetTrial(candidate))
        changed = await shop.commands.publish("shop", constantly([LOCKED]), ADA)
        assert changed.index is not None
        assert changed.index.trial is not None
        assert (changed.index.trial.id, changed.index.trial.stage) == ("u", "ramp")


@pytest.mark.anyio
async def test_a_trial_on_the_ramp_is_dropped_if_its_way_back_would_move_what_is_locked(tmp_path: Path) -> None:
    async with changing_shop(tmp_path) as shop:
        before = RampTrial("u", {**shop.index.weights, "cosine": 0.4}, 0.5)
        candidate = gate({**shop.index.weights, "rr.keyword": 0.123}, before)
        await shop.change("2", SetLearning(Learning(mode="automatic")), SetTrial(candidate))
        changed = await shop.commands.publish("shop", constantly([LOCKED]), ADA)
        assert changed.index is not None
        assert changed.index.trial == gate(candidate.weights)


@pytest.mark.anyio
async def test_a_candidate_that_was_made_before_a_weight_was_locked_is_refused(tmp_path: Path) -> None:
    async with changing_shop(tmp_path) as shop:
        candidates = [gate({**shop.index.weights, name: 0.4}) for name in ("cosine", "cosine>1/3", "rr.keyword")]
        await shop.commands.publish("shop", constantly([LOCKED]), ADA)
        for candidate in candidates[:2]:
            proposed: list[Edit] = [SetTrial(candidate)]
            with pytest.raises(
                InvalidInput, match=r"trial\.weights\.cosine.* is 0\.4; allowed: .*: the weight is locked"
            ):
                await shop.commands.publish("shop", constantly(proposed), ADA)
        changed = await shop.commands.publish("shop", constantly([SetTrial(candidates[2])]), ADA)
        assert changed.index is not None
        assert changed.index.trial == candidates[2]


@pytest.mark.anyio
async def test_the_learner_cannot_publish_what_was_locked_meanwhile(tmp_path: Path) -> None:
    async with changing_shop(tmp_path) as shop:
        candidate = gate({**shop.index.weights, "cosine": 0.4})
        await shop.change("2", SetLearning(Learning(mode="automatic")), SetTrial(candidate))
        await shop.commands.publish("shop", constantly([LOCKED]), ADA)
        assert edits_of(shop.index, Decision(Step("published", "better", 0.01), "t", {}, 250)) == []
