"""The hash chain over CONTROL: each link covers all that came before it. Pure.

A log that was cut, changed or spliced gives another hash from there on, so one hash kept elsewhere vouches for the
whole history up to its sequence.
"""

from __future__ import annotations

import hashlib
from typing import Final

GENESIS: Final = "0" * 64


def link(previous: str, data: bytes) -> str:
    """hash_n = SHA-256(hash_{n-1} || data), in hex. data: the bytes of the n-th message as they are stored."""
    return hashlib.sha256(bytes.fromhex(previous) + data).hexdigest()
