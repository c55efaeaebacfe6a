"""Bytes that cannot be decoded."""

from __future__ import annotations

import pytest

from events import codec
from events.errors import Corrupt


@pytest.mark.parametrize(
    "data", [b"", b"{", b'{"type":"Unheard of"}', b'{"type":"index_deleted.v1"}', b"\xff", b"[" * 5000]
)
def test_bytes_that_are_no_event_are_corrupt_and_never_skipped(data: bytes) -> None:
    with pytest.raises(Corrupt):
        codec.decode_control(data)
