"""Every index there ever was, and when it was deleted, folded from CONTROL. Streams may still hold its messages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from events.codec import decode_control
from events.log import EventLog, Record
from events.streams import catalog_filter, exploration_subject, signals_filter
from events.types import IndexConfigured, IndexDeleted

# How the messages begin that are read: the tag is the first member.
_TAGS: Final = (b'{"type":"index_configured.', b'{"type":"index_deleted.')


class IndexLife(msgspec.Struct, frozen=True):
    """One index, from its creation on. Another of the same name is another one.

    deleted_at: when the log stored its deletion; None while it exists
    """

    name: str
    created_seq: int
    deleted_at: datetime | None = None

    @property
    def catalog_subject(self) -> str:
        """The subject of all its documents."""
        return catalog_filter(self.name, self.created_seq)

    @property
    def signals_subjects(self) -> tuple[str, str]:
        """The subjects of what was learnt: about its documents, and about it."""
        return signals_filter(self.name, self.created_seq), exploration_subject(self.name, self.created_seq)


class IndexLives:
    """The lives of indexes, as far as CONTROL was read."""

    def __init__(self) -> None:
        self._seq = 0
        self._existing: dict[str, IndexLife] = {}
        self._deleted: list[IndexLife] = []

    @property
    def existing(self) -> Sequence[IndexLife]:
        return list(self._existing.values())

    @property
    def deleted(self) -> Sequence[IndexLife]:
        """Those that are no more, in the order of their deletion."""
        return self._deleted

    async def update(self, event_log: EventLog) -> None:
        """Read what CONTROL has since the last time. Raises Unavailable, Corrupt, and LaterVersion."""
        async for record in event_log.read("CONTROL", after=self._seq):
            self.apply(record)

    def apply(self, record: Record) -> None:
        """Fold one message of CONTROL. Raises Corrupt and LaterVersion."""
        event = decode_control(record.data) if record.data.startswith(_TAGS) else None
        if isinstance(event, IndexConfigured) and event.index not in self._existing:
            self._existing[event.index] = IndexLife(event.index, record.seq)
        elif isinstance(event, IndexDeleted) and event.index in self._existing:
            life = self._existing.pop(event.index)
            self._deleted.append(msgspec.structs.replace(life, deleted_at=record.timestamp))
        self._seq = record.seq
