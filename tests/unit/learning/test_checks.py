"""Checking decisions by searching."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pytest

from events.control import ControlState
from events.learning import Learning, Trial
from searchsvc.learning.checks import DecisionChecks
from searchsvc.rehearsal.repeating import MeasuredStep, RepeatedSearches, Verdict
from searchsvc.state.serving import Serving
from tests.simulation.shop import WEIGHTS, index
from tuning.gate.pipeline import Kind, Step
from tuning.online.decision import Decision

pytestmark = pytest.mark.anyio
CANDIDATE = {**WEIGHTS, "cosine": 0.5}
JUDGED = Learning(mode="automatic", judgments={"lamp": {"a": 1}})


class Searches(RepeatedSearches):
    """Gives the results that the test sets. judged: weights that were compared"""

    def __init__(self, step: MeasuredStep | None = None, verdict: Verdict | None = None) -> None:
        self.step, self.verdict = step, verdict or Verdict(0.9)
        self.judged: list[tuple[Mapping[str, float], Mapping[str, float]]] = []

    async def largest_step(self, control: ControlState, index: str, target: Mapping[str, float]) -> MeasuredStep | None:
        return self.step

    async def judge(
        self, control: ControlState, index: str, before: Mapping[str, float], after: Mapping[str, float], best: float
    ) -> Verdict:
        self.judged.append((dict(before), dict(after)))
        return self.verdict


def decision(kind: Kind) -> Decision:
    return Decision(Step(kind, "the reason", 0.1), "t", CANDIDATE if kind == "proposed" else {}, 250)


async def checks(searches: Searches, trial: Trial | None = None, learning: Learning = JUDGED) -> DecisionChecks:
    serving = Serving()
    control = index(trial=trial, learning=learning, weights=CANDIDATE if trial and trial.stage == "ramp" else WEIGHTS)
    await serving.set_control(ControlState(indexes=MappingProxyType({"shop": control})))
    return DecisionChecks(serving, searches)


async def test_a_proposal_is_shortened_to_what_whole_searches_allow() -> None:
    step = MeasuredStep({**WEIGHTS, "cosine": 0.35000001}, 0.5, 0.1, 40)
    checked = await (await checks(Searches(step))).check("shop", decision("proposed"))
    assert isinstance(checked, Decision)
    assert (checked.weights["cosine"], checked.judged_baseline) == (0.35, 0.9)
    assert checked.step.why == "the reason; 50% of that, on 40 whole searches, moves 10%"


async def test_a_proposal_that_moves_next_to_nothing_or_worsens_judged_queries_is_rejected() -> None:
    none = await (await checks(Searches())).check("shop", decision("proposed"))
    assert none == "the learnt weights would change next to nothing, or too much, of whole searches"
    worse = Searches(MeasuredStep(CANDIDATE, 1.0, 0.1, 40), Verdict(0.9, "nDCG falls"))
    assert (
        await (await checks(worse)).check("shop", decision("proposed"))
        == "the learnt weights are not tried: nDCG falls"
    )


@pytest.mark.parametrize(
    ("stage", "kind", "becomes"), [("gate", "published", "given_up"), ("ramp", "ramped", "rolled_back")]
)
async def test_a_trial_that_worsens_judged_queries_is_ended(stage: str, kind: Kind, becomes: str) -> None:
    searches = Searches(verdict=Verdict(0.9, "nDCG falls"))
    weights = CANDIDATE if stage == "gate" else WEIGHTS
    trial = Trial("t", stage, weights, 0.0)  # type: ignore[arg-type]
    checked = await (await checks(searches, trial)).check("shop", decision(kind))
    assert isinstance(checked, Decision)
    assert (checked.step.kind, checked.step.why, checked.step.solo_share) == (becomes, "nDCG falls", 1.0)
    assert searches.judged == [(WEIGHTS, CANDIDATE)], "the weights before, and the candidate"


async def test_other_decisions_pass_unchecked() -> None:
    searches = Searches(verdict=Verdict(0.9, "nDCG falls"))
    trial = Trial("t", "ramp", WEIGHTS, 0.1)
    assert await (await checks(searches, trial)).check("shop", decision("rolled_back")) == decision("rolled_back")
    assert await (await checks(searches)).check("shop", decision("ramped")) == decision("ramped")
    assert searches.judged == []


async def test_searches_are_needed_for_proposals_and_where_there_are_judgments() -> None:
    with_judgments, without = await checks(Searches()), await checks(Searches(), learning=Learning(mode="automatic"))
    kinds: tuple[Kind, ...] = ("suggested", "proposed", "published", "ramped", "settled", "given_up", "rolled_back")
    assert [with_judgments.needs_searches("shop", decision(kind)) for kind in kinds] == [True] * 5 + [False] * 2
    assert [without.needs_searches("shop", decision(kind)) for kind in kinds] == [True] * 2 + [False] * 5
    assert not with_judgments.needs_searches("gone", decision("ramped"))
