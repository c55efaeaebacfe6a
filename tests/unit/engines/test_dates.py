"""Dates as seconds since 1970."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from searchsvc.engines.dates import epoch_seconds


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2020-01-31", datetime(2020, 1, 31, tzinfo=UTC)),
        ("2020-01-31T08:00", datetime(2020, 1, 31, 8, tzinfo=UTC)),
        ("2020-01-31 08:00:30.5z", datetime(2020, 1, 31, 8, 0, 30, 500_000, tzinfo=UTC)),
        ("2020-01-01T01:00:00+01:00", datetime(2020, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_date_is_read_as_seconds_since_1970(text: str, moment: datetime) -> None:
    assert epoch_seconds(text) == moment.timestamp()


@pytest.mark.parametrize("text", ["2020-13-01", "2020", "20200101", "soon", "", "2020-01-01T25:00"])
def test_any_other_text_is_no_date(text: str) -> None:
    assert epoch_seconds(text) is None
