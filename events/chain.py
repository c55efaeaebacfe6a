"""The hash chain over CONTROL: each link covers all messages before it. Pure.

A changed, missing or inserted message changes every later hash, so one hash kept elsewhere verifies the whole history
up to its sequence.
"""

from __future__ import annotations

import hashlib
from typing import Final

GENESIS: Final = "0" * 64


def link(previous: str, data: bytes) -> str:
    """Return hash_n = SHA-256(hash_{n-1} || data), in hex.

    previous: hash_{n-1}
    data: the bytes of the n-th message as they are stored
    """
    return hashlib.sha256(bytes.fromhex(previous) + data).hexdigest()
