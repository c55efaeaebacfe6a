"""The learners of a service: events of BEHAVIOR come in; commands, drafts and SIGNALS go out.

Learning takes place on a thread of its own, in log order, so that searches do not wait for it. Decisions are carried
out on the event loop, by the commands that people use, and are events like theirs. Policies apply.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from events.errors import Unavailable
from events.log import EventLog
from events.types import RankingShown
from searchsvc.behavior.keyring import Keyring
from searchsvc.changes.commands import Commands
from searchsvc.changes.drafts import Drafts
from searchsvc.learning.checks import DecisionChecks
from searchsvc.learning.index_learners import IndexLearners, Outcome
from searchsvc.learning.publishing import DecisionPublisher, DecisionQueue
from searchsvc.learning.queue import EventQueue, LearningEvent, QueuedEvent
from searchsvc.learning.relearning import Relearner
from searchsvc.learning.signals import SignalsWriter
from searchsvc.learning.status import LearningStatus
from searchsvc.learning.teacher import Teacher
from searchsvc.learning.thread import LearningThread
from searchsvc.rehearsal.repeating import RepeatedSearches
from searchsvc.state.serving import Serving

EVERY_S: Final = 0.05
log = logging.getLogger(__name__)


class LearningTime:
    """The time that pages are closed by: that of the events until all old events are read, and the clock's then."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._newest_event = datetime.fromtimestamp(0, UTC)
        self._caught_up = asyncio.Event()

    def use_clock_after(self, caught_up: asyncio.Event) -> None:
        """Use the clock once `caught_up` is set."""
        self._caught_up = caught_up

    def advance(self, events: Sequence[QueuedEvent]) -> datetime:
        """Take in new events, and return the time."""
        for _, event in events:
            timestamp = event.timestamp if isinstance(event, RankingShown) else event.interaction.received_at
            self._newest_event = max(self._newest_event, timestamp)
        return self._clock() if self._caught_up.is_set() else self._newest_event


class Learners:
    """Learns for all indexes that are set to learn; a `BehaviorListener`.

    searches: repeat searches, to check decisions on.
    settle: how long a page stays open.
    """

    def __init__(
        self,
        event_log: EventLog,
        serving: Serving,
        commands: Commands,
        drafts: Drafts,
        searches: RepeatedSearches,
        keyring: Keyring,
        *,
        settle: timedelta,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._serving = serving
        self._searches = searches
        self._queue = EventQueue()
        self._time = LearningTime(clock)
        self._thread = LearningThread()
        # By index, for people: the last decision, or why it was not carried out.
        self._messages: dict[str, str] = {}
        secret = keyring.derive_secret("learning")
        self._learners = IndexLearners(serving, Teacher(serving, keyring), settle, secret)
        self._relearner = Relearner(event_log, serving, self._learners, self._thread, self._queue, self._messages)
        checks, publisher = DecisionChecks(serving, searches), DecisionPublisher(serving, commands, drafts, clock)
        self._decisions = DecisionQueue(checks, publisher, self._messages, self._learners.follow_again)
        self._signals = SignalsWriter(event_log, serving, clock)
        self._republish = False

    def note_position(self, seq: int) -> None:
        """Note that the events of message `seq` follow, and that all earlier ones were handed over."""
        self._queue.note_position(seq)

    async def wait_for_room(self) -> None:
        """Block until the queue is below its limit (back-pressure)."""
        await self._queue.wait_for_room()

    def take(self, event: LearningEvent, seq: int) -> None:
        """Queue an event. One that is handed over twice counts once.

        seq: its message in BEHAVIOR.
        """
        if self._queue.put(event, seq) and isinstance(event, RankingShown):
            self._searches.remember(event)

    def drop_others(self, indexes: Collection[str]) -> None:
        """Forget what is remembered of all indexes but these, beside their learners, which end by themselves."""
        self._searches.drop_others(indexes)
        for name in self._messages.keys() - set(indexes):
            del self._messages[name]

    def republish(self) -> None:
        """Publish again what serving holds, once it holds all of SIGNALS: some of it may no longer be true."""
        self._republish = True

    async def run(self, caught_up: asyncio.Event) -> None:
        """Learn until cancelled.

        caught_up: set once all events that the log held at the start were handed over.
        """
        self._time.use_clock_after(caught_up)
        self._queue.open()
        try:
            while True:
                await asyncio.sleep(EVERY_S)
                try:
                    await self.step()
                except Unavailable as error:
                    # A later step decides and writes it.
                    log.warning("what was learnt could not be written: %s", error)
                self._relearner.start()
        finally:
            self._queue.close()
            self._relearner.cancel()
            self._decisions.cancel()

    async def step(self) -> None:
        """Learn from the queued events, and publish what follows. Raises Unavailable."""
        async with self._thread.turn:
            outcome = await self._learn()
        self._signals.add(outcome)
        await self._decisions.carry_out(outcome.decisions)
        await self._signals.write()

    async def state_parts(self) -> bytes:
        """Return everything learnt from the events so far, for a snapshot; `restore` takes it."""
        async with self._thread.turn:
            outcome = await self._learn()
            self._signals.add(outcome)
            # The next step carries them out. If none follows, a restart decides again from the state of CONTROL.
            self._decisions.postpone(outcome.decisions)
            return await self._thread.run(self._learners.packed)

    def restore(self, state: bytes) -> None:
        """Start from what `state_parts` returned. Raises msgspec.DecodeError if it is malformed."""
        self._learners.restore(state)

    async def status(self, index: str) -> LearningStatus:
        return await self._thread.run(partial(self._learners.status, index, self._messages.get(index, "")))

    def close(self) -> None:
        """End the thread. Blocks until its call is done."""
        self._thread.close()

    async def _learn(self) -> Outcome:
        events = self._queue.take_all()
        control, now = self._serving.current.control, self._time.advance(events)
        republish, self._republish = self._republish, False
        return await self._thread.run(partial(self._learners.learn, events, control, now, republish=republish))
