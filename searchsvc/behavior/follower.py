"""Follows BEHAVIOR: what the door has to know and what the worker learns from, folded in one pass.

newest good snapshot, or nothing  ->  the stream is the one it was taken of  ->  the log after it  ->  whatever comes
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from events.codec import decode_behavior
from events.errors import Corrupt, LaterVersion, Unavailable
from events.log import EventLog, Position, Record
from events.snapshot import Checkpoint, Mark, Snapshots, digest, require_checkpoint
from events.streams import STREAMS
from events.types import BehaviorEvent, InteractionRecorded
from searchsvc.behavior.state import BehaviorState
from searchsvc.behavior.worker import Worker

SCHEMA: Final = 1
LEARNT: Final = "learnt"
RETRY_S: Final = 0.25
MAX_AGE: Final = timedelta(seconds=STREAMS["BEHAVIOR"].max_age_s)
MARK_EVERY: Final = timedelta(hours=6)
# A snapshot is taken after so many events, but not more often than this, and of a few events not less often than that.
SAVE_AFTER_EVENTS: Final = 100_000
SAVE_AT_MOST_EVERY_S: Final = 30.0
SAVE_AT_LEAST_EVERY_S: Final = 300.0

log = logging.getLogger(__name__)


class BehaviorFollower:
    """Keeps `memory`, and the worker where there is one, in step with BEHAVIOR. `run` goes on until it is cancelled.

    folder: for its snapshots. caught_up: set once everything that was in the log at the start is folded.
    """

    def __init__(
        self,
        event_log: EventLog,
        memory: BehaviorState,
        worker: Worker | None,
        folder: Path,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = event_log
        self._memory = memory
        self._worker = worker
        self._snapshots = Snapshots(folder, SCHEMA)
        self._clock = clock
        self._restored: Checkpoint | None = None
        self._marks: deque[Mark] = deque()
        self._created = datetime.fromtimestamp(0, UTC)
        self._last: Record | None = None
        self._unfinished: list[InteractionRecorded] = []
        self._n_unsaved = 0
        self._saved_at = clock()
        self.caught_up = asyncio.Event()

    def restore(self) -> None:
        """Start from the newest good snapshot. Blocks."""
        snapshot = self._snapshots.newest()
        if snapshot is None:
            return
        try:
            self._memory.restore(snapshot.parts, snapshot.checkpoint.seq)
            self._unfinished = _interactions.decode_lines(snapshot.parts["unfinished"])
            if self._worker is not None and self._worker.listener is not None and LEARNT in snapshot.parts:
                self._worker.listener.restore(snapshot.parts[LEARNT])
        except (KeyError, msgspec.DecodeError) as error:
            raise Corrupt(f"a snapshot in {self._snapshots.folder} is whole but of no known shape: {error}") from error
        self._restored = snapshot.checkpoint
        self._marks.extend(snapshot.checkpoint.marks)

    async def run(self) -> None:
        """Raises Corrupt, naming it, where something that was in the log is not there any more, and LaterVersion."""
        position = await self._begin()
        self._created = position.created
        await self._hand_over(self._unfinished, self._memory.seq)
        if position.last_seq <= self._memory.seq or not position.count:
            self.caught_up.set()
        # Without a snapshot, no further back than what could be remembered.
        first = self._memory.seq or max(0, position.last_seq - self._memory.event_ids.size)
        async for record in self._log.follow("BEHAVIOR", after=first):
            await self._require_no_gap(record)
            try:
                await self._fold(record)
            except LaterVersion:
                # As far as this version can come. The snapshot ends before it, so a later version goes on from there.
                self.caught_up.set()
                raise
            self._last = record
            if not self._marks or record.timestamp - self._marks[-1].timestamp > MARK_EVERY:
                self._mark(record)
            if record.seq >= position.last_seq:
                self.caught_up.set()
            await asyncio.sleep(0)  # searches go between two messages
            if self._due:
                try:
                    await self.save()
                except OSError as error:
                    log.warning("no snapshot of BEHAVIOR could be written: %s", error)

    async def save(self) -> None:
        """Write a snapshot, where there is anything new."""
        last = self._last
        if not self._n_unsaved or last is None:
            return
        self._n_unsaved, self._saved_at = 0, self._clock()
        checkpoint = Checkpoint("BEHAVIOR", self._created, last.seq, digest(last), marks=tuple(self._marks))
        parts = self._parts()
        if self._worker is not None and self._worker.listener is not None:
            parts = {**parts, LEARNT: iter([await self._worker.listener.state_parts()])}
        await asyncio.to_thread(self._snapshots.save, checkpoint, parts)

    def _mark(self, record: Record) -> None:
        """Note when a message was stored, and forget those that may have left by now."""
        self._marks.append(Mark(record.seq, record.timestamp))
        while record.timestamp - self._marks[0].timestamp > MAX_AGE:
            self._marks.popleft()

    def _parts(self) -> Mapping[str, Iterator[bytes]]:
        waiting = self._worker.unfinished() if self._worker is not None else []
        return {**self._memory.parts(), "unfinished": iter([_encoder.encode_lines([*self._unfinished, *waiting])])}

    async def _begin(self) -> Position:
        """Where the stream stands, once the log is there and vouched for."""
        while True:
            try:
                if self._restored is not None:
                    await require_checkpoint(self._log, self._restored, datetime.now(UTC))
                position = await self._log.position("BEHAVIOR")
            except Unavailable:
                await asyncio.sleep(RETRY_S)
                continue
            n_missing = position.last_seq - position.first_seq + 1 - position.count if position.count else 0
            if n_missing:
                raise Corrupt(
                    f"BEHAVIOR holds {position.count} messages between {position.first_seq} and {position.last_seq}: "
                    f"{n_missing} are missing"
                )
            return position

    async def _require_no_gap(self, record: Record) -> None:
        """Messages leave BEHAVIOR by age only, and so only from its beginning."""
        before = self._memory.seq
        if record.seq > before + 1 and before:
            first = (await self._log.position("BEHAVIOR")).first_seq
            if first < record.seq:
                raise Corrupt(f"BEHAVIOR {before + 1} to {record.seq - 1} are missing")

    async def _fold(self, record: Record) -> None:
        new = self._memory.fold(decode_behavior(record.data).events, record.seq)
        self._n_unsaved += len(new)
        await self._hand_over(new, record.seq)

    async def _hand_over(self, events: Sequence[BehaviorEvent], seq: int) -> None:
        """Until it returns, what is handed over counts as unfinished: a stop on the way must not lose it."""
        self._unfinished = [event for event in events if isinstance(event, InteractionRecorded)]
        while self._worker is not None:
            try:
                await self._worker.take(events, seq)
                break
            except Unavailable:
                # Joining twice changes nothing.
                await asyncio.sleep(RETRY_S)
        self._unfinished = []
        return

    @property
    def _due(self) -> bool:
        age_s = self._clock() - self._saved_at
        return age_s > SAVE_AT_LEAST_EVERY_S or (self._n_unsaved >= SAVE_AFTER_EVENTS and age_s > SAVE_AT_MOST_EVERY_S)


_encoder: Final = msgspec.json.Encoder()
_interactions: Final = msgspec.json.Decoder(InteractionRecorded)
