"""Snapshots of folds, and checkpoints that tell whether a stream has lost anything.

A snapshot is one file: its parts one after another, then one line of JSON, the manifest, with the SHA-256 of each part
and of itself. A damaged snapshot is no loss: it is discarded, and the fold starts from an older one or from the log.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from events.errors import Corrupt
from events.index_lives import IndexLives
from events.log import EventLog, Record
from events.streams import STREAMS, StreamName

KEPT: Final = 2
# A stream drops old messages by its server's clock, which may differ from ours.
CLOCK_SLACK_S: Final = 7200.0
SUFFIX: Final = ".snapshot"

log = logging.getLogger(__name__)


class Mark(msgspec.Struct, frozen=True, array_like=True):
    seq: int
    timestamp: datetime


class Checkpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The state of a stream at a sequence, to notice later what it has lost.

    created: when the stream was created
    digest: SHA-256 of the message at `seq`; '' for an empty stream
    count: messages stored then; 0 for unknown
    counts: of them, those of each index, by subject: once an index is deleted, its messages may leave. Unset where an
        earlier version did not count
    marks: sequences with the times when they were stored, oldest first; a message younger than the stream's age limit
        must still be there
    """

    stream: StreamName
    created: datetime
    seq: int
    digest: str
    count: int = 0
    marks: tuple[Mark, ...] = ()
    counts: dict[str, int] | msgspec.UnsetType = msgspec.UNSET


class SnapshotPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    size_bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The last line of a snapshot file.

    schema: version of the content of the parts
    seal: SHA-256 of the manifest without this member
    """

    schema: int
    checkpoint: Checkpoint
    parts: tuple[SnapshotPart, ...]
    seal: str = ""

    def sealed(self) -> Manifest:
        bare = msgspec.structs.replace(self, seal="")
        return msgspec.structs.replace(bare, seal=hashlib.sha256(msgspec.json.encode(bare)).hexdigest())


class Snapshot(msgspec.Struct, frozen=True):
    checkpoint: Checkpoint
    parts: Mapping[str, bytes]


class Snapshots:
    """The newest snapshots of one fold, in a folder of their own.

    schema: raised whenever the content of the parts changes; snapshots with another schema are discarded
    """

    def __init__(self, folder: Path, schema: int) -> None:
        self.folder = folder
        self._schema = schema
        self._saving = threading.Lock()

    def save(self, checkpoint: Checkpoint, parts: Mapping[str, Iterable[bytes]]) -> Path:
        """Write a snapshot durably, then delete all but the newest few. Blocks."""
        # A cancelled save continues in its thread: wait for it.
        with self._saving:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            path = self.folder / f"{checkpoint.seq:020d}{SUFFIX}"
            partial = path.with_suffix(".partial")
            described = []
            with partial.open("wb") as output:
                for name, pieces in parts.items():
                    digest, size = hashlib.sha256(), 0
                    for piece in pieces:
                        digest.update(piece)
                        size += output.write(piece)
                    described.append(SnapshotPart(name, size, digest.hexdigest()))
                manifest = Manifest(self._schema, checkpoint, tuple(described)).sealed()
                output.write(b"\n" + msgspec.json.encode(manifest))
                output.flush()
                os.fsync(output.fileno())
            partial.rename(path)
            sync(self.folder)
            for old in self._paths()[KEPT:]:
                old.unlink()
            return path

    def newest(self) -> Snapshot | None:
        """Return the newest intact snapshot. Damaged ones are deleted, with a warning."""
        for path in self._paths():
            try:
                return self._read(path)
            except Corrupt as error:
                log.warning("%s; it is discarded", error)
                path.unlink()
        return None

    def checkpoint(self) -> Checkpoint | None:
        """Return the checkpoint of the newest snapshot. Raises Corrupt if it is damaged."""
        paths = self._paths()
        return self._read(paths[0]).checkpoint if paths else None

    def _read(self, path: Path) -> Snapshot:
        content = path.read_bytes()
        body, _, line = content.rpartition(b"\n")
        try:
            manifest = msgspec.json.decode(line, type=Manifest)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Corrupt(f"{path} does not end with a readable manifest: {error}") from error
        if manifest != manifest.sealed():
            raise Corrupt(f"{path}: its manifest was changed")
        if manifest.schema != self._schema:
            raise Corrupt(f"{path} has schema {manifest.schema}, not {self._schema}")
        parts, offset = {}, 0
        for part in manifest.parts:
            piece = body[offset : offset + part.size_bytes]
            if hashlib.sha256(piece).hexdigest() != part.sha256:
                raise Corrupt(f"{path}: its part {part.name} does not have the SHA-256 of its manifest")
            parts[part.name] = piece
            offset += part.size_bytes
        return Snapshot(manifest.checkpoint, parts)

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob(f"*{SUFFIX}"), reverse=True)


def digest(record: Record) -> str:
    """Return the SHA-256 of a message, as a checkpoint stores it."""
    return hashlib.sha256(record.data).hexdigest()


async def take_checkpoint(event_log: EventLog, stream: StreamName, lives: IndexLives) -> Checkpoint:
    """Return a checkpoint of a stream as it is now. Raises Unavailable.

    lives: of all indexes
    """
    subjects = [life.catalog_subject for life in (*lives.existing, *lives.deleted)] if stream == "CATALOG" else []
    # What changes meanwhile may hide a loss of as many messages, but nothing whole is taken for lost.
    n_before = (await event_log.stream_state(stream)).count
    counts = await event_log.counts(stream, subjects)
    state = await event_log.stream_state(stream)
    record = await event_log.get(stream, state.last_seq) if state.last_seq else None
    return Checkpoint(
        stream,
        state.created,
        state.last_seq,
        digest(record) if record is not None else "",
        min(n_before, state.count),
        counts=counts,
    )


async def require_checkpoint(event_log: EventLog, checkpoint: Checkpoint, now: datetime) -> None:
    """Raise Corrupt, naming what is missing or changed, if a stream does not continue a checkpoint.

    A stream that was created again over its old messages, as after a loss of its metadata, does continue it.
    """
    stream = checkpoint.stream
    state = await event_log.stream_state(stream)
    if state.last_seq < checkpoint.seq:
        recreated = f" (created again {state.created:%Y-%m-%d %H:%M:%S})" if state.created != checkpoint.created else ""
        raise Corrupt(
            f"{stream}{recreated} ends at {state.last_seq}, but {checkpoint.seq} was read from it: "
            f"{state.last_seq + 1} to {checkpoint.seq} are missing"
        )
    compacted = STREAMS[stream].compacted
    if compacted and state.count < checkpoint.count:
        n_missing = checkpoint.count - state.count - await _n_removed(event_log, checkpoint)
        if n_missing > 0:
            raise Corrupt(
                f"{stream} holds {state.count} messages, but it held {checkpoint.count} at {checkpoint.seq}, and "
                f"a message only ever replaces one or is of a deleted index: at least {n_missing} are missing"
            )
    record = await event_log.get(stream, checkpoint.seq) if checkpoint.seq else None
    if record is not None and digest(record) != checkpoint.digest:
        raise Corrupt(f"{stream} {checkpoint.seq} is not the message that was read before")
    if compacted:
        return
    kept_since = now - timedelta(seconds=STREAMS[stream].max_age_s - CLOCK_SLACK_S)
    for mark in checkpoint.marks:
        if mark.timestamp > kept_since and state.first_seq > mark.seq:
            raise Corrupt(
                f"{stream} begins at {state.first_seq}, "
                f"but {mark.seq}, of {mark.timestamp:%Y-%m-%d %H:%M}, is too young "
                f"to have left: {mark.seq} to {state.first_seq - 1} are missing"
            )
    if record is None and checkpoint.seq and checkpoint.seq >= state.first_seq:
        raise Corrupt(f"{stream} {checkpoint.seq} was read before and is missing")


async def _n_removed(event_log: EventLog, checkpoint: Checkpoint) -> int:
    """Return how many messages have left a stream since a checkpoint because their index was deleted.

    All of them, if indexes were deleted and an earlier version did not count their messages.
    """
    lives = IndexLives()
    await lives.update(event_log)
    if isinstance(checkpoint.counts, msgspec.UnsetType):
        return checkpoint.count if lives.deleted else 0
    counted = {subject: n for life in lives.deleted if (n := checkpoint.counts.get(subject := life.catalog_subject))}
    stored = await event_log.counts(checkpoint.stream, list(counted))
    return sum(max(n - stored.get(subject, 0), 0) for subject, n in counted.items())


def sync(path: Path) -> None:
    """Block until a file's content, or a folder's entries, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
