"""Bytes of the log to events and back. JSON, so that any NATS tool can read what is stored.

The tag (`type`) carries the version. A new shape of an event gets a new tag, never a new meaning. An event with an
unknown tag was written by a later version: it is skipped if it says `"skippable": true`; otherwise reading stops
before it.
"""

from __future__ import annotations

import re
from typing import Any, Final, TypeVar

import msgspec

from events.errors import Corrupt, LaterVersion
from events.streams import StreamName
from events.types import (
    BehaviorBatch,
    BehaviorEvent,
    CatalogEvent,
    ControlEvent,
    DeadEvent,
    DraftEvent,
    SignalEvent,
    Skipped,
)


class _RawBatch(msgspec.Struct, tag="behavior_batch.v1"):
    events: list[msgspec.Raw]


class _Peek(msgspec.Struct):
    type: str = ""
    skippable: bool = False


T = TypeVar("T")
StoredEvent = ControlEvent | DraftEvent | CatalogEvent | BehaviorBatch | SignalEvent | DeadEvent

_encoder: Final = msgspec.json.Encoder()
_control: Final[msgspec.json.Decoder[ControlEvent]] = msgspec.json.Decoder(ControlEvent)
_draft: Final[msgspec.json.Decoder[DraftEvent]] = msgspec.json.Decoder(DraftEvent)
_catalog: Final[msgspec.json.Decoder[CatalogEvent]] = msgspec.json.Decoder(CatalogEvent)
_batch: Final = msgspec.json.Decoder(BehaviorBatch)
_raw_batch: Final = msgspec.json.Decoder(_RawBatch)
_behavior: Final[msgspec.json.Decoder[BehaviorEvent]] = msgspec.json.Decoder(BehaviorEvent)
_dead: Final[msgspec.json.Decoder[DeadEvent]] = msgspec.json.Decoder(DeadEvent)
_signal: Final = msgspec.json.Decoder(SignalEvent)
_peek: Final = msgspec.json.Decoder(_Peek)

_TAG: Final = re.compile(r"[a-z_]+\.v[0-9]+")


def encode(event: StoredEvent) -> bytes:
    """Return the bytes to append. Deterministic for equal events: members stand in declaration order."""
    return _encoder.encode(event)


def decode_control(data: bytes) -> ControlEvent | Skipped:
    """Decode a CONTROL event. Raises Corrupt if the bytes are not one, and LaterVersion."""
    return _decode(_control, ControlEvent, data, "CONTROL")


def decode_draft(data: bytes) -> DraftEvent | Skipped:
    """Decode a DRAFTS event. Raises Corrupt if the bytes are not one, and LaterVersion."""
    return _decode(_draft, DraftEvent, data, "DRAFTS")


def decode_catalog(data: bytes) -> CatalogEvent | Skipped:
    """Decode a CATALOG event. Raises Corrupt if the bytes are not one, and LaterVersion."""
    return _decode(_catalog, CatalogEvent, data, "CATALOG")


def decode_behavior(data: bytes) -> BehaviorBatch:
    """Decode a batch; the events that may be skipped are left out.

    Raises Corrupt if the bytes are not a BEHAVIOR message, and LaterVersion.
    """
    try:
        return _batch.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return BehaviorBatch(events=_one_by_one(data))


def decode_behavior_event(data: bytes) -> BehaviorEvent | Skipped:
    """Decode a single BEHAVIOR event. Raises Corrupt if the bytes are not one, and LaterVersion."""
    return _decode(_behavior, BehaviorEvent, data, "BEHAVIOR")


def decode_signal(data: bytes) -> SignalEvent | Skipped:
    """Decode a SIGNALS event. Raises Corrupt if the bytes are not one, and LaterVersion."""
    return _decode(_signal, SignalEvent, data, "SIGNALS")


def decode_dead(data: bytes) -> DeadEvent | Skipped:
    """Decode a DEAD event. Raises Corrupt if the bytes are not one, and LaterVersion."""
    return _decode(_dead, DeadEvent, data, "DEAD")


def _one_by_one(data: bytes) -> list[BehaviorEvent]:
    batch = _decode(_raw_batch, _RawBatch, data, "BEHAVIOR")
    if isinstance(batch, Skipped):
        return []
    events: list[BehaviorEvent] = []
    for raw in batch.events:
        event = decode_behavior_event(bytes(raw))
        if not isinstance(event, Skipped):
            events.append(event)
    return events


def _decode(decoder: msgspec.json.Decoder[T], kind: Any, data: bytes, stream: StreamName) -> T | Skipped:
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        try:
            peeked = _peek.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            peeked = _Peek()
        if not _TAG.fullmatch(peeked.type) or peeked.type in _tags(kind):
            raise Corrupt(f"{stream} holds bytes that are no event: {error}; first bytes {data[:80]!r}") from error
        if peeked.skippable:
            return Skipped(peeked.type)
        needed = f"{stream} holds {peeked.type}, which a later version wrote: this one has to be upgraded"
        raise LaterVersion(needed) from None


def _tags(kind: Any) -> set[str]:
    """Return the tags of a tagged type, or of a union of them."""
    info = msgspec.inspect.type_info(kind)
    kinds = info.types if isinstance(info, msgspec.inspect.UnionType) else (info,)
    return {str(kind_info.tag) for kind_info in kinds if isinstance(kind_info, msgspec.inspect.StructType)}
