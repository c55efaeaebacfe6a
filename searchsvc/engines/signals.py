"""Signals: numbers of a document that rank it for every query. How they are stored, and their value. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from events.settings import Signal
from searchsvc.engines.dates import DAY_S, epoch_seconds
from tuning.arrays import AnyArray, FloatArray

# JSON has whole numbers that are larger than any float.
LARGEST: Final = 1e300


def stored(signals: Sequence[Signal], documents: Sequence[Mapping[str, object]]) -> FloatArray:
    """Return what an engine stores of the signals of documents.

    Returns (n_documents, n_signals): the value in [0, 1]; for an ageing signal the day since 1970, nan without a date.
    """
    rows = [[_stored(signal, members.get(signal.field)) for signal in signals] for members in documents]
    return np.array(rows, np.float32).reshape(len(documents), len(signals))


def values(signals: Sequence[Signal], rows: AnyArray, timestamp_s: float) -> FloatArray:
    """Return the values of stored signals at a moment.

    rows: (n, n_signals) as `stored` returned them
    timestamp_s: the moment, in seconds since 1970

    Returns (n, n_signals), each in [0, 1]. An ageing signal halves with every `scale` days.
    """
    ageing = [column for column, signal in enumerate(signals) if signal.transform == "decay"]
    table: FloatArray = rows.astype(np.float32, copy=bool(ageing))
    for column in ageing:
        age_days = np.maximum(timestamp_s / DAY_S - rows[:, column].astype(np.float64), 0.0)
        table[:, column] = np.nan_to_num(np.exp2(-age_days / signals[column].scale))
    return table


def mismatch(signal: Signal, value: object) -> str | None:
    """Return the kind of value that a signal needs if this value is of another kind, else None.

    A missing value (None) fits every signal.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    match signal.transform:
        case _ if value is None:
            return None
        case "decay":
            return None if isinstance(value, str) and epoch_seconds(value) is not None else "a date"
        case "boolean":
            return None if isinstance(value, bool) or is_number else "true, false or a number"
        case _:
            return None if is_number else "a number"


def _stored(signal: Signal, value: object) -> float:
    if mismatch(signal, value) is not None:
        value = None
    match signal.transform:
        case "decay":
            timestamp_s = epoch_seconds(value) if isinstance(value, str) else None
            return math.nan if timestamp_s is None else timestamp_s / DAY_S
        case "boolean":
            return float(isinstance(value, int | float) and value > 0)
    if not isinstance(value, int | float) or value < 0:
        return 0.0
    number = float(min(value, LARGEST))
    match signal.transform:
        case "log1p":
            return min(math.log1p(number) / signal.scale, 1.0)
        case "inverse":
            return signal.scale / (signal.scale + number)
        case _:
            return min(number / signal.scale, 1.0)
