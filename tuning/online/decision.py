"""What the learner of an index decides, and the edits of CONTROL that carry it out. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec

from events.edits import Edit, SetTrial, SetWeights
from events.index_control import IndexControl
from events.learning import Ignored, Learning, RampTrial, Trial, resumed_ramp
from tuning.gate.pipeline import Step

# Interactions of the minutes before an alarm led to the weights that are taken back: they are not learnt from again.
QUARANTINE: Final = timedelta(minutes=15)


class Decision(msgspec.Struct, frozen=True):
    """One decision about an index.

    trial: id of the trial that it is about; '' for a suggestion.
    weights: candidate weights by name, if they are proposed or suggested; else empty.
    n_pages: number of pages learnt from so far.
    moved_by: as in `events.learning.Trial`.
    judged_baseline: as in `events.learning.Trial`.
    """

    step: Step
    trial: str
    weights: Mapping[str, float]
    n_pages: int
    moved_by: Mapping[str, tuple[str, ...]] = {}
    judged_baseline: float = 0.0


def edits_of(index: IndexControl, decision: Decision) -> list[Edit]:
    """Return the edits that carry out a decision; none if the index has changed such that it no longer applies."""
    step, trial = decision.step, index.trial
    if step.kind == "proposed":
        return [SetTrial(_gate_trial(index, decision))] if _may_propose(index.learning) else []
    if trial is None or trial.id != decision.trial:
        return []
    if step.kind == "published" and trial.stage == "gate":
        return [SetWeights(changed_weights(index, trial.weights)), SetTrial(_ramp_trial(index, trial, step))]
    if step.kind in ("ramped", "settled") and trial.stage == "ramp":
        return [SetTrial(msgspec.structs.replace(trial, solo_share=step.solo_share, decision=step.why))]
    if step.kind == "given_up" and trial.stage == "gate":
        return [SetTrial(resumed_ramp(trial.ramp, trial.judged_baseline) if trial.ramp is not None else None)]
    if step.kind == "frozen" and trial.stage == "ramp":
        return [SetTrial(None)]
    if step.kind == "rolled_back" and trial.stage == "ramp":
        return [SetWeights(changed_weights(index, trial.weights)), SetTrial(None)]
    return []


def changed_weights(index: IndexControl, weights: Mapping[str, float]) -> dict[str, float]:
    """Return the weights that differ from those in force; a weight that is missing becomes 0."""
    complete = {**dict.fromkeys(index.weights, 0.0), **weights}
    return {name: value for name, value in complete.items() if value != index.weights.get(name, 0.0)}


def frozen_learning(learning: Learning, *, why: str, now: datetime) -> Learning:
    """Return settings that freeze the learner after an alarm, and that ignore the minutes before it."""
    window = Ignored(since=now - QUARANTINE, until=now, reason=why)
    return msgspec.structs.replace(learning, frozen=why, ignored=(*learning.ignored, window))


def _may_propose(learning: Learning) -> bool:
    return learning.mode == "automatic" and not learning.frozen


def _gate_trial(index: IndexControl, decision: Decision) -> Trial:
    """Return a trial at the gate. It holds the trial on the ramp, which resumes if the candidate is rejected."""
    trial = index.trial
    ramp = trial.ramp if trial is not None else None
    if trial is not None and trial.stage == "ramp":
        ramp = RampTrial(trial.id, trial.weights, trial.solo_share, trial.decision, trial.moved_by)
    return Trial(
        id=decision.trial,
        stage="gate",
        weights={**dict.fromkeys(index.weights, 0.0), **decision.weights},
        solo_share=decision.step.solo_share,
        decision=decision.step.why,
        moved_by=decision.moved_by,
        ramp=ramp,
        judged_baseline=decision.judged_baseline,
    )


def _ramp_trial(index: IndexControl, gate: Trial, step: Step) -> Trial:
    """Return the first rung of a candidate that passed the gate; its weights are those in force until now."""
    return Trial(
        id=gate.id,
        stage="ramp",
        weights=dict(index.weights),
        solo_share=step.solo_share,
        decision=step.why,
        moved_by=gate.moved_by,
        judged_baseline=gate.judged_baseline,
    )
