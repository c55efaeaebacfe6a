"""The manifest of a snapshot on disk: what the snapshot contains, and a SHA-256 of each file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import msgspec

from events.errors import Corrupt
from events.settings import IndexSettings
from events.sizes import MIB
from events.snapshot import sync

# Of the layout of a snapshot, and of which words a text has. A snapshot of another schema is not opened: the index is
# rebuilt from CATALOG.
SCHEMA: Final = 14
MANIFEST: Final = "manifest.json"


class Manifest(msgspec.Struct, frozen=True):
    """What a snapshot contains.

    schema: of its layout
    model: digest of the model that made the vectors
    documents_bytes: how much of the document file belongs to it
    documents_sha256: of that part
    files: SHA-256 by file name
    seal: SHA-256 of the manifest without this field
    """

    schema: int
    generation: str
    catalog_seq: int
    settings: IndexSettings
    model: str
    dimension: int
    documents_bytes: int
    documents_sha256: str
    files: dict[str, str]
    seal: str = ""

    def sealed(self) -> Manifest:
        """Return the manifest with its seal."""
        bare = msgspec.structs.replace(self, seal="")
        return msgspec.structs.replace(bare, seal=hashlib.sha256(msgspec.json.encode(bare)).hexdigest())

    def write(self, snapshot: Path) -> None:
        """Write the sealed manifest to a snapshot's folder, and both to disk."""
        content = msgspec.json.format(msgspec.json.encode(self.sealed()), indent=1)
        (snapshot / MANIFEST).write_bytes(content)
        sync(snapshot / MANIFEST)
        sync(snapshot)


def read_manifest(snapshot: Path) -> Manifest:
    """Raises Corrupt if the manifest is not readable or its seal does not fit."""
    try:
        manifest = msgspec.json.decode((snapshot / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise Corrupt(f"{snapshot / MANIFEST} is not readable: {error}") from error
    if manifest.schema == SCHEMA and manifest != manifest.sealed():
        raise Corrupt(f"{snapshot / MANIFEST} does not match its seal")
    return manifest


def require_unchanged(path: Path, expected: str, size_bytes: int | None = None) -> None:
    """Raise Corrupt if a file, or its first size_bytes, does not have the expected SHA-256."""
    try:
        actual = sha256(path, size_bytes)
    except OSError as error:
        raise Corrupt(f"{path} is missing: {error}") from error
    if actual != expected:
        raise Corrupt(f"{path} does not match its manifest: SHA-256 {actual[:12]}…, not {expected[:12]}…")


def sha256(path: Path, size_bytes: int | None = None) -> str:
    """Return the SHA-256 of a file, or of its first size_bytes."""
    with path.open("rb") as file:
        if size_bytes is None:
            return hashlib.file_digest(file, "sha256").hexdigest()
        digest = hashlib.sha256()
        while size_bytes > 0 and (part := file.read(min(size_bytes, MIB))):
            digest.update(part)
            size_bytes -= len(part)
        return digest.hexdigest()
