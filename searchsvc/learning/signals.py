"""Writes what was learnt about documents to SIGNALS, where serving reads it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import islice
from typing import Final

import msgspec

from events.codec import encode
from events.index_control import IndexControl
from events.log import Entry, EventLog
from events.streams import exploration_subject, signal_subject
from events.types import DocumentBehaviorLearnt, ExplorationLearnt, QueryBehaviorLearnt, SignalEvent
from searchsvc.learning.index_learners import Outcome
from searchsvc.state.serving import Serving
from tuning.learners.exploration import Exploration
from tuning.online.behavior import LearntBehavior

N_CONCURRENT: Final = 100


class SignalsWriter:
    """Holds events until they are written; a newer event of a subject replaces an older one."""

    def __init__(self, event_log: EventLog, serving: Serving, clock: Callable[[], datetime]) -> None:
        self._log = event_log
        self._serving = serving
        self._clock = clock
        self._pending: dict[str, SignalEvent] = {}

    def add(self, outcome: Outcome) -> None:
        """Add what was learnt of the indexes that still exist."""
        indexes = self._serving.current.control.indexes
        for name, behavior in outcome.behavior.items():
            if name in indexes:
                self._add_behavior(name, indexes[name], behavior)
        for name, exploration in outcome.explorations.items():
            if name in indexes:
                subject = exploration_subject(name, indexes[name].created_seq)
                self._pending[subject] = self._exploration(name, indexes[name], exploration)

    async def write(self) -> None:
        """Write what is pending. Raises Unavailable; the rest is then written by the next call."""
        while self._pending:
            batch = list(islice(self._pending.items(), N_CONCURRENT))
            entries = [Entry(subject, encode(event), uuid.uuid4().hex) for subject, event in batch]
            await asyncio.gather(*(self._log.append("SIGNALS", entry) for entry in entries))
            for subject, event in batch:
                if self._pending.get(subject) is event:
                    del self._pending[subject]

    def _add_behavior(self, name: str, index: IndexControl, behavior: Sequence[LearntBehavior]) -> None:
        for learnt in behavior:
            event: SignalEvent = DocumentBehaviorLearnt(
                index=name,
                created_seq=index.created_seq,
                document_id=learnt.document_id,
                factor=round(learnt.factor, 4),
                log2_lift=round(learnt.log2_lift, 3),
                clicks=round(learnt.statistics.clicks, 3),
                expected_clicks=round(learnt.statistics.expected, 3),
                users=len(learnt.statistics.users),
                timestamp=self._clock(),
            )
            if learnt.query:
                event = QueryBehaviorLearnt(query=learnt.query, **msgspec.structs.asdict(event))
            self._pending[signal_subject(name, index.created_seq, learnt.query, learnt.document_id)] = event

    def _exploration(self, name: str, index: IndexControl, exploration: Exploration) -> ExplorationLearnt:
        return ExplorationLearnt(
            index=name,
            created_seq=index.created_seq,
            share=round(exploration.published_share, 6),
            uncertainty=round(exploration.uncertainty, 3),
            votes_per_search=round(exploration.n_votes / exploration.n_pages, 3),
            timestamp=self._clock(),
        )
