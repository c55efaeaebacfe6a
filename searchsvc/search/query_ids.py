"""Ids of rankings. Each contains its time, so that the log can be read from there."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Final

N_HEX: Final = 32
_RANDOM_BITS: Final = 80
_VERSION: Final = 7 << 76
_VARIANT: Final = 2 << 62
# The random bits that neither version nor variant take.
_FREE: Final = (1 << _RANDOM_BITS) - 1 - (15 << 76) - (3 << 62)


def new_query_id(now: datetime) -> str:
    """Return a new random id, 32 hexadecimal digits. Source: UUID version 7, RFC 9562, section 5.7."""
    ms = int(now.timestamp() * 1000)
    return f"{ms << _RANDOM_BITS | _VERSION | _VARIANT | secrets.randbits(_RANDOM_BITS) & _FREE:032x}"


def query_id_timestamp(query_id: str) -> datetime | None:
    """Return when an id was made, to the millisecond; None if it is not one of these ids."""
    if len(query_id) != N_HEX or not all(digit in "0123456789abcdef" for digit in query_id) or query_id[12] != "7":
        return None
    try:
        return datetime.fromtimestamp(int(query_id[:12], 16) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
