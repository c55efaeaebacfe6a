"""Bytes of the log to events and back. JSON, so that any NATS tool can read what is stored.

The tag (`type`) carries the version: a new shape of an event gets a new tag and an upcaster here, never a new meaning.
"""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from events.errors import Corrupt
from events.types import BehaviorBatch, CatalogEvent, ControlEvent, EventRefused

_encoder: Final = msgspec.json.Encoder()
_control: Final[msgspec.json.Decoder[ControlEvent]] = msgspec.json.Decoder(ControlEvent)
_catalog: Final[msgspec.json.Decoder[CatalogEvent]] = msgspec.json.Decoder(CatalogEvent)
_behavior: Final = msgspec.json.Decoder(BehaviorBatch)
_refused: Final = msgspec.json.Decoder(EventRefused)

T = TypeVar("T")
StoredEvent = ControlEvent | CatalogEvent | BehaviorBatch | EventRefused


def encode(event: StoredEvent) -> bytes:
    """The bytes to append. Deterministic for equal events: members stand in declaration order."""
    return _encoder.encode(event)


def decode_control(data: bytes) -> ControlEvent:
    """Raises Corrupt where the bytes are no known CONTROL event."""
    return _decode(_control, data, "CONTROL")


def decode_catalog(data: bytes) -> CatalogEvent:
    """Raises Corrupt where the bytes are no known CATALOG event."""
    return _decode(_catalog, data, "CATALOG")


def decode_behavior(data: bytes) -> BehaviorBatch:
    """Raises Corrupt where the bytes are no known BEHAVIOR message."""
    return _decode(_behavior, data, "BEHAVIOR")


def decode_refused(data: bytes) -> EventRefused:
    """Raises Corrupt where the bytes are no known DEAD event."""
    return _decode(_refused, data, "DEAD")


def _decode(decoder: msgspec.json.Decoder[T], data: bytes, stream: str) -> T:
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Corrupt(f"{stream} holds bytes that are no event: {error}; first bytes {data[:80]!r}") from error
