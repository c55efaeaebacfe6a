"""Checks decisions on whole searches before they are carried out: repeated searches and judged queries."""

from __future__ import annotations

import msgspec

from searchsvc.rehearsal.repeating import RepeatedSearches
from searchsvc.state.serving import Serving
from tuning.gate.pipeline import Step
from tuning.gate.steps import rounded_weight
from tuning.online.decision import Decision

PROPOSALS = ("suggested", "proposed")
# Decisions on a running trial that judged queries may stop.
JUDGED = ("published", "ramped", "settled")


class DecisionChecks:
    """Checks decisions by searching."""

    def __init__(self, serving: Serving, searches: RepeatedSearches) -> None:
        self._serving = serving
        self._searches = searches

    def needs_searches(self, name: str, decision: Decision) -> bool:
        """Return whether `check` takes searches."""
        if decision.step.kind in PROPOSALS:
            return True
        index = self._serving.current.control.indexes.get(name)
        return index is not None and bool(index.learning.judgments) and decision.step.kind in JUDGED

    async def check(self, name: str, decision: Decision) -> Decision | str:
        """Return the decision to carry out, or why there is none.

        Raises as a search does.
        """
        if decision.step.kind in PROPOSALS:
            return await self._shortened(name, decision)
        return await self._unless_worse(name, decision)

    async def _shortened(self, name: str, decision: Decision) -> Decision | str:
        """Return as much of a proposal's step as repeated searches and judged queries allow."""
        control = self._serving.current.control
        index = control.index(name)
        step = await self._searches.largest_step(control, name, decision.weights)
        if step is None:
            return "the learnt weights would change next to nothing, or too much, of whole searches"
        weights = {
            weight: rounded_weight(index.weights.get(weight, 0.0), value) for weight, value in step.weights.items()
        }
        baseline = index.trial.judged_baseline if index.trial is not None else 0.0
        verdict = await self._searches.judge(control, name, index.weights, weights, baseline)
        if verdict.why_worse:
            return f"the learnt weights are not tried: {verdict.why_worse}"
        why = (
            f"{decision.step.why}; {step.share:.0%} of that, on {step.n_searches} whole searches, "
            f"moves {step.exposure_moved:.0%}"
        )
        return msgspec.structs.replace(
            decision,
            step=msgspec.structs.replace(decision.step, why=why),
            weights=weights,
            judged_baseline=verdict.best,
        )

    async def _unless_worse(self, name: str, decision: Decision) -> Decision:
        """Return the decision; if judged queries are now answered worse, the decision to end the trial."""
        control, kind = self._serving.current.control, decision.step.kind
        index = control.index(name)
        if index.trial is None or kind not in JUDGED:
            return decision
        in_force, trial_weights = index.weights, index.trial.weights
        # Before publication the trial's weights are the candidate weights; on the ramp they are the previous ones.
        before, after = (in_force, trial_weights) if kind == "published" else (trial_weights, in_force)
        verdict = await self._searches.judge(control, name, before, after, index.trial.judged_baseline)
        if not verdict.why_worse:
            return decision
        step = Step("given_up" if kind == "published" else "rolled_back", verdict.why_worse, 1.0)
        return msgspec.structs.replace(decision, step=step)
