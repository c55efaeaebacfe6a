"""The project's errors, in three families by who must act.

    SearchsvcError
    +-- InvalidInput          the caller sends something else (4xx)
    |   +-- NotFound          the thing named does not exist (404)
    |   |   +-- Gone          any more (410)
    |   +-- Conflict          the caller's expectation is stale (409)
    |   +-- TooLarge          the body or batch is over its limit (413)
    |   +-- Forbidden         a policy does not allow it (403)
    +-- Unavailable           try again later (503, with retry_after_s)
    |   +-- Overloaded        more slowly (429)
    |   +-- StorageFull       once there is room on the disk (507)
    +-- Corrupt               the operator: stop, never skip
    +-- LaterVersion          the operator: upgrade; stop before it, never skip

Adapters translate every foreign exception into one of these, so callers never name a client library.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final


class SearchsvcError(Exception):
    """The root, so that a shell can catch all that the project raises on purpose."""


class InvalidInput(SearchsvcError):
    """Something the caller sent is refused. Carries where, what and the limit as fields.

    field: dotted path of the offending member, '' for the whole input.
    value: what was sent, shortened; None where absent.
    limit: what would have been accepted, in words.
    """

    def __init__(self, message: str, *, field: str = "", value: object = None, limit: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.value = _shorten(value)
        self.limit = limit


class NotFound(InvalidInput):
    """The index, document or version named does not exist."""


class Gone(NotFound):
    """The thing named was there, and is past the age up to which it is kept."""


class Conflict(InvalidInput):
    """The caller expected another state. `actual` is the current version or sequence."""

    def __init__(self, message: str, *, field: str, value: object, actual: int) -> None:
        super().__init__(message, field=field, value=value, limit=f"current is {actual}")
        self.actual = actual


class TooLarge(InvalidInput):
    """A body, line or batch is over its limit."""


class Forbidden(InvalidInput):
    """A policy of the index does not let this caller do it now."""


class Unavailable(SearchsvcError):
    """The outcome is unknown or the part is away: retry, with the same event id, after `retry_after_s` seconds."""

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_s = retry_after_s


class Overloaded(Unavailable):
    """More comes than can be taken. Nothing was stored."""


class StorageFull(Unavailable):
    """There is no room to write. Nothing was stored."""


class Corrupt(SearchsvcError):
    """Stored bytes contradict what was promised. The operator must look; nothing is skipped."""


class LaterVersion(SearchsvcError):
    """An event that only a later version of this software can read. Nothing after it is applied until there is one."""


WITH_ZONE: Final = "a time with its zone, such as ...T00:00:00Z"


def require(holds: bool, field: str, value: object, limit: str) -> None:
    """Raise InvalidInput naming field, value and limit unless the condition holds."""
    if not holds:
        shown = f"{len(value)} characters long" if isinstance(value, str) and len(value) > 80 else repr(value)
        raise InvalidInput(f"{field} is {shown}; allowed: {limit}", field=field, value=value, limit=limit)


def _shorten(value: object, limit: int = 100) -> object:
    """Keep error answers small: a long string is cut, anything else that is not a plain scalar is shown as text."""
    if value is None or isinstance(value, bool | int | float):
        return value if not isinstance(value, float) or (value == value and abs(value) != float("inf")) else str(value)
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= limit else text[:limit] + "…"


def require_window(
    since: datetime | None, until: datetime | None, *, names: tuple[str, str] = ("from", "until"), within: str = ""
) -> None:
    """Raise InvalidInput where a time has no zone, or the first is not before the second; None is no bound.

    names: what errors call them. within: the path before that.
    """
    for name, at in zip(names, (since, until), strict=True):
        require(at is None or at.tzinfo is not None, within + name, str(at), WITH_ZONE)
    if since is not None and until is not None:
        order = f"later than {names[0]}, {since.isoformat()}"
        require(since < until, within + names[1], until.isoformat(), order)
