"""Checks, while the service runs, that the log still holds what it once held, and that it can be read.

A server may count messages that it can no longer read, without reporting it. So after a start everything is read once,
slowly, in the background. Checkpoints of CATALOG and DRAFTS are saved now and then, for the next start to compare with.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from events.codec import decode_behavior, decode_catalog
from events.errors import Corrupt, LaterVersion, Unavailable
from events.index_lives import IndexLives
from events.log import EventLog
from events.snapshot import Checkpoint, Snapshots, require_checkpoint, take_checkpoint
from events.streams import STREAMS, StreamName
from events.tasks import run_together

SCHEMA: Final = 1
# Streams, with the folders of their checkpoints in the data folder. The follower of BEHAVIOR has checkpoints, too, but
# of what it has read: the stream may hold more.
WATCHED: Final[dict[StreamName, str]] = {
    "CATALOG": "catalog",
    "DRAFTS": "drafts",
    "BEHAVIOR": "recorded",
}
CHECKPOINT_EVERY_S: Final = 10.0
RETRY_S: Final = 0.25
# After this much the reading pauses, so that it does not slow searches down.
STEP_MESSAGES: Final = 100
STEP_BYTES: Final = 250_000
STEP_PAUSE_S: Final = 0.1

log = logging.getLogger(__name__)

# CONTROL is read before anything is served.
_READ: Final[tuple[tuple[StreamName, Callable[[bytes], object]], ...]] = (
    ("CATALOG", decode_catalog),
    ("BEHAVIOR", decode_behavior),
)


class LogWatch:
    """Compares the log with the checkpoints of earlier starts, and reads it through once.

    data: the data folder, which has a folder of checkpoints for each watched stream
    begin: set once there is time to read
    read_at: when everything had been read; None before
    """

    def __init__(self, event_log: EventLog, data: Path, begin: asyncio.Event) -> None:
        self._log = event_log
        self._begin = begin
        self._snapshots = {stream: Snapshots(data / folder, SCHEMA) for stream, folder in WATCHED.items()}
        self._checkpoints: dict[StreamName, Checkpoint] = {}
        # Whether no loss is known: only then may a checkpoint be saved, else the next start would not find the loss.
        self._is_whole = False
        self._lives = IndexLives()
        self.read_at: datetime | None = None

    async def run(self) -> None:
        """Watch until cancelled. Raises Corrupt, naming what is missing."""
        await self._compare_with_last_start()
        self._is_whole = True
        try:
            await run_together(self._save_checkpoints(), self._read_through())
        except Exception:
            self._is_whole = False
            raise

    async def save(self) -> None:
        """Save a checkpoint of each stream to which anything was written since the last one, if no loss is known.

        Does nothing while the log is away.

        Raises Corrupt if the log lacks what the last checkpoint names.
        """
        if not self._is_whole:
            return
        for stream, snapshots in self._snapshots.items():
            last = self._checkpoints.get(stream)
            try:
                if last is not None:
                    await require_checkpoint(self._log, last, datetime.now(UTC))
                await self._lives.update(self._log)
                checkpoint = await take_checkpoint(self._log, stream, self._lives)
            except (Unavailable, LaterVersion):
                return
            if checkpoint != last:
                await asyncio.to_thread(snapshots.save, checkpoint, {})
                self._checkpoints[stream] = checkpoint

    async def _compare_with_last_start(self) -> None:
        for stream, snapshots in self._snapshots.items():
            newest = await asyncio.to_thread(snapshots.newest)
            if newest is not None:
                self._checkpoints[stream] = newest.checkpoint
                await self._require(newest.checkpoint)

    async def _require(self, checkpoint: Checkpoint) -> None:
        while True:
            try:
                await require_checkpoint(self._log, checkpoint, datetime.now(UTC))
                return
            except LaterVersion:
                return  # it is compared again when the next one is due
            except Unavailable:
                await asyncio.sleep(RETRY_S)

    async def _save_checkpoints(self) -> None:
        while True:
            try:
                await self.save()
            except OSError as error:
                log.warning("no checkpoint could be written: %s", error)
            await asyncio.sleep(CHECKPOINT_EVERY_S)

    async def _read_through(self) -> None:
        """Read every message of CATALOG and BEHAVIOR once."""
        await self._begin.wait()
        for stream, decode in _READ:
            while True:
                try:
                    await self._read(stream, decode)
                    break
                except Unavailable:
                    await asyncio.sleep(RETRY_S)
        self.read_at = datetime.now(UTC)

    async def _read(self, stream: StreamName, decode: Callable[[bytes], object]) -> None:
        previous_seq = n_messages = n_bytes = 0
        async for record in self._log.read(stream):
            if previous_seq and record.seq != previous_seq + 1 and not STREAMS[stream].compacted:
                raise Corrupt(f"{stream} {previous_seq + 1} to {record.seq - 1} are missing")
            previous_seq = record.seq
            decode(record.data)
            n_messages, n_bytes = n_messages + 1, n_bytes + len(record.data)
            if n_messages >= STEP_MESSAGES or n_bytes >= STEP_BYTES:
                n_messages = n_bytes = 0
                await asyncio.sleep(STEP_PAUSE_S)
