"""The error for a filter that cannot be parsed. Pure."""

from __future__ import annotations

from typing import Final

from events.errors import InvalidInput

MAX_DEPTH: Final = 20
_SHOWN_CHARS: Final = 90


def invalid(field: str, value: object, limit: str) -> InvalidInput:
    """Return the error for a value that a filter may not have.

    field: path of the value in the request
    limit: what is allowed
    """
    message = f"{field} is {str(value)[:_SHOWN_CHARS]!r}; allowed: {limit}"
    return InvalidInput(message, field=field, value=value, limit=limit)
