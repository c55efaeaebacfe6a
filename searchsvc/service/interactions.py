"""Record what shoppers did: all events of a request, or none."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

from events.errors import InvalidInput, TooLarge
from events.index_control import IndexControl
from searchsvc.behavior.admission import Allowance
from searchsvc.behavior.intake import MAX_BATCH, EventInput, check_interaction
from searchsvc.behavior.keyring import Keyring
from searchsvc.behavior.recent_rankings import RecentRankings
from searchsvc.behavior.writer import BehaviorWriter
from searchsvc.state.serving import Serving


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

    async def record(self, events: Sequence[EventInput]) -> list[str]:
        """Store all events or none; return their ids once they are on disk.

        Raises InvalidInput naming the first event that is wrong, TooLarge, Unavailable.
        """
        self._allowance.take(len(events))
        if not 1 <= len(events) <= MAX_BATCH:
            limit = f"1 to {MAX_BATCH} events"
            raise TooLarge(f"{len(events)} events; allowed: {limit}", field="events", value=len(events), limit=limit)
        now = datetime.now(UTC)
        pseudonym = partial(self._keyring.pseudonym, now=now)
        control = self._serving.current.control
        indexes: Mapping[str, IndexControl] = control.indexes
        records = []
        for position, event in enumerate(events):
            try:
                if event.index not in indexes:
                    control.index(event.index)  # raises NotFound
                records.append(
                    check_interaction(
                        event,
                        index=event.index,
                        now=now,
                        source="http",
                        default_id=uuid.uuid4().hex,
                        rankings=self._rankings,
                        pseudonym=pseudonym,
                    )
                )
            except InvalidInput as refused:
                raise _refusal(position, len(events), refused) from refused
        await self._writer.append(records)
        return [record.id for record in records]


def _refusal(position: int, n_events: int, refused: InvalidInput) -> InvalidInput:
    """Return the refusal of a whole request because of one event."""
    return InvalidInput(
        f"events[{position}]: {refused.message}; none of the {n_events} was stored",
        field=f"events[{position}].{refused.field}",
        value=refused.value,
        limit=refused.limit,
    )
