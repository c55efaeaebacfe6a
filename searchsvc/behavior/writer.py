"""The writer of BEHAVIOR: packs rankings and interactions into messages.

Interactions are answered once they are on disk. Rankings wait in the outbox; past its limit they are shed and counted.
"""

from __future__ import annotations

import asyncio
import logging
import time
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
LOOK_UP_TIMEOUT_S: Final = 10.0
LOOK_UP_EVERY_S: Final = 0.01

log = logging.getLogger(__name__)


class OutboxCounts(msgspec.Struct, frozen=True):
    """Counts of the outbox.

    queued: rankings that wait now.
    written: events written since the start.
    shed: rankings since the start that were shown and not logged.
    """

    queued: int
    written: int
    shed: int


class _Request(msgspec.Struct, frozen=True):
    """Interactions of one caller, to be stored in one message.

    stored: done once they are on disk.
    """

    events: Sequence[InteractionRecorded]
    stored: asyncio.Future[None]


class BehaviorWriter:
    """One loop that writes everything that waits as one message, so that one fsync serves many events.

    state: tells which interactions are in the log already; interactions are acknowledged there once they are stored.
    outbox_size: rankings that may wait.
    before_write: awaited before each write, for what must be on disk before an event that names it.
    """

    def __init__(
        self,
        event_log: EventLog,
        state: BehaviorState,
        *,
        outbox_size: int,
        before_write: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._log = event_log
        self._state = state
        self._before_write = before_write
        # Id of an interaction that is not on disk yet -> done once it is.
        self._pending: dict[str, asyncio.Future[None]] = {}
        self._outbox_size = outbox_size
        self._rankings: deque[RankingShown] = deque()
        self._requests: deque[_Request] = deque()
        self._wake = asyncio.Event()
        self._closing = False
        self._n_written = 0
        self._n_shed = 0
        # Rankings and requests since writing failed; 0 while it works.
        self._n_failed = 0
        # Writes whose outcome is unknown, also one of the process before this one, and those that were looked up since.
        self._n_unknown_outcomes = 1
        self._n_looked_up = 0
        self._looking_up: asyncio.Task[None] | None = None

    def offer(self, ranking: RankingShown) -> None:
        """Queue a ranking, or shed it if the outbox is full. Never blocks, never raises."""
        if len(self._rankings) >= self._outbox_size:
            self._n_shed += 1
            return
        self._rankings.append(ranking)
        if len(self._rankings) in (1, MAX_PACK_RANKINGS):
            self._wake.set()

    async def append(self, interactions: Sequence[InteractionRecorded]) -> None:
        """Return once all interactions are on disk.

        Each is stored once, however often and by however many callers it is sent. The new ones of a call are stored
        all or none. Raises Overloaded if too many wait; Unavailable if the log is away, and then they may or may not
        be stored.
        """
        if self._closing:
            raise Unavailable("the service is stopping", retry_after_s=1.0)
        await self._look_up()
        unstored = {event.id: event for event in interactions if not self._state.has_stored(event.id)}
        waited_for = {self._pending[event_id] for event_id in unstored if event_id in self._pending}
        new_events = [event for event_id, event in unstored.items() if event_id not in self._pending]
        if self._closing:
            raise Unavailable("the service is stopping", retry_after_s=1.0)
        if len(self._pending) + len(new_events) > MAX_WAITING_INTERACTIONS:
            raise Overloaded(f"{len(self._pending)} events wait to be written", retry_after_s=1.0)
        if new_events:
            request = _Request(new_events, asyncio.get_running_loop().create_future())
            self._pending.update((event.id, request.stored) for event in new_events)
            self._requests.append(request)
            waited_for.add(request.stored)
            self._wake.set()
        # Shielded: another caller may wait for the same event.
        await asyncio.gather(*map(asyncio.shield, waited_for))

    async def _look_up(self) -> None:
        """Wait until this process has read everything that BEHAVIOR holds, at most `LOOK_UP_TIMEOUT_S`.

        Otherwise an event whose acknowledgement was lost would be stored again. Raises Unavailable.
        """
        while self._n_looked_up != self._n_unknown_outcomes:
            if self._looking_up is None or self._looking_up.done():
                self._looking_up = asyncio.create_task(self._read_through(), name="look up events")
            # Shared by all callers: a log that hangs keeps each of them as long as one.
            await asyncio.shield(self._looking_up)

    async def _read_through(self) -> None:
        n_unknown_outcomes = self._n_unknown_outcomes
        stream_state = await self._log.stream_state("BEHAVIOR")
        until = time.monotonic() + LOOK_UP_TIMEOUT_S
        while stream_state.count and self._state.seq < stream_state.last_seq and not self._closing:
            if time.monotonic() > until:
                log.warning(
                    "BEHAVIOR is read up to %d of %d: an event may be stored twice, and counts once",
                    self._state.seq,
                    stream_state.last_seq,
                )
                break
            await asyncio.sleep(LOOK_UP_EVERY_S)
        self._n_looked_up = n_unknown_outcomes

    @property
    def counts(self) -> OutboxCounts:
        """Counts of the outbox now."""
        return OutboxCounts(len(self._rankings), self._n_written, self._n_shed)

    @property
    def n_waiting(self) -> int:
        """How many rankings and interactions wait to be written."""
        return len(self._rankings) + len(self._pending)

    async def run(self) -> None:
        """Write until `close` was called and nothing waits."""
        while not (self._closing and not self._rankings and not self._requests):
            if self._urgent or await self._linger():
                await self._write(*self._take_batch())

    def close(self) -> None:
        """Refuse new interactions; `run` ends when everything that waits is written."""
        self._closing = True
        self._wake.set()

    @property
    def _urgent(self) -> bool:
        return bool(self._requests) or self._closing or len(self._rankings) >= MAX_PACK_RANKINGS

    async def _linger(self) -> bool:
        """Let rankings gather, which no caller waits for. Returns whether it is time to write them."""
        self._wake.clear()
        try:
            async with asyncio.timeout(LINGER_S if self._rankings else None):
                await self._wake.wait()
        except TimeoutError:
            return True
        return False

    def _take_batch(self) -> tuple[list[RankingShown], list[_Request]]:
        """Take the events of the next message from the queues."""
        rankings = [self._rankings.popleft() for _ in range(min(len(self._rankings), MAX_PACK_RANKINGS))]
        requests: list[_Request] = []
        n_events = 0
        while self._requests and (not requests or n_events + len(self._requests[0].events) <= MAX_PACK):
            requests.append(self._requests.popleft())
            n_events += len(requests[-1].events)
        return rankings, requests

    async def _write(self, rankings: list[RankingShown], requests: list[_Request]) -> None:
        """Store rankings and requests in one message, rankings first; in several if they do not fit."""
        batch: list[BehaviorEvent] = [*rankings, *(event for request in requests for event in request.events)]
        entry = Entry(BEHAVIOR_SUBJECT, encode(BehaviorBatch(events=batch)), uuid.uuid4().hex)
        try:
            await self._append(entry)
        except InvalidInput:
            await self._write_in_halves(rankings, requests)
        except Unavailable as error:
            self._fail(rankings, requests, error)
        except Exception as error:
            # Every caller needs an answer, and the next batch has to be written.
            log.exception("events could not be written")
            self._fail(rankings, requests, Unavailable(f"the events could not be written: {error!r}"))
        else:
            self._n_written += len(batch)
            if self._n_failed:
                log.warning("events are written again; %d rankings and requests were lost or refused", self._n_failed)
                self._n_failed = 0
            for request in requests:
                self._state.acknowledge(event.id for event in request.events)
                self._drop_pending(request)
                request.stored.set_result(None)

    async def _write_in_halves(self, rankings: list[RankingShown], requests: list[_Request]) -> None:
        """Store in several messages what was too large for one. A single ranking or request fits by validation."""
        if len(rankings) + len(requests) == 1:
            log.exception("an event that was validated does not fit into a message")
            self._fail(rankings, requests, Unavailable("the event does not fit into a message of the log"))
        elif len(rankings) > 1:
            half = len(rankings) // 2
            await self._write(rankings[:half], [])
            await self._write(rankings[half:], requests)
        elif rankings:
            await self._write(rankings, [])
            await self._write([], requests)
        else:
            half = len(requests) // 2
            await self._write([], requests[:half])
            await self._write([], requests[half:])

    def _fail(self, rankings: list[RankingShown], requests: list[_Request], error: Unavailable) -> None:
        """Shed rankings, and raise an error in the callers of requests."""
        self._n_shed += len(rankings)
        if not self._n_failed:
            log.warning("events cannot be written: %s", error)
        self._n_failed += len(rankings) + len(requests)
        for request in requests:
            self._drop_pending(request)
            request.stored.set_exception(type(error)(error.message, retry_after_s=error.retry_after_s))
            request.stored.exception()  # marks it as retrieved: the caller may be gone

    def _drop_pending(self, request: _Request) -> None:
        for event in request.events:
            del self._pending[event.id]

    async def _append(self, entry: Entry) -> None:
        """Append with retries. Raises InvalidInput, Unavailable."""
        if self._before_write is not None:
            await self._before_write()
        for attempt in range(1, APPEND_ATTEMPTS + 1):
            try:
                await self._log.append("BEHAVIOR", entry)
                return
            except StorageFull:
                raise  # nothing was stored by this attempt
            except Unavailable:
                # The outcome is unknown: the same message id makes the retry safe.
                self._n_unknown_outcomes += 1
                if attempt == APPEND_ATTEMPTS:
                    raise
                await asyncio.sleep(0.05 * attempt)
