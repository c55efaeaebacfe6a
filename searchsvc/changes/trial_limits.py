"""What limits allow of a trial: locks and bounds hold from the change that sets them, also while one goes on. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import inf

import msgspec

from events.edits import Edit, SetLimits, SetTrial
from events.hinges import feature_of
from events.index_control import IndexControl
from events.learning import Trial, resumed_ramp
from tuning.online.decision import changed_weights


def end_of_trial(index: IndexControl, edits: Sequence[Edit]) -> list[Edit]:
    """Return the edit that takes from the trial of an index what limits among some edits forbid; none if they do not.

    index: with the edits
    """
    if index.trial is None or not any(isinstance(edit, SetLimits) for edit in edits):
        return []
    allowed = _allowed_trial(index, index.trial)
    return [SetTrial(allowed)] if allowed != index.trial else []


def locked_weights(index: IndexControl, weights: Mapping[str, float]) -> Iterator[str]:
    """Yield the names of locked weights that would not be those in force."""
    return (name for name in changed_weights(index, weights) if feature_of(name) in index.locks)


def _allowed_trial(index: IndexControl, trial: Trial) -> Trial | None:
    """Return what goes on of a trial.

    At the gate, its candidate may be forbidden, and the way back of the trial on the ramp that waits for it. On the
    ramp, only a lock forbids: weights of before may be outside of bounds. The weights in force stay in any case.
    """
    if trial.stage == "ramp":
        return None if any(locked_weights(index, trial.weights)) else trial
    ramp = trial.ramp if trial.ramp is not None and not any(locked_weights(index, trial.ramp.weights)) else None
    if any(locked_weights(index, trial.weights)) or any(_out_of_bounds(index, trial.weights)):
        return resumed_ramp(ramp, trial.judged_baseline) if ramp is not None else None
    return msgspec.structs.replace(trial, ramp=ramp)


def _out_of_bounds(index: IndexControl, weights: Mapping[str, float]) -> Iterator[str]:
    for name, weight in changed_weights(index, weights).items():
        lowest, highest = index.bounds.get(name, (-inf, inf))
        if not lowest <= weight <= highest:
            yield name
