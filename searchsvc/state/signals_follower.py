"""Follows SIGNALS: what shoppers do with documents, as far as it moves scores, and how much is worth leaving to chance,
into the serving state."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from events.codec import decode_signal
from events.errors import Unavailable
from events.log import EventLog
from events.types import ExplorationLearnt, QueryBehaviorLearnt, SignalEvent, Skipped
from searchsvc.state.serving import Serving
from searchsvc.state.serving_state import BehaviorValue, IndexBehavior

# Many come at once: the state is made anew once for all that came in so long.
GATHER_S: Final = 0.03
# So many are taken up without giving way to others.
AT_ONCE: Final = 100
RETRY_S: Final = 0.25

log = logging.getLogger(__name__)

_Of = tuple[str, int]


class SignalsFollower:
    """`run` goes on until it is cancelled. caught_up: called once all that the log held at the start is served."""

    def __init__(self, event_log: EventLog, serving: Serving, caught_up: Callable[[], None] | None = None) -> None:
        self._log = event_log
        self._serving = serving
        # By index and the sequence that created it.
        self._held: dict[_Of, IndexBehavior] = {}
        # What came and is not held yet, by index, words that are asked for ('' whatever is asked) and document; None
        # for what is like others by now.
        self._new: dict[tuple[_Of, str, str], BehaviorValue | None] = {}
        # Of which it came how much is worth exploring.
        self._explored: dict[_Of, float] = {}
        self._changed = asyncio.Event()
        self._last = -1
        self._after = 0
        self._caught_up: Callable[[], None] | None = caught_up

    async def run(self) -> None:
        swapping = asyncio.create_task(self._swap(), name="factors")
        try:
            await self._read()
        finally:
            swapping.cancel()

    async def _read(self) -> None:
        while True:
            try:
                if self._last < 0:
                    self._last = (await self._log.position("SIGNALS")).last_seq
                    self._changed.set()
                async for record in self._log.follow("SIGNALS", after=self._after):
                    self._after = record.seq
                    signal = decode_signal(record.data)
                    if not isinstance(signal, Skipped):
                        self._take(signal)
            except Unavailable:
                await asyncio.sleep(RETRY_S)

    def _take(self, signal: SignalEvent) -> None:
        of = signal.index, signal.created_seq
        self._changed.set()
        if isinstance(signal, ExplorationLearnt):
            self._explored[of] = signal.share
            return
        liking: BehaviorValue | None = BehaviorValue(signal.factor, min(max(signal.log2_lift, -1.0), 1.0))
        if isinstance(signal, QueryBehaviorLearnt):
            # Of a query it says something that a document is like others.
            words, known = signal.query, signal.users > 0
        else:
            words, known = "", signal.factor != 1.0 or signal.log2_lift != 0.0
        self._new[of, words, signal.document_id] = liking if known else None

    async def _swap(self) -> None:
        while True:
            await self._changed.wait()
            await asyncio.sleep(GATHER_S)
            self._changed.clear()
            control = self._serving.current.control
            living = {(name, index.created_seq) for name, index in control.indexes.items()}
            while self._new:
                some = [self._new.popitem() for _ in range(min(AT_ONCE, len(self._new)))]
                for of in {of for (of, _, _), _ in some}:
                    changes = [(words, name, liking) for (its, words, name), liking in some if its == of]
                    self._held[of] = _changed(self._held.get(of, IndexBehavior()), changes)
                await asyncio.sleep(0)
            while self._explored:
                of, share = self._explored.popitem()
                held = self._held.get(of, IndexBehavior())
                self._held[of] = msgspec.structs.replace(held, exploration=share)
            # One that CONTROL does not know yet may be about to come.
            self._held = {of: held for of, held in self._held.items() if of in living or of[1] > control.seq}
            await self._serving.set_behavior({of[0]: held for of, held in self._held.items() if of in living})
            if self._caught_up is not None and 0 <= self._last <= self._after:
                self._caught_up()
                self._caught_up = None


def _changed(before: IndexBehavior, changes: Sequence[tuple[str, str, BehaviorValue | None]]) -> IndexBehavior:
    """changes: words that are asked for, '' whatever is asked, and a document, with what is known of it by now."""
    documents = {name: liking for words, name, liking in changes if not words}
    queries: dict[str, dict[str, BehaviorValue] | None] = {}
    for words, name, liking in changes:
        if not words:
            continue
        of = queries.get(words)
        if of is None:
            of = queries[words] = dict(before.queries.get(words) or {})
        of.pop(name, None)
        if liking is not None:
            of[name] = liking
    # Of what nothing is known any more nothing is held.
    kept = {words: of or None for words, of in queries.items()}
    return msgspec.structs.replace(
        before, documents=before.documents.changed(documents), queries=before.queries.changed(kept)
    )
