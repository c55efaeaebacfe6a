"""Follows SIGNALS into the serving state: what shoppers do with documents, and how much exploration is worth."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgspec

from events.codec import decode_signal
from events.errors import Unavailable
from events.log import EventLog
from events.tasks import run_together
from events.types import ExplorationLearnt, QueryBehaviorLearnt, SignalEvent, Skipped
from searchsvc.state.serving import Serving
from searchsvc.state.serving_state import BehaviorValue, IndexBehavior

# Signals come in bursts: the state is replaced once for all that arrive within this time.
GATHER_S: Final = 0.03
# Signals that are folded before other tasks of the event loop get a turn.
MAX_BATCH: Final = 100
RETRY_S: Final = 0.25


class _Index(NamedTuple):
    """An index, identified also by the CONTROL sequence that created it."""

    name: str
    created_seq: int


class _Key(NamedTuple):
    """What a behavior value belongs to. query: '' for the value of a document over all queries."""

    owner: _Index
    query: str
    document_id: str


class SignalsFollower:
    """Keeps the behavior in the serving state in step with SIGNALS.

    caught_up: called once, when everything that SIGNALS held at the start is served.
    """

    def __init__(self, event_log: EventLog, serving: Serving, caught_up: Callable[[], None] | None = None) -> None:
        self._log = event_log
        self._serving = serving
        self._behavior: dict[_Index, IndexBehavior] = {}
        # Read but not folded yet; None removes a value.
        self._new_values: dict[_Key, BehaviorValue | None] = {}
        self._new_exploration: dict[_Index, float] = {}
        self._changed = asyncio.Event()
        self._seq_at_start: int | None = None
        self._seq = 0
        self._caught_up: Callable[[], None] | None = caught_up

    @property
    def seq(self) -> int:
        """The last sequence of SIGNALS that was read."""
        return self._seq

    async def run(self) -> None:
        """Follow SIGNALS until cancelled."""
        await run_together(self._read(), self._publish())

    async def _read(self) -> None:
        while True:
            try:
                if self._seq_at_start is None:
                    self._seq_at_start = (await self._log.stream_state("SIGNALS")).last_seq
                    self._changed.set()
                async for record in self._log.follow("SIGNALS", after=self._seq):
                    self._seq = record.seq
                    signal = decode_signal(record.data)
                    if not isinstance(signal, Skipped):
                        self._add(signal)
            except Unavailable:
                await asyncio.sleep(RETRY_S)

    def _add(self, signal: SignalEvent) -> None:
        index = _Index(signal.index, signal.created_seq)
        self._changed.set()
        if isinstance(signal, ExplorationLearnt):
            self._new_exploration[index] = signal.share
            return
        if isinstance(signal, QueryBehaviorLearnt):
            # For a query, an average value says something too: it replaces that of the document.
            query, is_significant = signal.query, signal.users > 0
        else:
            query, is_significant = "", signal.factor != 1.0 or signal.log2_lift != 0.0
        value = BehaviorValue(signal.factor, min(max(signal.log2_lift, -1.0), 1.0))
        self._new_values[_Key(index, query, signal.document_id)] = value if is_significant else None

    async def _publish(self) -> None:
        """Replace the behavior in the serving state whenever signals have come."""
        while True:
            await self._changed.wait()
            await asyncio.sleep(GATHER_S)
            self._changed.clear()
            control = self._serving.current.control
            existing = {_Index(name, index.created_seq) for name, index in control.indexes.items()}
            await self._fold_values()
            self._fold_exploration()
            # An index that CONTROL does not have yet may be about to come.
            self._behavior = {
                index: behavior
                for index, behavior in self._behavior.items()
                if index in existing or index.created_seq > control.seq
            }
            await self._serving.set_behavior(
                {index.name: behavior for index, behavior in self._behavior.items() if index in existing}
            )
            if self._caught_up is not None and self._seq_at_start is not None and self._seq_at_start <= self._seq:
                self._caught_up()
                self._caught_up = None

    async def _fold_values(self) -> None:
        while self._new_values:
            batch = [self._new_values.popitem() for _ in range(min(MAX_BATCH, len(self._new_values)))]
            for index in {key.owner for key, _ in batch}:
                changes = [(key, value) for key, value in batch if key.owner == index]
                self._behavior[index] = with_values(self._behavior.get(index, IndexBehavior()), changes)
            await asyncio.sleep(0)

    def _fold_exploration(self) -> None:
        while self._new_exploration:
            index, share = self._new_exploration.popitem()
            before = self._behavior.get(index, IndexBehavior())
            self._behavior[index] = msgspec.structs.replace(before, exploration=share)


def with_values(before: IndexBehavior, changes: Sequence[tuple[_Key, BehaviorValue | None]]) -> IndexBehavior:
    """Return the behavior of an index with some values changed; None removes a value."""
    documents = {key.document_id: value for key, value in changes if not key.query}
    queries: dict[str, dict[str, BehaviorValue]] = {}
    for key, value in changes:
        if not key.query:
            continue
        values = queries.get(key.query)
        if values is None:
            values = queries[key.query] = dict(before.queries.get(key.query) or {})
        values.pop(key.document_id, None)
        if value is not None:
            values[key.document_id] = value
    # A query without values is removed.
    changed_queries = {query: values or None for query, values in queries.items()}
    return msgspec.structs.replace(
        before,
        documents=before.documents.with_changes(documents),
        queries=before.queries.with_changes(changed_queries),
    )
