"""Split NDJSON, or a JSON array, into accepted and refused documents. A bad line never stops the good ones. Pure."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterator
from typing import Final

import msgspec

from events.errors import InvalidInput
from events.settings import IndexSettings
from events.sizes import MIB
from searchsvc.engines import signals
from searchsvc.engines.attributes import attributes_of

MAX_DOCUMENT_BYTES: Final = MIB
MAX_ID_BYTES: Final = 512
# Of one document, those in objects and lists included: each may be filtered by, and is kept for as long as the index.
MAX_MEMBERS: Final = 10_000
# A document with that many members is at least this long.
_MANY_MEMBERS_BYTES: Final = 5 * MAX_MEMBERS
MAX_QUOTED_CHARS: Final = 80


class AcceptedDocument(msgspec.Struct, frozen=True):
    """A line that holds a document.

    line: its number in the body, from 1; of an array, its position in it, from 1.
    text: the line as received.
    members: the same, decoded.
    """

    line: int
    id: str
    text: bytes
    members: dict[str, object]


class RefusedDocument(msgspec.Struct, frozen=True):
    """A line that holds no document that can be taken.

    line: its number in the body, from 1.
    id: the document's id, if it could be read.
    """

    line: int
    reason: str
    id: str | None = None


_decoder: Final = msgspec.json.Decoder(dict[str, object])
_array_decoder: Final = msgspec.json.Decoder(list[msgspec.Raw])


def parse_documents(body: bytes) -> Iterator[AcceptedDocument | RefusedDocument]:
    """Yield one result for each line of NDJSON that is not blank, or for each item of a JSON array, in order.

    Some editors begin a file with a byte order mark, and files may be put together.
    """
    items = items_of_array(body)
    for number, line in enumerate(body.split(b"\n") if items is None else items, start=1):
        text = line.removeprefix(BOM_UTF8).strip()
        if text:
            yield parse_document(number, text)


def items_of_array(body: bytes) -> list[bytes] | None:
    """Return the items of a JSON array, each on one line; None if the bytes are no array."""
    text = body.removeprefix(BOM_UTF8)
    if not text.lstrip().startswith(b"["):
        return None
    try:
        return [msgspec.json.format(item, indent=-1) for item in _array_decoder.decode(text)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def check_signals(document: AcceptedDocument, settings: IndexSettings) -> RefusedDocument | None:
    """Return why an index with these settings cannot take a document; None if it can."""
    for signal in settings.signals:
        value = document.members.get(signal.field)
        expected = signals.mismatch(signal, value)
        if expected is not None:
            reason = f"{signal.field} is {_quoted(value)}; this index ranks by it, so it must be {expected} or absent"
            return RefusedDocument(document.line, reason, document.id)
    return None


def decode_members(text: bytes) -> dict[str, object]:
    """Decode a JSON object. Raises InvalidInput."""
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"not a JSON object: {error}", field="document") from error


def parse_document(number: int, text: bytes) -> AcceptedDocument | RefusedDocument:
    """Return what one line holds. number: of the line"""
    if len(text) > MAX_DOCUMENT_BYTES:
        return RefusedDocument(number, f"the document has {len(text)} bytes; allowed: {MAX_DOCUMENT_BYTES}")
    try:
        members = decode_members(text)
    except InvalidInput as error:
        return RefusedDocument(number, error.message)
    document_id = members.get("id")
    if not isinstance(document_id, str) or not document_id:
        return RefusedDocument(number, f"id is {_quoted(document_id)}; it must be a string that is not empty")
    n_bytes = len(document_id.encode())
    if n_bytes > MAX_ID_BYTES:
        return RefusedDocument(
            number, f"id has {n_bytes} bytes; allowed: {MAX_ID_BYTES}", document_id[:MAX_QUOTED_CHARS]
        )
    if len(text) >= _MANY_MEMBERS_BYTES:
        n_members = sum(1 for _ in attributes_of(members))
        if n_members > MAX_MEMBERS:
            return RefusedDocument(number, f"the document has {n_members} members; allowed: {MAX_MEMBERS}", document_id)
    return AcceptedDocument(number, document_id, text, members)


def _quoted(value: object) -> str:
    """Return a value as JSON, shortened; "missing" for None."""
    return "missing" if value is None else msgspec.json.encode(value).decode()[:MAX_QUOTED_CHARS]
