"""Interactions at the door: one shape for HTTP and NATS, checked the same way. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

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


class EventInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One event as sent. id: chosen by the sender, so that a retry counts once; made where absent.

    timestamp: RFC 3339, by default the time of receipt. value: money, grade or dwell, by type; feedback has one, from
    -1 (the document does not belong there) to 1 (it does).
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


class EventsInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    events: list[EventInput]


def interaction(
    event: EventInput,
    *,
    index: str,
    now: datetime,
    source: str,
    default_id: str,
    rankings: RecentRankings,
    pseudonym: Callable[[str], str],
) -> InteractionRecorded:
    """The event to record. Raises InvalidInput naming the first member that cannot be right.

    index: the one it counts for. rankings: a ranking known here must have shown the document. pseudonym: what the log
    calls the user of a token.
    """
    require(INDEX_NAME.fullmatch(index) is not None, "index", index, "the name of an index")
    require(event.id is None or 0 < len(event.id) <= MAX_ID_CHARS, "id", event.id, _IDS)
    require(event.query_id is None or 0 < len(event.query_id) <= MAX_ID_CHARS, "query_id", event.query_id, _IDS)
    n_bytes = len(event.document_id.encode())
    require(0 < n_bytes <= MAX_DOCUMENT_ID_BYTES, "document_id", event.document_id, _DOCUMENT_IDS)
    require(event.rank is None or event.rank >= 1, "rank", event.rank, "1 or more, or absent")
    require(len(event.user_token) <= MAX_TOKEN_CHARS, "user_token", event.user_token, _TOKENS)
    require(event.value is None or math.isfinite(event.value), "value", event.value, "a finite number, or absent")
    if event.type == "feedback":
        graded = event.value is not None and -1.0 <= event.value <= 1.0
        require(graded, "value", event.value, "of feedback, from -1 (it does not belong there) to 1 (it does)")
    at = now if event.timestamp is None else _checked_time(event.timestamp, now)
    if event.query_id is not None:
        wrong = rankings.contradiction(event.query_id, index, event.document_id, event.rank)
        if wrong is not None:
            field, reason = wrong
            raise InvalidInput(
                reason, field=field, value=getattr(event, field) or index, limit="what the ranking showed"
            )
    return InteractionRecorded(
        id=event.id or default_id,
        kind=event.type,
        index=index,
        document_id=event.document_id,
        query_id=event.query_id,
        rank=event.rank,
        user=pseudonym(event.user_token),
        timestamp=at,
        received_at=now,
        value=event.value,
        source=source,
    )


def _checked_time(timestamp: datetime, now: datetime) -> datetime:
    """In UTC. Raises InvalidInput where it is too old, too far ahead, or without a zone."""
    require(timestamp.tzinfo is not None, "timestamp", str(timestamp), "RFC 3339 with a time zone")
    at = timestamp.astimezone(UTC)
    allowed = f"from {MAX_AGE.days} days ago to one hour ahead of {now.isoformat(timespec='seconds')}"
    require(now - MAX_AGE <= at <= now + MAX_AHEAD, "timestamp", at.isoformat(), allowed)
    return at
