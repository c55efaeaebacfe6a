"""The project's errors, in three families by who must act.

    SearchsvcError
    +-- InvalidInput          the caller must change the request (4xx)
    |   +-- NotFound          it names something that does not exist (404)
    |   |   +-- Gone          ... that existed and is no longer kept (410)
    |   +-- Conflict          it is based on an old state (409)
    |   +-- TooLarge          its body or batch is over the limit (413)
    |   +-- UnsupportedEncoding   its body is packed in a way that is not read (415)
    |   +-- Forbidden         a policy does not allow it (403)
    +-- Unavailable           the caller must retry later (503, with retry_after_s)
    |   +-- Overloaded        ... more slowly (429)
    |   +-- StorageFull       ... once there is room (507)
    +-- Corrupt               the operator must act: reading stops here, nothing is skipped
    +-- LaterVersion          the operator must upgrade: reading stops before this event

Adapters translate every foreign exception into one of these, so callers never name a client library.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final


class SearchsvcError(Exception):
    """Root of all errors that the project raises on purpose."""


class InvalidInput(SearchsvcError):
    """The caller sent something invalid.

    field: dotted path of the invalid member; '' for the whole input
    value: what was sent, shortened; None if absent
    limit: what would have been accepted, in words
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
    """What the caller named existed, but is older than what is kept."""


class Conflict(InvalidInput):
    """The caller expected another state.

    actual: the current version or sequence
    """

    def __init__(self, message: str, *, field: str, value: object, actual: int) -> None:
        super().__init__(message, field=field, value=value, limit=f"current is {actual}")
        self.actual = actual


class TooLarge(InvalidInput):
    """A body, line or batch is over its limit."""


class UnsupportedEncoding(InvalidInput):
    """A body is packed in a way that is not read."""


class Forbidden(InvalidInput):
    """A policy of the index does not allow this caller to do it now."""


class Unavailable(SearchsvcError):
    """A part cannot be reached, or the outcome is unknown: retry with the same event id after `retry_after_s`."""

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_s = retry_after_s


class Overloaded(Unavailable):
    """More arrives than can be processed. Nothing was stored."""


class StorageFull(Unavailable):
    """The disk, or a stream that refuses more than its limit, has no room. Nothing was stored."""


class Corrupt(SearchsvcError):
    """Stored bytes are missing or not what was stored. The operator must act; nothing is skipped."""


class LaterVersion(SearchsvcError):
    """Only a later version of this software can read an event. Nothing after it is applied."""


WITH_ZONE: Final = "a time with its zone, such as ...T00:00:00Z"


def require(holds: bool, field: str, value: object, limit: str) -> None:
    """Raise InvalidInput, naming field, value and limit, unless the condition holds."""
    if not holds:
        printed = f"{len(value)} characters long" if isinstance(value, str) and len(value) > 80 else repr(value)
        raise InvalidInput(f"{field} is {printed}; allowed: {limit}", field=field, value=value, limit=limit)


def _shorten(value: object, limit: int = 100) -> object:
    """Keep error answers small: cut long strings, and turn everything but plain scalars into text."""
    if value is None or isinstance(value, bool | int | float):
        return value if not isinstance(value, float) or (value == value and abs(value) != float("inf")) else str(value)
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= limit else text[:limit] + "…"


def require_window(
    since: datetime | None, until: datetime | None, *, names: tuple[str, str] = ("from", "until"), within: str = ""
) -> None:
    """Raise InvalidInput if a time has no zone, or `since` is not before `until`; None is no bound.

    names: names of the two in errors
    within: path before these names
    """
    for name, timestamp in zip(names, (since, until), strict=True):
        require(timestamp is None or timestamp.tzinfo is not None, within + name, str(timestamp), WITH_ZONE)
    if since is not None and until is not None:
        order = f"later than {names[0]}, {since.isoformat()}"
        require(since < until, within + names[1], until.isoformat(), order)
