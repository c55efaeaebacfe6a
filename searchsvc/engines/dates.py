"""Dates in documents, filters and signals: as seconds since 1970. Pure."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Final

DAY_S: Final = 86_400.0
_YEAR_DIGITS: Final = 4
_ISO: Final = re.compile(r"^\d{4}-\d{2}-\d{2}([Tt ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?([Zz]|[+-]\d{2}:?\d{2})?)?$")
_NUMERIC: Final = re.compile(r"^(\d{1,4})([./])(\d{1,2})\2(\d{1,4})$")


def epoch_seconds(text: str) -> float | None:
    """Parse a date, or a date with a time, such as 2020-01-31, 2020-01-31T08:00:00+01:00, 31.1.2020 or 1/31/2020.

    Without a zone it is UTC. Of a date with slashes, it must be plain which number is the month.

    Returns seconds since 1970, or None if the text is not a date.
    """
    if _ISO.fullmatch(text):
        try:
            moment = datetime.fromisoformat(text.replace("z", "Z"))
        except ValueError:
            return None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    numeric = _NUMERIC.fullmatch(text)
    if numeric is None:
        return None
    first, second, third = int(numeric[1]), int(numeric[3]), int(numeric[4])
    if len(numeric[1]) == _YEAR_DIGITS:
        days = {_day(first, second, third)}
    elif len(numeric[4]) != _YEAR_DIGITS:
        return None
    elif numeric[2] == ".":
        days = {_day(third, second, first)}
    else:
        days = {_day(third, second, first), _day(third, first, second)}
    days.discard(None)
    day = days.pop() if len(days) == 1 else None
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() if day is not None else None


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
