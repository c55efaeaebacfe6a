"""Stores dead letters, and removes the oldest once they take too much. What is removed is counted in DEAD itself.

The count and the last sequence to remove are stored before the removal. So a service that stops in between neither
loses a count nor counts twice: the next one removes what was counted.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final, NamedTuple

from events.codec import decode_dead, encode
from events.errors import Conflict, SearchsvcError
from events.log import Entry, EventLog, Record
from events.sizes import MIB
from events.streams import DROPPED_SUBJECT, dead_subject
from events.types import DeadLettersDropped, EventRefused, EventReplayed

# Less than the stream's limit, at which the server silently removes the oldest: the gap holds what other services store
# while one of them removes messages.
MAX_BYTES: Final = 384 * MIB
# Share of `MAX_BYTES` that is freed each time.
REMOVED_SHARE: Final = 1 / 8
LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)
NOTHING_DROPPED: Final = DeadLettersDropped(n_dropped=0, through_seq=0, through_timestamp=LONG_AGO, timestamp=LONG_AGO)

log = logging.getLogger(__name__)


class _DropCount(NamedTuple):
    """What was removed so far. seq: of the message that holds this count; 0 for none"""

    dropped: DeadLettersDropped
    seq: int


class DeadStore:
    """The stream DEAD, as one service writes it.

    max_bytes: size past which the oldest dead letters are removed
    """

    def __init__(self, event_log: EventLog, *, max_bytes: int = MAX_BYTES) -> None:
        self._log = event_log
        self._max_bytes = max_bytes
        self._making_room = asyncio.Lock()

    async def refuse(self, refused: EventRefused) -> None:
        """Store a refused event, once however often it is refused. Raises Unavailable."""
        await self._make_room()
        subject, msg_id = dead_subject(refused.source, refused.id), f"dead-{refused.source}-{refused.id}"
        with suppress(Conflict):
            await self._log.append("DEAD", Entry(subject, encode(refused), msg_id, expected_subject_seq=0))

    async def replay(self, refused: EventRefused, new_id: str) -> None:
        """Replace a dead letter by the record of its replay. Raises Unavailable."""
        replayed = EventReplayed(id=refused.id, timestamp=datetime.now(UTC), source=refused.source, new_id=new_id)
        await self._log.append("DEAD", Entry(dead_subject(refused.source, refused.id), encode(replayed)))

    async def dropped(self) -> DeadLettersDropped:
        """Return the total of what was removed to make room; nothing if that was longer ago than DEAD's age limit.

        Raises Unavailable.
        """
        return (await self._stored()).dropped

    async def _make_room(self) -> None:
        """Remove the oldest dead letters if all of them take too much. Raises Unavailable."""
        async with self._making_room:
            stream_state = await self._log.stream_state("DEAD")
            if stream_state.size_bytes <= self._max_bytes:
                return
            stored = await self._stored()
            first = await self._log.get("DEAD", stream_state.first_seq)
            if first is not None and _was_counted(first, stored.dropped):
                await self._log.purge("DEAD", through=stored.dropped.through_seq)
                stream_state = await self._log.stream_state("DEAD")
            if stream_state.size_bytes > self._max_bytes:
                to_free = stream_state.size_bytes - self._max_bytes * (1 - REMOVED_SHARE)
                await self._drop(to_free, stored)

    async def _drop(self, to_free: float, stored: _DropCount) -> None:
        """Remove so many bytes of the oldest messages, and count those that are dead letters. Raises Unavailable."""
        n_bytes, n_dropped, last = 0, 0, None
        async for record in self._log.read("DEAD"):
            if n_bytes >= to_free:
                break
            n_bytes, last = n_bytes + len(record.subject) + len(record.data), record
            n_dropped += _is_letter(record.data)
        if last is None:
            return
        dropped = DeadLettersDropped(
            n_dropped=stored.dropped.n_dropped + n_dropped,
            through_seq=last.seq,
            through_timestamp=last.timestamp,
            timestamp=datetime.now(UTC),
        )
        try:
            await self._log.append("DEAD", Entry(DROPPED_SUBJECT, encode(dropped), expected_subject_seq=stored.seq))
        except Conflict:
            return  # another service makes room
        await self._log.purge("DEAD", through=last.seq)
        log.warning("DEAD takes more than %d bytes: its %d oldest letters were removed", self._max_bytes, n_dropped)

    async def _stored(self) -> _DropCount:
        record = (await self._log.last("DEAD", [DROPPED_SUBJECT])).get(DROPPED_SUBJECT)
        event = decode_dead(record.data) if record is not None else None
        if record is None or not isinstance(event, DeadLettersDropped):
            return _DropCount(NOTHING_DROPPED, record.seq if record is not None else 0)
        return _DropCount(event, record.seq)


def _was_counted(record: Record, dropped: DeadLettersDropped) -> bool:
    """Return whether a message was counted. Its time is compared too: an import renumbers messages."""
    return record.seq <= dropped.through_seq and record.timestamp <= dropped.through_timestamp


def _is_letter(data: bytes) -> bool:
    """Return whether a message is a dead letter. One that cannot be read counts as one."""
    try:
        return isinstance(decode_dead(data), EventRefused)
    except SearchsvcError:
        return True
