"""The stopwatch of a search."""

from __future__ import annotations

import time

import pytest

from searchsvc.runtime.stopwatch import Laps


def test_laps_add_up_to_the_total() -> None:
    started = time.perf_counter() - 1.0
    laps = Laps(started)
    parts = [laps.lap() for _ in range(3)]
    assert parts[0] >= 1000.0
    assert all(part >= 0.0 for part in parts)
    assert laps.total() >= sum(parts) - 0.01


def test_a_stopwatch_without_a_start_starts_now() -> None:
    before = time.perf_counter()
    laps = Laps(None)
    total_ms = laps.total()
    assert 0.0 <= total_ms <= (time.perf_counter() - before) * 1e3 + 0.01
    assert laps.lap() == pytest.approx(total_ms, abs=1e3)
