"""Sequences and times that name a point in CONTROL's history."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from events.errors import InvalidInput
from events.point_in_time import parse_point_in_time


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (7, 7),
        ("7", 7),
        ("2026-11-27T00:00:00Z", datetime(2026, 11, 27, tzinfo=UTC)),
        ("2026-11-27T00:00:00+01:00", datetime(2026, 11, 27, tzinfo=timezone(timedelta(hours=1)))),
        ("2026-11-27T00:00:00 01:00", datetime(2026, 11, 27, tzinfo=timezone(timedelta(hours=1)))),
    ],
    ids=["number", "digits", "UTC", "zone", "a plus that a link turned into a space"],
)
def test_a_sequence_or_a_time_is_parsed(value: int | str, expected: int | datetime) -> None:
    assert parse_point_in_time(value, "as_of") == expected


@pytest.mark.parametrize("value", [0, -1, "0", "", "soon", "2026-11-27T00:00:00", "9" * 19])
def test_anything_else_is_refused_by_the_name_of_its_field(value: int | str) -> None:
    with pytest.raises(InvalidInput, match="as_of") as refused:
        parse_point_in_time(value, "as_of")
    assert refused.value.field == "as_of"
