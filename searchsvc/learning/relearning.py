"""Relearn an index from the log: it begins to learn, or has to forget something."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import MutableMapping
from functools import partial
from typing import Final

from events.codec import decode_behavior
from events.errors import Unavailable
from events.log import EventLog
from events.types import BehaviorEvent, RankingShown
from searchsvc.learning.index_learners import IndexLearners
from searchsvc.learning.queue import EventQueue
from searchsvc.learning.teacher import Teacher
from searchsvc.learning.thread import LearningThread
from searchsvc.state.serving import Serving
from tuning.clicks.join import Clickthrough, ClickthroughJoin
from tuning.online.learner import MAX_DELAY, IndexLearner

RETRY_S: Final = 1.0
log = logging.getLogger(__name__)


class LogLearner:
    """A learner that reads BEHAVIOR by itself. Used on the learning thread.

    learner: a silent one.
    read_seq: message up to which it has read.
    n_events: events of its index so far.
    """

    def __init__(self, name: str, learner: IndexLearner, teacher: Teacher) -> None:
        self.learner = learner
        self.read_seq = self.n_events = 0
        self._name = name
        self._teacher = teacher
        self._join = ClickthroughJoin(wait=MAX_DELAY)

    def learn(self, message: bytes) -> None:
        """Learn from a message of BEHAVIOR."""
        for event in decode_behavior(message).events:
            if event.index != self._name:
                continue
            self.n_events += 1
            try:
                self._learn(event)
            except Exception:
                # No event may stop the events after it.
                log.exception("index %s: nothing was learnt from %s", self._name, event.id)

    def _learn(self, event: BehaviorEvent) -> None:
        if isinstance(event, RankingShown):
            self._teacher.show(self.learner, event)
        for joined in self._join.apply(event):
            if isinstance(joined, Clickthrough):
                self._teacher.show(self.learner, joined)
        now = event.timestamp if isinstance(event, RankingShown) else event.received_at
        for _ in self.learner.decide(now):
            # Decisions of that time were carried out, or not, at that time.
            pass


class Relearner:
    """Relearns the incomplete indexes one by one, while the others go on learning.

    messages: by index, the last message for people; written.
    """

    def __init__(
        self,
        event_log: EventLog,
        serving: Serving,
        learners: IndexLearners,
        thread: LearningThread,
        queue: EventQueue,
        messages: MutableMapping[str, str],
    ) -> None:
        self._log = event_log
        self._serving = serving
        self._learners = learners
        self._thread = thread
        self._queue = queue
        self._messages = messages
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Relearn the incomplete indexes, unless that is under way."""
        if self._task is None and self._learners.incomplete:
            self._task = asyncio.create_task(self._relearn_all(), name="relearn")

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def relearn(self, name: str) -> None:
        """Have a new learner read the log, and replace the present one by it. Raises Unavailable."""
        index = self._serving.current.control.indexes.get(name)
        if index is None or index.learning.mode == "off":
            return
        reader = LogLearner(name, self._learners.new_learner(index, silent=True), self._learners.teacher)
        await self._read(reader)
        async with self._thread.turn:
            # The events that came meanwhile. Nothing is learnt between this and the replacement.
            await self._read(reader)
            await self._thread.run(partial(self._learners.replace, name, reader.learner, reader.read_seq))
        self._messages[name] = f"relearnt from the log: {reader.n_events:,} events"
        # More may have to be ignored by now.
        self._learners.follow_again()

    async def _relearn_all(self) -> None:
        try:
            for name in sorted(self._learners.incomplete):
                await self.relearn(name)
        except Unavailable as error:
            log.warning("an index could not be relearnt, and is tried again: %s", error)
            await asyncio.sleep(RETRY_S)
        finally:
            self._task = None

    async def _read(self, reader: LogLearner) -> None:
        """Read the log up to what was handed over to the other learners."""
        while reader.read_seq < self._queue.newest_seq:
            before = reader.read_seq
            async for record in self._log.read("BEHAVIOR", after=reader.read_seq):
                await self._thread.run(partial(reader.learn, record.data))
                reader.read_seq = record.seq
                if reader.read_seq >= self._queue.newest_seq:
                    break
            if reader.read_seq == before:
                # The rest has left the log by its age.
                break
