"""Snapshots of folds: a state at one sequence of a stream, under SHA-256, and what vouches for the stream up to there.

One file a snapshot: its parts one after the other, then a line of JSON that describes them, sealed. A snapshot in doubt
is no loss: it is discarded, and its fold starts from an older one or from the log.
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
from events.log import EventLog, Record
from events.streams import STREAMS, StreamName

KEPT: Final = 2
# A stream forgets by its server's clock, which may differ from ours.
CLOCK_SLACK_S: Final = 7200.0
SUFFIX: Final = ".snapshot"

log = logging.getLogger(__name__)


class Mark(msgspec.Struct, frozen=True, array_like=True):
    seq: int
    timestamp: datetime


class Checkpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a stream stood: when it was made, how many messages it held then, and the SHA-256 of the one at `seq`.

    count: 0 where it says nothing. digest: '' where there was no message. marks: messages and when they were stored,
    oldest first: what is younger than the stream's age limit has to be there.
    """

    stream: StreamName
    created: datetime
    seq: int
    digest: str
    count: int = 0
    marks: tuple[Mark, ...] = ()


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    size_bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """schema: of what the parts hold. seal: SHA-256 of the manifest itself, written without it."""

    schema: int
    checkpoint: Checkpoint
    parts: tuple[Part, ...]
    seal: str = ""

    def sealed(self) -> Manifest:
        bare = msgspec.structs.replace(self, seal="")
        return msgspec.structs.replace(bare, seal=hashlib.sha256(msgspec.json.encode(bare)).hexdigest())


class Snapshot(msgspec.Struct, frozen=True):
    checkpoint: Checkpoint
    parts: Mapping[str, bytes]


class Snapshots:
    """The newest few snapshots of one fold, in a folder of their own.

    schema: counts up whenever the parts change their meaning; snapshots of another one are discarded.
    """

    def __init__(self, folder: Path, schema: int) -> None:
        self.folder = folder
        self._schema = schema
        self._saving = threading.Lock()

    def save(self, checkpoint: Checkpoint, parts: Mapping[str, Iterable[bytes]]) -> Path:
        """Write one durably, then drop all but the newest few. Blocks; parts may be made while they are written."""
        # A save that was cancelled goes on in its thread: the next waits for it.
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
                    described.append(Part(name, size, digest.hexdigest()))
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
        """The newest that is whole; those in doubt are removed, and the log says why."""
        for path in self._paths():
            try:
                return self._read(path)
            except Corrupt as error:
                log.warning("%s; it is discarded", error)
                path.unlink()
        return None

    def checkpoint(self) -> Checkpoint | None:
        """That of the newest, which is left as it is. Raises Corrupt where it is in doubt."""
        paths = self._paths()
        return self._read(paths[0]).checkpoint if paths else None

    def _read(self, path: Path) -> Snapshot:
        content = path.read_bytes()
        body, _, line = content.rpartition(b"\n")
        try:
            manifest = msgspec.json.decode(line, type=Manifest)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Corrupt(f"{path} ends in no readable manifest: {error}") from error
        if manifest != manifest.sealed():
            raise Corrupt(f"{path}: its manifest is not what was sealed")
        if manifest.schema != self._schema:
            raise Corrupt(f"{path} has schema {manifest.schema}, not {self._schema}")
        parts, at = {}, 0
        for part in manifest.parts:
            piece = body[at : at + part.size_bytes]
            if hashlib.sha256(piece).hexdigest() != part.sha256:
                raise Corrupt(f"{path}: its part {part.name} is not what its manifest vouches for")
            parts[part.name] = piece
            at += part.size_bytes
        return Snapshot(manifest.checkpoint, parts)

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob(f"*{SUFFIX}"), reverse=True)


def digest(record: Record) -> str:
    """What a checkpoint keeps of a message."""
    return hashlib.sha256(record.data).hexdigest()


async def take_checkpoint(event_log: EventLog, stream: StreamName) -> Checkpoint:
    """Where a stream stands now. Raises Unavailable."""
    position = await event_log.position(stream)
    record = await event_log.get(stream, position.last_seq) if position.last_seq else None
    return Checkpoint(
        stream, position.created, position.last_seq, digest(record) if record is not None else "", position.count
    )


async def require_checkpoint(event_log: EventLog, checkpoint: Checkpoint, now: datetime) -> None:
    """Raise Corrupt, naming what is missing or changed, where a stream is not the one that was checkpointed.

    One that was made anew over the messages of the old, as after its metadata was lost, is the same.
    """
    stream = checkpoint.stream
    position = await event_log.position(stream)
    if position.last_seq < checkpoint.seq:
        anew = f" (made anew {position.created:%Y-%m-%d %H:%M:%S})" if position.created != checkpoint.created else ""
        raise Corrupt(
            f"{stream}{anew} ends at {position.last_seq}, but {checkpoint.seq} was read from it: "
            f"{position.last_seq + 1} to {checkpoint.seq} are missing"
        )
    compacted = STREAMS[stream].compacted
    if compacted and position.count < checkpoint.count:
        raise Corrupt(
            f"{stream} holds {position.count} messages, but it held {checkpoint.count} at {checkpoint.seq} and "
            f"replaces them one by one: at least {checkpoint.count - position.count} are missing"
        )
    record = await event_log.get(stream, checkpoint.seq) if checkpoint.seq else None
    if record is not None and digest(record) != checkpoint.digest:
        raise Corrupt(f"{stream} {checkpoint.seq} is another message than the one that was read")
    if compacted:
        return
    kept_since = now - timedelta(seconds=STREAMS[stream].max_age_s - CLOCK_SLACK_S)
    for mark in checkpoint.marks:
        if mark.timestamp > kept_since and position.first_seq > mark.seq:
            raise Corrupt(
                f"{stream} begins at {position.first_seq}, "
                f"but {mark.seq}, of {mark.timestamp:%Y-%m-%d %H:%M}, is too young "
                f"to have left: {mark.seq} to {position.first_seq - 1} are missing"
            )
    if record is None and checkpoint.seq >= position.first_seq:
        raise Corrupt(f"{stream} {checkpoint.seq} was read once and is missing")


def sync(path: Path) -> None:
    """Return once a file's content, or a folder's names, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
