"""Numbers of a document that rank it whatever the query: what is kept, and what that is worth at a moment. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from events.settings import Signal
from searchsvc.engines.filters import seconds
from tuning.arrays import AnyArray, FloatArray

LARGEST: Final = 1e300
DAY_S: Final = 86_400.0


def kept(signals: Sequence[Signal], documents: Sequence[Mapping[str, object]]) -> FloatArray:
    """(n_documents, n_signals) features in [0, 1]; of an ageing signal the day since 1970, nan where there is none."""
    rows = [[_kept(signal, members.get(signal.field)) for signal in signals] for members in documents]
    return np.array(rows, np.float32).reshape(len(documents), len(signals))


def features(signals: Sequence[Signal], rows: AnyArray, at_s: float) -> FloatArray:
    """(n, n_signals) in [0, 1] at a moment, in seconds since 1970. rows: of `kept`."""
    ageing = [column for column, signal in enumerate(signals) if signal.transform == "decay"]
    found: FloatArray = rows.astype(np.float32, copy=bool(ageing))
    for column in ageing:
        age = np.maximum(at_s / DAY_S - rows[:, column].astype(np.float64), 0.0)
        found[:, column] = np.nan_to_num(np.exp2(-age / signals[column].scale))
    return found


def wanted(signal: Signal, value: object) -> str | None:
    """What a member has to be for a signal, where it is not; None where it will do."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    match signal.transform:
        case _ if value is None:
            return None
        case "decay":
            return None if isinstance(value, str) and seconds(value) is not None else "a date"
        case "boolean":
            return None if isinstance(value, bool) or is_number else "true, false or a number"
        case _:
            return None if is_number else "a number"


def _kept(signal: Signal, value: object) -> float:
    if wanted(signal, value) is not None:
        value = None
    match signal.transform:
        case "decay":
            at = seconds(value) if isinstance(value, str) else None
            return math.nan if at is None else at / DAY_S
        case "boolean":
            return float(isinstance(value, int | float) and value > 0)
    if not isinstance(value, int | float) or value < 0:
        return 0.0
    # JSON has whole numbers that are larger than any float.
    number = float(min(value, LARGEST))
    match signal.transform:
        case "log1p":
            return min(math.log1p(number) / signal.scale, 1.0)
        case "inverse":
            return signal.scale / (signal.scale + number)
        case _:
            return min(number / signal.scale, 1.0)
