"""Dates in documents, filters and signals: as seconds since 1970. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

DAY_S: Final = 86_400.0
_DATE: Final = re.compile(r"^\d{4}-\d{2}-\d{2}([Tt ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?([Zz]|[+-]\d{2}:?\d{2})?)?$")


def epoch_seconds(text: str) -> float | None:
    """Parse a date, or a date with a time, such as 2020-01-31 or 2020-01-31T08:00:00+01:00.

    Without a zone it is UTC.

    Returns seconds since 1970, or None if the text is not a date.
    """
    if not _DATE.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text.replace("z", "Z"))
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
