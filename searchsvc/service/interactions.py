"""Record what shoppers did: all events of a request or none, or those that are right."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Final

import msgspec

from events.errors import InvalidInput, TooLarge
from events.index_control import IndexControl
from events.types import InteractionRecorded
from searchsvc.behavior.admission import Allowance
from searchsvc.behavior.intake import MAX_BATCH, EventInput, OnError, RefusedEvent, check_interaction
from searchsvc.behavior.keyring import Keyring
from searchsvc.behavior.recent_rankings import RecentRankings
from searchsvc.behavior.writer import BehaviorWriter
from searchsvc.state.serving import Serving

# After so many, other tasks of the event loop get a turn.
EVENTS_A_TURN: Final = 50


class EventsRecorded(msgspec.Struct, frozen=True):
    """What became of a batch. ids: of the events that were stored, in order"""

    ids: list[str]
    refused: list[RefusedEvent]


class Interactions:
    """Takes interactions over HTTP.

    rankings: the newest rankings, which interactions are checked against
    allowance: how many events a second are let in
    """

    def __init__(
        self,
        serving: Serving,
        writer: BehaviorWriter,
        rankings: RecentRankings,
        keyring: Keyring,
        allowance: Allowance,
    ) -> None:
        self._serving = serving
        self._writer = writer
        self._rankings = rankings
        self._keyring = keyring
        self._allowance = allowance

    def require_allowance(self) -> None:
        """Raise Overloaded after too many events; called before the bytes of a request are decoded."""
        self._allowance.require(time.monotonic())

    async def record(self, events: Sequence[EventInput | RefusedEvent], *, on_error: OnError) -> EventsRecorded:
        """Store events; return once they are on disk.

        events: what could not even be decoded is refused already
        on_error: whether a wrong event refuses all, or only itself

        Raises InvalidInput naming the first event that is wrong, if it refuses all; TooLarge, Unavailable.
        """
        self._admit(len(events))
        check = self._checker()
        records, ids, refused = list[InteractionRecorded](), list[str](), list[RefusedEvent]()
        for position, event in enumerate(events):
            if position % EVENTS_A_TURN == EVENTS_A_TURN - 1:
                await asyncio.sleep(0)  # searches run in between
            if isinstance(event, RefusedEvent):
                refused.append(event)
                continue
            try:
                record = check(event)
            except InvalidInput as error:
                if on_error == "refuse":
                    raise _refusal(position, len(events), error) from error
                refused.append(RefusedEvent(position, error.field, error.message))
                continue
            ids.append(record.id)
            if not event.internal:
                records.append(record)
        if records:
            await self._writer.append(records)
        return EventsRecorded(ids, refused)

    def _admit(self, n_events: int) -> None:
        """Count events for `require_allowance`. Raises InvalidInput for an empty batch, TooLarge for a long one."""
        self._allowance.take(n_events)
        if not 1 <= n_events <= MAX_BATCH:
            limit = f"1 to {MAX_BATCH} events"
            error = TooLarge if n_events else InvalidInput
            raise error(f"{n_events} events; allowed: {limit}", field="events", value=n_events, limit=limit)

    def _checker(self) -> Callable[[EventInput], InteractionRecorded]:
        """Return what checks each event of one batch. It raises InvalidInput, and NotFound for an unknown index."""
        now = datetime.now(UTC)
        pseudonym = partial(self._keyring.pseudonym, now=now)
        control = self._serving.current.control
        indexes: Mapping[str, IndexControl] = control.indexes

        def check(event: EventInput) -> InteractionRecorded:
            if event.index not in indexes:
                control.index(event.index)  # raises NotFound
            return check_interaction(
                event,
                index=event.index,
                now=now,
                source="http",
                default_id=uuid.uuid4().hex,
                rankings=self._rankings,
                pseudonym=pseudonym,
            )

        return check


def _refusal(position: int, n_events: int, refused: InvalidInput) -> InvalidInput:
    """Return the refusal of a whole request because of one event."""
    return InvalidInput(
        f"events[{position}]: {refused.message}; none of the {n_events} was stored",
        field=f"events[{position}].{refused.field}",
        value=refused.value,
        limit=refused.limit,
    )
