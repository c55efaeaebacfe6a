"""Follows BEHAVIOR in one pass, for the state that entry checks need and for the worker.

newest good snapshot, or nothing  ->  check that the log still holds it  ->  the log after it  ->  new messages
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
from events.log import EventLog, Record, StreamState
from events.snapshot import Checkpoint, Mark, Snapshots, digest, require_checkpoint
from events.streams import STREAMS
from events.types import BehaviorEvent, InteractionRecorded
from searchsvc.behavior.state import BehaviorState
from searchsvc.behavior.worker import Worker

SCHEMA: Final = 2
# Names of the snapshot's parts that are not the state's.
LEARNT: Final = "learnt"
UNFINISHED: Final = "unfinished"
RETRY_S: Final = 0.25
MAX_AGE: Final = timedelta(seconds=STREAMS["BEHAVIOR"].max_age_s)
MARK_EVERY: Final = timedelta(hours=6)
# A snapshot is due after this many new events, but at most every 30 s, and in any case every 300 s.
SAVE_AFTER_EVENTS: Final = 100_000
MIN_SAVE_INTERVAL_S: Final = 30.0
MAX_SAVE_INTERVAL_S: Final = 300.0

log = logging.getLogger(__name__)


class BehaviorFollower:
    """Keeps the state, and the worker if there is one, in step with BEHAVIOR. `run` goes on until it is cancelled.

    folder: for the snapshots.
    clock: a monotonic clock, in seconds.
    caught_up: set once every message that was in the log at the start is folded.
    """

    def __init__(
        self,
        event_log: EventLog,
        state: BehaviorState,
        worker: Worker | None,
        folder: Path,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = event_log
        self._state = state
        self._worker = worker
        self._snapshots = Snapshots(folder, SCHEMA)
        self._clock = clock
        self._restored: Checkpoint | None = None
        self._marks: deque[Mark] = deque()
        self._created = datetime.fromtimestamp(0, UTC)
        self._last: Record | None = None
        # Interactions handed to the worker by a call that has not returned yet.
        self._in_hand: list[InteractionRecorded] = []
        self._n_unsaved = 0
        self._saved_at = clock()
        self.caught_up = asyncio.Event()

    def restore(self) -> None:
        """Start from the newest good snapshot, if there is one. Blocks. Raises Corrupt."""
        snapshot = self._snapshots.newest()
        if snapshot is None:
            return
        try:
            self._state.restore(snapshot.parts, snapshot.checkpoint.seq)
            self._in_hand = _interactions_decoder.decode_lines(snapshot.parts[UNFINISHED])
            if self._worker is not None and self._worker.listener is not None and LEARNT in snapshot.parts:
                self._worker.listener.restore(snapshot.parts[LEARNT])
        except (KeyError, msgspec.DecodeError) as error:
            raise Corrupt(f"a snapshot in {self._snapshots.folder} has an unexpected format: {error}") from error
        self._restored = snapshot.checkpoint
        self._marks.extend(snapshot.checkpoint.marks)

    async def run(self) -> None:
        """Follow the log.

        Raises Corrupt, naming the loss, if messages are missing; LaterVersion before a message of a later version.
        """
        stream = await self._state_at_start()
        self._created = stream.created
        await self._hand_over(self._in_hand, self._state.seq)
        if stream.last_seq <= self._state.seq or not stream.count:
            self.caught_up.set()
        # Without a snapshot, no further back than the state can hold.
        after = self._state.seq or max(0, stream.last_seq - self._state.event_ids.size)
        async for record in self._log.follow("BEHAVIOR", after=after):
            await self._require_no_gap(record)
            try:
                await self._fold(record)
            except LaterVersion:
                # The snapshot ends before this message, so a later version goes on from there.
                self.caught_up.set()
                raise
            self._last = record
            if not self._marks or record.timestamp - self._marks[-1].timestamp > MARK_EVERY:
                self._mark(record)
            if record.seq >= stream.last_seq:
                self.caught_up.set()
            await asyncio.sleep(0)  # searches run between two messages
            if self._save_due:
                try:
                    await self.save()
                except OSError as error:
                    log.warning("no snapshot of BEHAVIOR could be written: %s", error)

    async def save(self) -> None:
        """Write a snapshot if anything is new since the last one."""
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
        """Note when a message was stored, and drop the marks of messages that may have left the stream by age."""
        self._marks.append(Mark(record.seq, record.timestamp))
        while record.timestamp - self._marks[0].timestamp > MAX_AGE:
            self._marks.popleft()

    def _parts(self) -> Mapping[str, Iterator[bytes]]:
        unfinished = self._worker.unfinished() if self._worker is not None else []
        return {**self._state.parts(), UNFINISHED: iter([_encoder.encode_lines([*self._in_hand, *unfinished])])}

    async def _state_at_start(self) -> StreamState:
        """Wait for the log, check it against the restored snapshot, and return its state. Raises Corrupt."""
        while True:
            try:
                if self._restored is not None:
                    await require_checkpoint(self._log, self._restored, datetime.now(UTC))
                stream = await self._log.stream_state("BEHAVIOR")
            except Unavailable:
                await asyncio.sleep(RETRY_S)
                continue
            n_missing = stream.last_seq - stream.first_seq + 1 - stream.count if stream.count else 0
            if n_missing:
                raise Corrupt(
                    f"BEHAVIOR holds {stream.count} messages between {stream.first_seq} and {stream.last_seq}: "
                    f"{n_missing} are missing"
                )
            return stream

    async def _require_no_gap(self, record: Record) -> None:
        """Raise Corrupt if messages before this one are missing. By age they leave the beginning of the stream only."""
        previous_seq = self._state.seq
        if record.seq > previous_seq + 1 and previous_seq:
            first_seq = (await self._log.stream_state("BEHAVIOR")).first_seq
            if first_seq < record.seq:
                raise Corrupt(f"BEHAVIOR {previous_seq + 1} to {record.seq - 1} are missing")

    async def _fold(self, record: Record) -> None:
        new_events = self._state.fold(decode_behavior(record.data).events, record.seq)
        self._n_unsaved += len(new_events)
        await self._hand_over(new_events, record.seq)

    async def _hand_over(self, events: Sequence[BehaviorEvent], seq: int) -> None:
        """Give events to the worker, again until the log answers it.

        Until it returns, a snapshot counts their interactions as unfinished, so that a stop does not lose them.
        """
        self._in_hand = [event for event in events if isinstance(event, InteractionRecorded)]
        while self._worker is not None:
            try:
                await self._worker.take(events, seq)
                break
            except Unavailable:
                # Joining an event twice changes nothing.
                await asyncio.sleep(RETRY_S)
        self._in_hand = []

    @property
    def _save_due(self) -> bool:
        age_s = self._clock() - self._saved_at
        return age_s > MAX_SAVE_INTERVAL_S or (self._n_unsaved >= SAVE_AFTER_EVENTS and age_s > MIN_SAVE_INTERVAL_S)


_encoder: Final = msgspec.json.Encoder()
_interactions_decoder: Final = msgspec.json.Decoder(InteractionRecorded)
