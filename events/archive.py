"""Messages of the log as lines of NDJSON, to keep or move as a file. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from events.errors import Corrupt
from events.log import Record
from events.streams import StreamName


class ArchivedRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One message.

    chain: hash of CONTROL up to this message; '' in other streams
    data: its JSON, byte for byte
    """

    stream: StreamName
    seq: int
    timestamp: datetime
    subject: str
    msg_id: str
    chain: str
    data: msgspec.Raw


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(ArchivedRecord)


def archive_line(record: Record, chain: str = "") -> bytes:
    """Return the line of a message, with its newline. Raises Corrupt if its data is not one line of JSON."""
    if b"\n" in record.data:
        raise Corrupt(f"{record.stream} {record.seq} holds a line break, which none of our events does")
    raw = msgspec.Raw(record.data)
    archived = ArchivedRecord(record.stream, record.seq, record.timestamp, record.subject, record.msg_id, chain, raw)
    return _encoder.encode(archived) + b"\n"


def read_line(line: bytes) -> ArchivedRecord:
    """Return the message of a line. Raises Corrupt if `archive_line` did not write it."""
    try:
        return _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Corrupt(f"no archived message: {error}; the line begins {line[:80]!r}") from error
