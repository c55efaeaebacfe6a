"""Messages of CATALOG that wait to be indexed, bounded by number and by bytes."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from events.log import Record
from events.sizes import MIB

MAX_DOCUMENTS: Final = 512
MAX_BYTES: Final = 8 * MIB
# Of one batch. Analysing a text takes many times its size.
BATCH_DOCUMENTS: Final = 256
BATCH_BYTES: Final = 4 * MIB


class Inbox:
    """A queue for one writer and one reader. A message that is larger than the limit fits in alone."""

    def __init__(self) -> None:
        self._records: deque[Record] = deque()
        self._n_bytes = 0
        self._changed = asyncio.Condition()

    async def put(self, record: Record) -> None:
        """Add a message once there is room."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._has_room(record))
            self._records.append(record)
            self._n_bytes += len(record.data)
            self._changed.notify_all()

    async def take(self) -> list[Record]:
        """Wait for a message; return it and those after it, as far as they fit into a batch."""
        async with self._changed:
            await self._changed.wait_for(lambda: bool(self._records))
            batch = Batch()
            while self._records and not batch.is_full_with(self._records[0]):
                record = self._records.popleft()
                self._n_bytes -= len(record.data)
                batch.add(record)
            self._changed.notify_all()
            return batch.records

    def _has_room(self, record: Record) -> bool:
        n_bytes = self._n_bytes + len(record.data)
        return not self._records or (len(self._records) < MAX_DOCUMENTS and n_bytes <= MAX_BYTES)


class Batch:
    """Messages to index at once.

    n_documents: how many it takes at most
    """

    def __init__(self, n_documents: int = BATCH_DOCUMENTS) -> None:
        self.records: list[Record] = []
        self._n_documents = n_documents
        self._n_bytes = 0

    def is_full_with(self, record: Record) -> bool:
        """Return whether a message is too much. The first never is."""
        if not self.records:
            return False
        return len(self.records) == self._n_documents or self._n_bytes + len(record.data) > BATCH_BYTES

    def add(self, record: Record) -> None:
        self.records.append(record)
        self._n_bytes += len(record.data)
