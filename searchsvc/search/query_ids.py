"""Names of rankings. Each says when it was made, so that the log can be asked for it by time. Pure."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Final

N_HEX: Final = 32
_RANDOM_BITS: Final = 80
_VERSION: Final = 7 << 76
_VARIANT: Final = 2 << 62
_FREE: Final = (1 << _RANDOM_BITS) - 1 - (15 << 76) - (3 << 62)


def new_query_id(now: datetime) -> str:
    """A new one, in 32 hex digits. Source: UUID version 7, RFC 9562, section 5.7."""
    ms = int(now.timestamp() * 1000)
    return f"{ms << _RANDOM_BITS | _VERSION | _VARIANT | secrets.randbits(_RANDOM_BITS) & _FREE:032x}"


def query_id_timestamp(name: str) -> datetime | None:
    """When a ranking was made, to the millisecond; None where its name does not say."""
    if len(name) != N_HEX or not all(digit in "0123456789abcdef" for digit in name) or name[12] != "7":
        return None
    try:
        return datetime.fromtimestamp(int(name[:12], 16) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
