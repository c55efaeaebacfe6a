"""What shoppers saw and did, on its way into BEHAVIOR.

`BehaviorWriter` packs events into messages: interactions are answered once they are on disk; rankings are offered and,
when the log cannot keep up, shed and counted.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from events.codec import encode
from events.errors import InvalidInput, Overloaded, StorageFull, Unavailable
from events.log import Entry, EventLog
from events.streams import BEHAVIOR_SUBJECT
from events.types import BehaviorBatch, BehaviorEvent, InteractionRecorded, RankingShown
from searchsvc.behavior.state import BehaviorState

MAX_PACK: Final = 300
MAX_PACK_RANKINGS: Final = 200
LINGER_S: Final = 0.05
MAX_WAITING_INTERACTIONS: Final = 20_000
APPEND_ATTEMPTS: Final = 3

log = logging.getLogger(__name__)


class OutboxCounts(msgspec.Struct, frozen=True):
    """queued: waiting now. written, shed: since the start; shed rankings were shown and not logged."""

    queued: int
    written: int
    shed: int


class _Group(msgspec.Struct, frozen=True):
    """What one caller sent, to be stored in one message. written: done once it is on disk."""

    events: Sequence[InteractionRecorded]
    written: asyncio.Future[None]


class BehaviorWriter:
    """One loop that writes whatever is waiting as one message, so that one fsync pays for many events.

    memory: which interactions are stored already, and is told of those that now are. before_write: awaited before each
    write, for what has to be on disk before an event that names it.
    """

    def __init__(
        self,
        event_log: EventLog,
        memory: BehaviorState,
        *,
        outbox_size: int,
        before_write: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._log = event_log
        self._memory = memory
        self._before_write = before_write
        self._under_way: dict[str, asyncio.Future[None]] = {}
        self._outbox_size = outbox_size
        self._rankings: deque[RankingShown] = deque()
        self._groups: deque[_Group] = deque()
        self._wake = asyncio.Event()
        self._closing = False
        self._written = 0
        self._shed = 0

    def offer(self, ranking: RankingShown) -> None:
        """Take a ranking to be written soon, or count it as shed where too many wait. Never blocks, never raises."""
        if len(self._rankings) >= self._outbox_size:
            self._shed += 1
            return
        self._rankings.append(ranking)
        if len(self._rankings) in (1, MAX_PACK_RANKINGS):
            self._wake.set()

    async def append(self, interactions: Sequence[InteractionRecorded]) -> None:
        """Return once all of them are on disk, each once, however often and from how many sides it is sent.

        What is new among them is stored whole or not at all. Raises Overloaded where too many wait, and Unavailable
        where the log is away: not, or perhaps not, stored.
        """
        new = {event.id: event for event in interactions if not self._memory.has_stored(event.id)}
        waited_for = {self._under_way[event_id] for event_id in new if event_id in self._under_way}
        fresh = [event for event_id, event in new.items() if event_id not in self._under_way]
        if self._closing:
            raise Unavailable("the service is stopping", retry_after_s=1.0)
        if len(self._under_way) + len(fresh) > MAX_WAITING_INTERACTIONS:
            raise Overloaded(f"{len(self._under_way)} events wait to be written", retry_after_s=1.0)
        if fresh:
            group = _Group(fresh, asyncio.get_running_loop().create_future())
            self._under_way.update((event.id, group.written) for event in fresh)
            self._groups.append(group)
            waited_for.add(group.written)
            self._wake.set()
        # Shielded: another sender of the same event may wait for it too.
        await asyncio.gather(*map(asyncio.shield, waited_for))

    @property
    def _urgent(self) -> bool:
        return bool(self._groups) or self._closing or len(self._rankings) >= MAX_PACK_RANKINGS

    @property
    def counts(self) -> OutboxCounts:
        return OutboxCounts(len(self._rankings), self._written, self._shed)

    async def run(self) -> None:
        """Write until `close` was called and nothing waits."""
        while not (self._closing and not self._rankings and not self._groups):
            if not self._urgent:
                # Nobody waits for a ranking to be written: let some gather, and searches have the event loop.
                self._wake.clear()
                try:
                    await asyncio.wait_for(self._wake.wait(), LINGER_S if self._rankings else None)
                    continue
                except TimeoutError:
                    pass
            # A ranking goes before the interactions that may name it.
            rankings = [self._rankings.popleft() for _ in range(min(len(self._rankings), MAX_PACK_RANKINGS))]
            groups: list[_Group] = []
            n_events = 0
            while self._groups and (not groups or n_events + len(self._groups[0].events) <= MAX_PACK):
                groups.append(self._groups.popleft())
                n_events += len(groups[-1].events)
            await self._write(rankings, groups)

    def close(self) -> None:
        """Take nothing more; `run` ends when what waits is written."""
        self._closing = True
        self._wake.set()

    async def _write(self, rankings: list[RankingShown], groups: list[_Group]) -> None:
        batch: list[BehaviorEvent] = [*rankings, *(event for group in groups for event in group.events)]
        entry = Entry(BEHAVIOR_SUBJECT, encode(BehaviorBatch(events=batch)), uuid.uuid4().hex)
        try:
            await self._append(entry)
        except InvalidInput:
            if len(rankings) + len(groups) == 1:
                log.exception("an event that was validated does not fit into a message")
                self._refuse(rankings, groups, Unavailable("the event does not fit into a message of the log"))
                return
            # Too large for one message, as long rankings in a full pack are. What was validated fits by itself.
            half, other = len(rankings) // 2, len(groups) // 2
            if len(rankings) > 1:
                await self._write(rankings[:half], [])
                await self._write(rankings[half:], groups)
            elif rankings:
                await self._write(rankings, [])
                await self._write([], groups)
            else:
                await self._write([], groups[:other])
                await self._write([], groups[other:])
            return
        except Unavailable as error:
            self._refuse(rankings, groups, error)
            return
        except Exception as error:
            # Whatever it is, whoever waits has to be told, and the next ones written.
            log.exception("events could not be written")
            self._refuse(rankings, groups, Unavailable(f"the events could not be written: {error!r}"))
            return
        self._written += len(batch)
        for group in groups:
            self._memory.acknowledge(event.id for event in group.events)
            self._done(group)
            group.written.set_result(None)

    def _refuse(self, rankings: list[RankingShown], groups: list[_Group], error: Unavailable) -> None:
        self._shed += len(rankings)
        log.warning("%d rankings shed, %d requests refused: %s", len(rankings), len(groups), error)
        for group in groups:
            self._done(group)
            group.written.set_exception(type(error)(error.message, retry_after_s=error.retry_after_s))
            group.written.exception()  # whoever waited may be gone

    def _done(self, group: _Group) -> None:
        for event in group.events:
            del self._under_way[event.id]

    async def _append(self, entry: Entry) -> int:
        if self._before_write is not None:
            await self._before_write()
        for attempt in range(1, APPEND_ATTEMPTS + 1):
            try:
                return await self._log.append("BEHAVIOR", entry)
            except StorageFull:
                raise
            except Unavailable:
                # The outcome is unknown: the same message id makes the retry safe.
                if attempt == APPEND_ATTEMPTS:
                    raise
                await asyncio.sleep(0.05 * attempt)
        raise AssertionError("unreachable: the loop returns or raises")
