"""The ids of the newest interactions in the log, so that each interaction counts once. Pure."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator
from typing import Final

DIGEST_BYTES: Final = 16
BLOCK_IDS: Final = 4096


class StoredEventIds:
    """At least the newest `size` ids.

    An id is held as a digest of 16 bytes and takes about 120 bytes in all. Digests are dropped a block at a time,
    oldest block first.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._digests: set[bytes] = set()
        self._full_blocks: deque[bytes] = deque()
        self._newest_block = bytearray()

    def __len__(self) -> int:
        return len(self._digests)

    def __contains__(self, event_id: str) -> bool:
        return _digest(event_id) in self._digests

    def add(self, event_id: str) -> bool:
        """Add an id and return whether it is new."""
        digest = _digest(event_id)
        if digest in self._digests:
            return False
        self._add_digest(digest)
        return True

    def blocks(self) -> list[bytes]:
        """Return all digests, concatenated into blocks, oldest first."""
        return [*self._full_blocks, bytes(self._newest_block)]

    def restore(self, digests: bytes) -> None:
        """Add the concatenated `blocks` of another instance."""
        for digest in _split(digests):
            self._add_digest(digest)

    def _add_digest(self, digest: bytes) -> None:
        self._digests.add(digest)
        self._newest_block += digest
        if len(self._newest_block) == BLOCK_IDS * DIGEST_BYTES:
            self._full_blocks.append(bytes(self._newest_block))
            self._newest_block.clear()
            if (len(self._full_blocks) - 1) * BLOCK_IDS >= self.size:
                self._digests.difference_update(_split(self._full_blocks.popleft()))


def _digest(event_id: str) -> bytes:
    return hashlib.blake2b(event_id.encode(), digest_size=DIGEST_BYTES).digest()


def _split(block: bytes) -> Iterator[bytes]:
    return (block[start : start + DIGEST_BYTES] for start in range(0, len(block), DIGEST_BYTES))
