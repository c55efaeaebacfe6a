"""Check interactions on entry: one shape and one set of checks for HTTP and NATS. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

import msgspec

from events.errors import InvalidInput, require
from events.settings import INDEX_NAME
from events.types import InteractionRecorded, InteractionType
from searchsvc.behavior.recent_rankings import RecentRankings
from searchsvc.runtime.limits import MAX_TOKEN_CHARS

MAX_BATCH: Final = 1000
MAX_ID_CHARS: Final = 128
MAX_DOCUMENT_ID_BYTES: Final = 512
MAX_AGE: Final = timedelta(days=4)
MAX_AHEAD: Final = timedelta(hours=1)
_IDS: Final = f"1 to {MAX_ID_CHARS} characters, or absent"
_DOCUMENT_IDS: Final = f"1 to {MAX_DOCUMENT_ID_BYTES} bytes"
_TOKENS: Final = f"at most {MAX_TOKEN_CHARS} characters"


OnError = Literal["refuse", "skip"]


class EventInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One event as sent.

    id: chosen by the sender, so that a retry counts once; made by the service if absent.
    timestamp: RFC 3339; the time of receipt if absent.
    value: money, grade or dwell time, depending on `type`; for feedback from -1 (the document does not belong there)
        to 1 (it does).
    internal: it is no shopper's, but a test: it is checked and answered as others, and not stored.
    """

    type: InteractionType
    document_id: str
    index: str = ""
    id: str | None = None
    query_id: str | None = None
    rank: int | None = None
    user_token: str = ""
    timestamp: datetime | None = None
    value: float | None = None
    internal: bool = False


class EventsInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A batch of events as sent.

    on_error: whether one wrong event refuses all, or only itself.
    """

    events: list[EventInput]
    on_error: OnError = "refuse"


class UncheckedEvents(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The same, with events that may not even be decodable."""

    events: list[msgspec.Raw]
    on_error: OnError = "refuse"


class RefusedEvent(msgspec.Struct, frozen=True):
    """An event of a batch that was not taken.

    position: of the event in the batch, from 0.
    field: member that is wrong.
    """

    position: int
    field: str
    message: str


def check_interaction(
    event: EventInput,
    *,
    index: str,
    now: datetime,
    source: str,
    default_id: str,
    rankings: RecentRankings,
    pseudonym: Callable[[str], str],
) -> InteractionRecorded:
    """Check an event and return the interaction to record.

    index: the index it counts for.
    now: when it was received.
    source: the way it came, such as http or nats.
    default_id: its id if the sender gave none.
    rankings: an event must not contradict the ranking it names, if that is here.
    pseudonym: returns what the log calls the user of a token.
    Raises InvalidInput naming the first member that is wrong.
    """
    _check_members(event, index)
    timestamp = now if event.timestamp is None else _checked_time(event.timestamp, now)
    if event.query_id is not None:
        contradiction = rankings.contradiction(event.query_id, index, event.document_id, event.rank)
        if contradiction is not None:
            field, reason = contradiction
            value = getattr(event, field) or index
            raise InvalidInput(reason, field=field, value=value, limit="what the ranking showed")
    return InteractionRecorded(
        id=event.id or default_id,
        kind=event.type,
        index=index,
        document_id=event.document_id,
        query_id=event.query_id,
        rank=event.rank,
        user=pseudonym(event.user_token),
        timestamp=timestamp,
        received_at=now,
        value=event.value,
        source=source,
    )


def _check_members(event: EventInput, index: str) -> None:
    """Check what can be checked of each member by itself. Raises InvalidInput."""
    require(INDEX_NAME.fullmatch(index) is not None, "index", index, "the name of an index")
    require(event.id is None or 0 < len(event.id) <= MAX_ID_CHARS, "id", event.id, _IDS)
    require(event.query_id is None or 0 < len(event.query_id) <= MAX_ID_CHARS, "query_id", event.query_id, _IDS)
    n_bytes = len(event.document_id.encode())
    require(0 < n_bytes <= MAX_DOCUMENT_ID_BYTES, "document_id", event.document_id, _DOCUMENT_IDS)
    require(event.rank is None or event.rank >= 1, "rank", event.rank, "1 or more, or absent")
    require(len(event.user_token) <= MAX_TOKEN_CHARS, "user_token", event.user_token, _TOKENS)
    require(event.value is None or math.isfinite(event.value), "value", event.value, "a finite number, or absent")
    if event.type == "feedback":
        in_range = event.value is not None and -1.0 <= event.value <= 1.0
        limit = "for feedback, from -1 (it does not belong there) to 1 (it does)"
        require(in_range, "value", event.value, limit)


def _checked_time(timestamp: datetime, now: datetime) -> datetime:
    """Return a time in UTC. Raises InvalidInput if it is too old, too far ahead, or without a zone."""
    require(timestamp.tzinfo is not None, "timestamp", str(timestamp), "RFC 3339 with a time zone")
    utc = timestamp.astimezone(UTC)
    limit = f"from {MAX_AGE.days} days ago to one hour ahead of {now.isoformat(timespec='seconds')}"
    require(now - MAX_AGE <= utc <= now + MAX_AHEAD, "timestamp", utc.isoformat(), limit)
    return utc
