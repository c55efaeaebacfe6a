"""A digest of a set of documents, and the hash of all state that the log can rebuild. Pure.

The sum of SHA-256 values (mod 2^256) changes with every document and does not depend on their order, so an index
updates it by adding and subtracting. It detects accidents, not forgery.
Source: Bellare & Micciancio, EUROCRYPT 1997 (AdHash).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

import msgspec

from events.control import ControlState, control_hash
from events.types import CatalogEvent, DocumentDeleted, DocumentUpserted, Skipped

MODULUS: Final = 1 << 256


class DocumentsDigest(msgspec.Struct, frozen=True):
    """Digest of a set of documents.

    sha256_sum: sum of the SHA-256 of their JSON texts as stored, in hex
    """

    count: int = 0
    sha256_sum: str = "0" * 64

    def changed(self, added: list[bytes], removed: list[bytes]) -> DocumentsDigest:
        """Return the digest after adding and removing texts."""
        total = int(self.sha256_sum, 16) + sum(map(text_hash, added)) - sum(map(text_hash, removed))
        return DocumentsDigest(self.count + len(added) - len(removed), f"{total % MODULUS:064x}")


class CatalogFold:
    """The documents of each index, folded from CATALOG."""

    def __init__(self) -> None:
        self._hashes: dict[str, dict[str, int]] = {}
        self._subjects: set[str] = set()

    def knows(self, subject: str) -> bool:
        """Return whether a message of this subject was applied, an upsert or a deletion."""
        return subject in self._subjects

    def apply(self, subject: str, event: CatalogEvent | Skipped) -> None:
        self._subjects.add(subject)
        documents = self._hashes.setdefault(subject.rpartition(".")[0], {})
        if isinstance(event, DocumentUpserted):
            documents[event.id] = text_hash(bytes(event.document))
        elif isinstance(event, DocumentDeleted):
            documents.pop(event.id, None)

    def documents(self, index: str, created_seq: int) -> Mapping[str, int]:
        """Return document id -> `text_hash` for the index created at that CONTROL sequence."""
        return self._hashes.get(f"catalog.{index}.{created_seq}", {})

    def digest(self, index: str, created_seq: int) -> DocumentsDigest:
        hashes = self.documents(index, created_seq)
        return DocumentsDigest(len(hashes), f"{sum(hashes.values()) % MODULUS:064x}")


def text_hash(text: bytes) -> int:
    return int.from_bytes(hashlib.sha256(text).digest())


def state_hash(control: ControlState, documents: Mapping[str, DocumentsDigest]) -> str:
    """Return the SHA-256, in hex, over CONTROL's state and every index's documents: all that a full replay rebuilds."""
    covered = {name: documents[name] for name in sorted(control.indexes)}
    return hashlib.sha256(control_hash(control).encode() + msgspec.json.encode(covered)).hexdigest()
