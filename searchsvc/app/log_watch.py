"""Vouches for the log beside a running service: what was in it once is in it still, and can be read.

A server may count messages that it cannot read any more, and says nothing of it; so everything is read once after a
start, slowly, in the background. What CATALOG held is noted now and then, for the next start to be held against.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from events.codec import decode_behavior, decode_catalog
from events.errors import Corrupt, Unavailable
from events.log import EventLog
from events.snapshot import Checkpoint, Snapshots, require_checkpoint, take_checkpoint
from events.streams import STREAMS, StreamName

SCHEMA: Final = 1
EVERY_S: Final = 10.0
RETRY_S: Final = 0.25
# So much is read, then so long waited: searches have the time in between.
STEP_MESSAGES: Final = 100
STEP_BYTES: Final = 250_000
STEP_PAUSE_S: Final = 0.1
log = logging.getLogger(__name__)

_READ: Final[tuple[tuple[StreamName, Callable[[bytes], object]], ...]] = (
    ("CATALOG", decode_catalog),
    ("BEHAVIOR", decode_behavior),
)


class LogWatch:
    """`run` goes on until it is cancelled. folder: for the checkpoints of CATALOG. begin: set once there is time.

    read_at: when everything had been read; None before.
    """

    def __init__(self, event_log: EventLog, folder: Path, begin: asyncio.Event) -> None:
        self._log = event_log
        self._begin = begin
        self._checkpoints = Snapshots(folder, SCHEMA)
        self._kept: Checkpoint | None = None
        self._vouched = False
        self.read_at: datetime | None = None

    async def run(self) -> None:
        """Raises Corrupt, saying what, where something is missing."""
        newest = await asyncio.to_thread(self._checkpoints.newest)
        self._kept = newest.checkpoint if newest is not None else None
        while self._kept is not None:
            try:
                await require_checkpoint(self._log, self._kept, datetime.now(UTC))
                break
            except Unavailable:
                await asyncio.sleep(RETRY_S)
        self._vouched = True
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep_checkpoints())
                tasks.create_task(self._read_through())
        except BaseExceptionGroup:
            self._vouched = False
            raise

    async def save(self) -> None:
        """Take a checkpoint where anything was written, in place of one that still holds. Never of a log in doubt: the
        next start has to find what this one found.

        Raises Corrupt where the last one does not hold any more. One that cannot be taken now waits for the next time.
        """
        if not self._vouched:
            return
        try:
            if self._kept is not None:
                await require_checkpoint(self._log, self._kept, datetime.now(UTC))
            now = await take_checkpoint(self._log, "CATALOG")
        except Unavailable:
            return
        if self._kept is None or now.seq != self._kept.seq:
            await asyncio.to_thread(self._checkpoints.save, now, {})
            self._kept = now

    async def _keep_checkpoints(self) -> None:
        while True:
            try:
                await self.save()
            except OSError as error:
                log.warning("no checkpoint of CATALOG could be written: %s", error)
            await asyncio.sleep(EVERY_S)

    async def _read_through(self) -> None:
        """Every message of CATALOG and BEHAVIOR once; those of CONTROL were read before anything was served."""
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
        previous = n_messages = n_bytes = 0
        async for record in self._log.read(stream):
            if previous and record.seq != previous + 1 and not STREAMS[stream].compacted:
                raise Corrupt(f"{stream} {previous + 1} to {record.seq - 1} are missing")
            previous = record.seq
            decode(record.data)
            n_messages, n_bytes = n_messages + 1, n_bytes + len(record.data)
            if n_messages >= STEP_MESSAGES or n_bytes >= STEP_BYTES:
                n_messages = n_bytes = 0
                await asyncio.sleep(STEP_PAUSE_S)
