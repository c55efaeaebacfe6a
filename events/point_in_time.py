"""A point in the history of CONTROL, as requests and options name it: a sequence or a time. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from events.errors import InvalidInput, require

MAX_SEQ_DIGITS: Final = 18
LIMIT: Final = "a CONTROL sequence from 1, or a time with its zone, such as 2026-11-27T00:00:00Z"


def parse_point_in_time(value: int | str, field: str) -> int | datetime:
    """Return a CONTROL sequence as an int, or a time as a datetime with its zone.

    value: a sequence, as a number or as decimal digits, or an RFC 3339 time.
    field: name of the member in error messages.
    Raises InvalidInput if it is neither.
    """
    if isinstance(value, str) and not (value.isdecimal() and len(value) <= MAX_SEQ_DIGITS):
        # In a link, a plus that is not written as %2B arrives as a space.
        timestamp = _parse_time(value) or _parse_time(value.replace(" ", "+"))
        if timestamp is None or timestamp.tzinfo is None:
            raise InvalidInput(f"{field} is {value[:80]!r}; allowed: {LIMIT}", field=field, value=value, limit=LIMIT)
        return timestamp
    require(int(value) >= 1, field, value, LIMIT)
    return int(value)


def _parse_time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
