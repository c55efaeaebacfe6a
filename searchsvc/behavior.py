"""What shoppers saw and did, on its way into BEHAVIOR.

`BehaviorWriter` packs events into messages: interactions are answered once they are on disk; rankings are offered and,
when the log cannot keep up, shed and counted.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Sequence
from typing import Final

import msgspec

from events.codec import decode_behavior, encode
from events.errors import InvalidInput, StorageFull, Unavailable
from events.log import Entry, EventLog
from events.streams import BEHAVIOR_SUBJECT
from events.types import BehaviorBatch, BehaviorEvent, InteractionRecorded, RankingShown
from searchsvc.known import KnownRankings, StoredEvents

MAX_PACK: Final = 200
LINGER_S: Final = 0.05
MAX_WAITING_INTERACTIONS: Final = 20_000
APPEND_ATTEMPTS: Final = 3

log = logging.getLogger(__name__)


async def refill(rankings: KnownRankings, stored: StoredEvents, event_log: EventLog) -> None:
    """Read the newest rankings, and the ids of the newest interactions, back from BEHAVIOR."""
    last = (await event_log.position("BEHAVIOR")).last_seq
    async for record in event_log.read("BEHAVIOR", after=max(last - rankings.size, 0)):
        for event in decode_behavior(record.data).events:
            if isinstance(event, RankingShown):
                rankings.remember(event)
            else:
                stored.add(event.id)


class OutboxCounts(msgspec.Struct, frozen=True):
    """queued: waiting now. written, shed: since the start; shed rankings were shown and not logged."""

    queued: int
    written: int
    shed: int


class BehaviorWriter:
    """One loop that writes whatever is waiting as one message, so that one fsync pays for many events.

    stored: interactions that need not be written again.
    """

    def __init__(self, event_log: EventLog, stored: StoredEvents, *, outbox_size: int) -> None:
        self._log = event_log
        self._stored = stored
        self._under_way: dict[str, asyncio.Future[None]] = {}
        self._outbox_size = outbox_size
        self._rankings: deque[RankingShown] = deque()
        self._interactions: deque[tuple[InteractionRecorded, asyncio.Future[None]]] = deque()
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
        if len(self._rankings) in (1, MAX_PACK):
            self._wake.set()

    async def append(self, interactions: Sequence[InteractionRecorded]) -> None:
        """Return once all of them are on disk, each once, however often and from how many sides it is sent.

        Raises Unavailable where the log is away or too many wait: not, or perhaps not, stored.
        """
        new = {event.id: event for event in interactions if event.id not in self._stored}
        fresh = {event_id: event for event_id, event in new.items() if event_id not in self._under_way}
        if len(self._interactions) + len(fresh) > MAX_WAITING_INTERACTIONS or self._closing:
            raise Unavailable("too many events wait to be written", retry_after_s=1.0)
        loop = asyncio.get_running_loop()
        for event_id, event in fresh.items():
            written: asyncio.Future[None] = loop.create_future()
            self._under_way[event_id] = written
            self._interactions.append((event, written))
        self._wake.set()
        # Shielded: another sender of the same event may wait for it too.
        await asyncio.gather(*(asyncio.shield(self._under_way[event_id]) for event_id in new))

    @property
    def _urgent(self) -> bool:
        return bool(self._interactions) or self._closing or len(self._rankings) >= MAX_PACK

    @property
    def counts(self) -> OutboxCounts:
        return OutboxCounts(len(self._rankings), self._written, self._shed)

    async def run(self) -> None:
        """Write until `close` was called and nothing waits."""
        while not (self._closing and not self._rankings and not self._interactions):
            if not self._urgent:
                # Nobody waits for a ranking to be written: let some gather, and searches have the event loop.
                self._wake.clear()
                try:
                    await asyncio.wait_for(self._wake.wait(), LINGER_S if self._rankings else None)
                    continue
                except TimeoutError:
                    pass
            # A ranking goes before the interactions that may name it.
            rankings = [self._rankings.popleft() for _ in range(min(len(self._rankings), MAX_PACK))]
            room = min(len(self._interactions), MAX_PACK)
            interactions = [self._interactions.popleft() for _ in range(room)]
            await self._write(rankings, interactions)

    def close(self) -> None:
        """Take nothing more; `run` ends when what waits is written."""
        self._closing = True
        self._wake.set()

    async def _write(
        self, rankings: list[RankingShown], interactions: list[tuple[InteractionRecorded, asyncio.Future[None]]]
    ) -> None:
        batch: list[BehaviorEvent] = [*rankings, *(event for event, _ in interactions)]
        entry = Entry(BEHAVIOR_SUBJECT, encode(BehaviorBatch(events=batch)), uuid.uuid4().hex)
        try:
            await self._append(entry)
        except InvalidInput:
            if len(batch) == 1:
                raise
            # Too large for one message, as long rankings in a full pack are. What was validated fits by itself.
            half, other = len(rankings) // 2, len(interactions) // 2
            if len(rankings) > 1:
                await self._write(rankings[:half], [])
                await self._write(rankings[half:], interactions)
            elif rankings:
                await self._write(rankings, [])
                await self._write([], interactions)
            else:
                await self._write([], interactions[:other])
                await self._write([], interactions[other:])
            return
        except Unavailable as error:
            self._shed += len(rankings)
            log.warning("%d rankings shed, %d events refused: %s", len(rankings), len(interactions), error)
            for event, written in interactions:
                del self._under_way[event.id]
                written.set_exception(type(error)(error.message, retry_after_s=error.retry_after_s))
                written.exception()  # whoever waited may be gone
            return
        self._written += len(batch)
        for event, written in interactions:
            self._stored.add(event.id)
            del self._under_way[event.id]
            written.set_result(None)

    async def _append(self, entry: Entry) -> int:
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
