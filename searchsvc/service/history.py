"""Look at the changes of CONTROL: who changed what, when and why."""

from __future__ import annotations

import asyncio

import msgspec

from events.history import ControlHistory
from events.point_in_time import parse_point_in_time
from searchsvc.changes.audit import Audit, AuditEntry, AuditPage
from searchsvc.changes.differences import Difference


class DifferenceBetween(msgspec.Struct, frozen=True):
    """What of an index differs between two CONTROL sequences."""

    from_seq: int
    to_seq: int
    changed: Difference


class ChangeHistory:
    """Every change there was. Files are read on threads."""

    def __init__(self, history: ControlHistory) -> None:
        self._history = history
        self._audit = Audit(history)

    @property
    def last_seq(self) -> int:
        """CONTROL sequence of the last change."""
        return self._history.seq

    async def entry(self, seq: int) -> AuditEntry:
        """Read one change. Raises NotFound."""
        return await asyncio.to_thread(self._audit.entry, seq)

    async def page(self, index: str, after: int, limit: int) -> AuditPage:
        """Read the first changes past a sequence, as many as fit a page.

        index: only changes of this index; '' for all

        Raises InvalidInput.
        """
        return await asyncio.to_thread(self._audit.page, index, after, limit)

    async def difference(self, index: str, since: str, until: str) -> DifferenceBetween:
        """Return what differs between two moments.

        since: a CONTROL sequence or an RFC 3339 time; '' for now
        until: the same

        Raises InvalidInput, and NotFound if the index existed at neither.
        """
        first, last = self._seq(since, "from"), self._seq(until, "to")
        return DifferenceBetween(first, last, await asyncio.to_thread(self._audit.between, index, first, last))

    def _seq(self, text: str, field: str) -> int:
        return self._history.seq_at(parse_point_in_time(text, field) if text else self._history.seq, field)
