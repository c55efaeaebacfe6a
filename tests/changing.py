"""A shop whose CONTROL and DRAFTS are a log in memory, followed as a service does; tests set the clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

from events.codec import encode
from events.control import fold_message
from events.copy import COPY_NAME, ControlCopy
from events.edits import Edit
from events.errors import Unavailable
from events.history import ControlHistory
from events.index_control import IndexControl
from events.log import Entry, Record
from events.memory import MemoryEventLog
from events.streams import StreamName, control_subject
from events.tasks import end
from events.types import ChangePublished, ControlEvent, IndexConfigured
from searchsvc.changes.author import Author
from searchsvc.changes.commands import Commands
from searchsvc.changes.drafts import Drafts
from searchsvc.rules.rulebook import Rulebooks
from searchsvc.state.serving import Serving
from tests.factories import NOW, SETTINGS
from tuning.features import default_weights

ADA, BEA = Author("ada", "a reason"), Author("bea", "another reason")


class RewrittenLog(MemoryEventLog):
    """Reads as JetStream does: what is appended during a read is not part of it, and a subject that is written during a
    read loses its old message.

    during_next_read: messages that another writer appends to DRAFTS while it is read next
    rivals: events that other writers append to CONTROL just before the next append
    n_lost_answers: how many of the next appends to CONTROL are stored without an answer
    """

    def __init__(self) -> None:
        super().__init__()
        self.during_next_read: list[Entry] = []
        self.rivals: list[ControlEvent] = []
        self.n_lost_answers = 0

    async def append(self, stream: StreamName, entry: Entry, *, expected_last_seq: int | None = None) -> int:
        rivals, self.rivals = self.rivals, []
        for event in rivals:
            await super().append("CONTROL", Entry(control_subject(event.index), encode(event), event.id))
        seq = await super().append(stream, entry, expected_last_seq=expected_last_seq)
        if stream == "CONTROL" and self.n_lost_answers:
            self.n_lost_answers -= 1
            raise Unavailable("the answer was lost")
        return seq

    async def read(self, stream: StreamName, *, after: int = 0, subject: str | None = None) -> AsyncIterator[Record]:
        last_seq = (await self.stream_state(stream)).last_seq
        if stream == "DRAFTS":
            entries, self.during_next_read = self.during_next_read, []
            for entry in entries:
                await self.append(stream, entry)
        async for record in super().read(stream, after=after, subject=subject):
            if record.seq <= last_seq:
                yield record


class ChangingShop:
    """Index `shop`, and the commands and drafts that change it. now: time of the shop's clock"""

    def __init__(self, folder: Path) -> None:
        self.now = NOW
        self.log, self.serving = RewrittenLog(), Serving()
        self._copy = ControlCopy(folder / COPY_NAME)
        self.history = ControlHistory(self._copy)
        self.commands = Commands(self.log, self.serving, Rulebooks(), self.history, self.clock)
        self.drafts = Drafts(self.log, self.serving, self.commands, self.history, self.clock)

    def clock(self) -> datetime:
        return self.now

    @property
    def index(self) -> IndexControl:
        return self.serving.current.control.index("shop")

    async def store(self, event: ControlEvent) -> None:
        """Append an event to CONTROL as another service would, and wait until it is served."""
        seq = await self.log.append("CONTROL", Entry(control_subject("shop"), encode(event), event.id))
        await self.serving.wait_until(lambda state: state.control.seq >= seq, 10.0, f"CONTROL {seq}")

    async def change(self, event_id: str, *edits: Edit) -> None:
        """Store a change of these edits; see `store`."""
        await self.store(ChangePublished(id=event_id, timestamp=self.now, index="shop", edits=edits))

    async def follow(self) -> None:
        async for record in self.log.follow("CONTROL"):
            state = fold_message(self.serving.current.control, record.data, record.seq)
            self._copy.confirm(record, state.chain)
            await self.serving.set_control(state)

    def close(self) -> None:
        self._copy.close()


@asynccontextmanager
async def changing_shop(folder: Path) -> AsyncIterator[ChangingShop]:
    """A shop with an index of `tests.factories.SETTINGS`."""
    shop = ChangingShop(folder)
    following = asyncio.create_task(shop.follow())
    try:
        weights = default_weights(SETTINGS)
        await shop.store(
            IndexConfigured(id="1", timestamp=NOW, index="shop", settings=SETTINGS, default_weights=weights)
        )
        yield shop
    finally:
        await end([following])
        shop.close()
