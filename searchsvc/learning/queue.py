"""The queue of events that wait to be learnt from."""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple, TypeAlias

from events.types import RankingShown
from tuning.clicks.join import Clickthrough

MAX_WAITING: Final = 5_000

LearningEvent: TypeAlias = RankingShown | Clickthrough


class QueuedEvent(NamedTuple):
    """An event, and the sequence of its message in BEHAVIOR."""

    seq: int
    event: LearningEvent


class EventQueue:
    """Events in log order. Used on the event loop.

    newest_seq: message of BEHAVIOR up to which events were handed over, or are being handed over.
    """

    def __init__(self) -> None:
        self.newest_seq = 0
        self._events: list[QueuedEvent] = []
        self._room = asyncio.Event()
        # The newest message, and the ids of its rankings.
        self._message: tuple[int, set[str]] = (-1, set())
        self._closed = False

    def note_position(self, seq: int) -> None:
        """Note that the events of message `seq` follow, and that all earlier ones were handed over."""
        self.newest_seq = max(self.newest_seq, seq)

    def put(self, event: LearningEvent, seq: int) -> bool:
        """Add an event, and return whether it was added: a ranking that is handed over twice counts once."""
        if self._closed and len(self._events) > MAX_WAITING:
            # Learning has ended; `health` reports why.
            return False
        if isinstance(event, RankingShown):
            if self._message[0] != seq:
                self._message = seq, set()
            if event.id in self._message[1]:
                return False
            self._message[1].add(event.id)
        self._events.append(QueuedEvent(seq, event))
        return True

    async def wait_for_room(self) -> None:
        """Block until the queue is below its limit (back-pressure)."""
        if len(self._events) > MAX_WAITING and not self._closed:
            self._room.clear()
            await self._room.wait()

    def take_all(self) -> list[QueuedEvent]:
        """Remove and return all events."""
        events, self._events = self._events, []
        self._room.set()
        return events

    def open(self) -> None:
        """Note that learning goes on."""
        self._closed = False

    def close(self) -> None:
        """Note that learning has ended: nothing blocks from now on."""
        self._closed = True
        self._room.set()
