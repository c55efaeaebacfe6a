"""A stopwatch over the stages of one search."""

from __future__ import annotations

import time

import msgspec


class Timings(msgspec.Struct):
    """Milliseconds by stage, in order. encode: in an index that is not small, within retrieve, perhaps beside it."""

    queue: float = 0.0
    analyse: float = 0.0
    encode: float = 0.0
    retrieve: float = 0.0
    features: float = 0.0
    rank: float = 0.0
    hits: float = 0.0


class Laps:
    """started: time.perf_counter() when the clock began; None begins it now."""

    def __init__(self, started: float | None) -> None:
        self.timings = Timings()
        self._started = self._mark = time.perf_counter() if started is None else started

    def lap(self) -> float:
        """Milliseconds since the last lap."""
        before, self._mark = self._mark, time.perf_counter()
        return round((self._mark - before) * 1e3, 3)

    def total(self) -> float:
        """Milliseconds since the start."""
        return round((time.perf_counter() - self._started) * 1e3, 3)
