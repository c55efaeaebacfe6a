"""A stopwatch for the stages of one search."""

from __future__ import annotations

import time

import msgspec


class Timings(msgspec.Struct):
    """Milliseconds of each stage, in order.

    encode: in a large index part of `retrieve`, perhaps concurrent with the keyword leg.
    """

    queue: float = 0.0
    analyse: float = 0.0
    encode: float = 0.0
    retrieve: float = 0.0
    features: float = 0.0
    rank: float = 0.0
    hits: float = 0.0


class Laps:
    """A running stopwatch.

    started: reading of `time.perf_counter` at the start; None for now.
    timings: for the caller to fill.
    """

    def __init__(self, started: float | None) -> None:
        self.timings = Timings()
        self._started = self._last_lap = time.perf_counter() if started is None else started

    def lap(self) -> float:
        """Return the milliseconds since the last lap, and begin the next."""
        previous, self._last_lap = self._last_lap, time.perf_counter()
        return round((self._last_lap - previous) * 1e3, 3)

    def total(self) -> float:
        """Return the milliseconds since the start."""
        return round((time.perf_counter() - self._started) * 1e3, 3)
