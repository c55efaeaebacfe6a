"""Documents at the door: NDJSON to accepted documents and refusals. A bad line never stops the good ones. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from events.settings import IndexSettings
from searchsvc.engines import signals

MAX_DOCUMENT_BYTES: Final = 1024 * 1024
MAX_ID_BYTES: Final = 512


class AcceptedDocument(msgspec.Struct, frozen=True):
    """line: 1-based within the body. text: the line as received. members: the same, decoded."""

    line: int
    id: str
    text: bytes
    members: dict[str, object]


class RefusedDocument(msgspec.Struct, frozen=True):
    """line: 1-based within the body. id: where it could be read."""

    line: int
    reason: str
    id: str | None = None


_decoder: Final = msgspec.json.Decoder(dict[str, object])


def parse_documents(body: bytes) -> Iterator[AcceptedDocument | RefusedDocument]:
    """One result for each line of NDJSON that is not blank, in order."""
    for number, line in enumerate(body.split(b"\n"), start=1):
        text = line.strip()
        if text:
            yield _parse(number, text)


def refusal(document: AcceptedDocument, settings: IndexSettings) -> RefusedDocument | None:
    """Why an index with these settings cannot take a document; None where it can."""
    for signal in settings.signals:
        value = document.members.get(signal.field)
        wanted = signals.mismatch(signal, value)
        if wanted is not None:
            reason = f"{signal.field} is {_shown(value)}; this index ranks by it, so it has to be {wanted} or absent"
            return RefusedDocument(document.line, reason, document.id)
    return None


def _parse(number: int, text: bytes) -> AcceptedDocument | RefusedDocument:
    if len(text) > MAX_DOCUMENT_BYTES:
        return RefusedDocument(number, f"the document has {len(text)} bytes; allowed: {MAX_DOCUMENT_BYTES}")
    try:
        members = _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return RefusedDocument(number, f"no JSON object: {error}")
    document_id = members.get("id")
    if not isinstance(document_id, str) or not document_id:
        return RefusedDocument(number, f"id is {_shown(document_id)}; it has to be a string that is not empty")
    if len(document_id.encode()) > MAX_ID_BYTES:
        return RefusedDocument(
            number, f"id has {len(document_id.encode())} bytes; allowed: {MAX_ID_BYTES}", document_id[:80]
        )
    return AcceptedDocument(number, document_id, text, members)


def _shown(value: object) -> str:
    return "missing" if value is None else msgspec.json.encode(value).decode()[:80]
