"""The streams of the log: what each keeps, for how long, and how subjects are built.

Configuration lives here, in code, because a stream that lost its metadata is adopted again from it.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Final, Literal

import msgspec

from events.sizes import GIB, KIB, MIB

StreamName = Literal["CONTROL", "DRAFTS", "CATALOG", "BEHAVIOR", "SIGNALS", "INGEST", "DEAD"]

# Of the log as a whole, on disk and on a server: see docs/decisions/log-format.md.
FORMAT: Final = 1
# Name in a stream's metadata.
FORMAT_KEY: Final = "searchsvc-format"

DAY_S: Final = 86_400.0
MAX_SUBJECT_TOKEN_BYTES: Final = 128


class StreamSpec(msgspec.Struct, frozen=True):
    """How one stream stores.

    max_age_s: age at which messages are removed; 0 keeps them for ever
    compacted: only the newest message of a subject is kept
    append_only: neither messages nor the stream can be removed through the server
    atomic: takes all-or-nothing batches
    max_bytes: the server stores no more, with subjects and headers; 0 for no limit
    max_messages: the server stores no more; 0 for no limit
    refuses_when_full: whether a new message is refused at these limits; otherwise the oldest are removed
    """

    name: StreamName
    subjects: tuple[str, ...]
    max_age_s: float = 0.0
    compacted: bool = False
    append_only: bool = False
    atomic: bool = False
    max_message_bytes: int = 8 * MIB
    max_bytes: int = 0
    max_messages: int = 0
    refuses_when_full: bool = False

    def is_full(self, n_bytes: int, n_messages: int) -> bool:
        """Return whether a message of the largest size would go past a limit.

        n_bytes: stored now
        n_messages: stored now
        """
        has_bytes = not self.max_bytes or n_bytes + self.max_message_bytes <= self.max_bytes
        return not has_bytes or 0 < self.max_messages <= n_messages


STREAMS: Final[dict[StreamName, StreamSpec]] = {
    spec.name: spec
    for spec in (
        StreamSpec("CONTROL", ("control.>",), append_only=True),
        StreamSpec("DRAFTS", ("drafts.>",), compacted=True),
        StreamSpec("CATALOG", ("catalog.>",), compacted=True, atomic=True),
        StreamSpec("BEHAVIOR", ("behavior.>",), max_age_s=90 * DAY_S),
        StreamSpec("SIGNALS", ("signals.>",), compacted=True),
        # Others write it. A publisher is told that it is full, because what it was acknowledged must not be removed.
        StreamSpec(
            "INGEST",
            ("ingest.*",),
            max_age_s=4 * DAY_S,
            max_message_bytes=64 * KIB,
            max_bytes=GIB,
            max_messages=2_000_000,
            refuses_when_full=True,
        ),
        # Services make room before it is full, and count what they remove: see searchsvc/behavior/dead_store.py.
        StreamSpec("DEAD", ("dead.>",), max_age_s=30 * DAY_S, compacted=True, max_bytes=512 * MIB),
    )
}


def subject_token(text: str) -> str:
    """Return a NATS-safe token for a text: base64url without padding, or the hex SHA-256 if that exceeds 128 bytes."""
    encoded = base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()
    return encoded if len(encoded) <= MAX_SUBJECT_TOKEN_BYTES else hashlib.sha256(text.encode()).hexdigest()


def control_subject(index: str) -> str:
    return f"control.{index}"


# Of what replaces a lost message of CONTROL.
LOST_SUBJECT: Final = "control.lost"


def draft_subject(index: str, draft: str) -> str:
    """One subject a draft: only its newest form is kept."""
    return f"drafts.{index}.{subject_token(draft)}"


def drafts_filter(index: str) -> str:
    return f"drafts.{index}.*"


def catalog_subject(index: str, created_seq: int, document_id: str) -> str:
    """One subject a document. The CONTROL sequence that created the index is part of it, so an index that is deleted
    and created again under its old name starts empty, even while messages of the first are still stored."""
    return f"catalog.{index}.{created_seq}.{subject_token(document_id)}"


def catalog_filter(index: str, created_seq: int) -> str:
    return f"catalog.{index}.{created_seq}.*"


def signal_subject(index: str, created_seq: int, query: str, document_id: str) -> str:
    """One subject a document, as in CATALOG, or a query and a document: only the newest event of it is kept."""
    subject = f"signals.{index}.{created_seq}.{subject_token(document_id)}"
    return f"{subject}.{subject_token(query)}" if query else subject


def signals_filter(index: str, created_seq: int) -> str:
    return f"signals.{index}.{created_seq}.>"


def exploration_subject(index: str, created_seq: int) -> str:
    return f"signals.{index}.{created_seq}"


BEHAVIOR_SUBJECT: Final = "behavior.batch"


def ingest_subject(index: str) -> str:
    return f"ingest.{index}"


# Of the event that counts the dead letters that were removed.
DROPPED_SUBJECT: Final = "dead.dropped"


def dead_subject(source: str, event_id: str) -> str:
    """One subject a refused event, so that refusing it twice stores it once."""
    return f"dead.{source}.{subject_token(event_id)}"
