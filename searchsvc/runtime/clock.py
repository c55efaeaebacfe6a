"""The time of day, as a function that tests replace."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

# Returns the current time with its zone.
Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)
