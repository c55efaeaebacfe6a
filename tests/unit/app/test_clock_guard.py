"""A clock that is far ahead is asked about before anything acts on it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from events.errors import Corrupt
from searchsvc.app import clock_guard

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_new_folder_takes_any_time(tmp_path: Path) -> None:
    assert clock_guard.describe_clock_ahead(tmp_path, NOW) == ""
    assert clock_guard.describe_clock_behind(tmp_path, NOW) == ""


@pytest.mark.parametrize(
    ("days", "is_doubted", "lags"),
    [
        (0, False, False),
        (29, False, False),
        (31, True, False),
        (400, True, False),
        (-0.5, False, False),
        (-2, False, True),
    ],
)
def test_what_is_asked_about(tmp_path: Path, days: float, is_doubted: bool, lags: bool) -> None:
    clock_guard.record_use(tmp_path, NOW)
    later = NOW + timedelta(days=days)
    assert bool(clock_guard.describe_clock_ahead(tmp_path, later)) == is_doubted
    assert bool(clock_guard.describe_clock_behind(tmp_path, later)) == lags


def test_the_latest_time_counts_and_only_the_owner_reads_it(tmp_path: Path) -> None:
    clock_guard.record_use(tmp_path, NOW)
    clock_guard.record_use(tmp_path, NOW - timedelta(days=300))
    assert clock_guard.describe_clock_ahead(tmp_path, NOW + timedelta(days=1)) == ""
    clock_guard.record_use(tmp_path, NOW + timedelta(days=40))
    assert clock_guard.describe_clock_ahead(tmp_path, NOW + timedelta(days=41)) == ""
    assert (tmp_path / clock_guard.CLOCK_NAME).stat().st_mode & 0o777 == 0o600


def test_a_damaged_note_is_no_note(tmp_path: Path) -> None:
    (tmp_path / clock_guard.CLOCK_NAME).write_bytes(b"\0\0")
    assert clock_guard.describe_clock_ahead(tmp_path, NOW) == ""
    clock_guard.record_use(tmp_path, NOW)
    assert clock_guard.describe_clock_ahead(tmp_path, NOW + timedelta(days=31))


def test_a_clock_far_ahead_is_refused_and_not_recorded_until_it_is_accepted(tmp_path: Path) -> None:
    clock_guard.require_plausible(tmp_path, NOW, accept=False)
    later = NOW + timedelta(days=400)
    for _ in range(2):
        with pytest.raises(Corrupt, match="--accept-clock"):
            clock_guard.require_plausible(tmp_path, later, accept=False)
    clock_guard.require_plausible(tmp_path, later, accept=True)
    clock_guard.require_plausible(tmp_path, later, accept=False)
