"""Ends a trial whose weights new limits no longer allow: a lock holds from the change that sets it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf

from events.edits import Edit, SetLimits, SetTrial, SetWeights
from events.hinges import feature_of
from events.index_control import IndexControl
from events.learning import resumed_ramp
from tuning.online.decision import changed_weights


def end_of_trial(index: IndexControl, edits: Sequence[Edit]) -> list[Edit]:
    """Return the edit that ends the trial of an index if limits among some edits forbid what it may publish.

    At the gate that is its candidate; the trial on the ramp that waits for it goes on if it may. On the ramp it is the
    way back, which would move a locked weight: the weights in force stay.

    index: without the edits
    """
    trial = index.trial
    limits = [edit for edit in edits if isinstance(edit, SetLimits)]
    if trial is None or not limits or any(isinstance(edit, SetWeights | SetTrial) for edit in edits):
        return []
    if not any(_forbids(edit, index, trial.weights, trial.stage) for edit in limits):
        return []
    ramp = trial.ramp
    if ramp is None or any(_forbids(edit, index, ramp.weights, "ramp") for edit in limits):
        return [SetTrial(None)]
    return [SetTrial(resumed_ramp(ramp, trial.judged_baseline))]


def _forbids(limits: SetLimits, index: IndexControl, weights: Mapping[str, float], stage: str) -> bool:
    """Whether limits forbid to set weights that differ from those in force. On the ramp bounds do not count: weights
    of before may be outside of them."""
    return any(
        limits.locks.get(feature_of(name), False) or (stage == "gate" and not _is_within(limits, name, weight))
        for name, weight in changed_weights(index, weights).items()
    )


def _is_within(limits: SetLimits, name: str, weight: float) -> bool:
    lowest, highest = limits.bounds.get(name) or (-inf, inf)
    return lowest <= weight <= highest
