"""The audit trail: every message of CONTROL with who, when, why, from where, and what it changed."""

from __future__ import annotations

from datetime import datetime

import msgspec

from events.errors import NotFound, require
from events.history import ControlHistory, HistoryStep
from events.types import ChangePublished, ChangeRefused, Skipped
from searchsvc.changes.differences import Difference, difference
from searchsvc.runtime.pages import Page


class AuditEntry(msgspec.Struct, frozen=True):
    """One message of CONTROL.

    timestamp: when the log stored it
    kind: tag of the event, without its version
    undoes: see `events.types.ChangePublished`
    restores: see `events.types.ChangePublished`
    event: JSON of the event, byte for byte as stored
    chain: SHA-256 over the chain before and these bytes
    refused: why a policy did not allow it; '' if it was allowed
    """

    seq: int
    timestamp: datetime
    kind: str
    index: str
    actor: str
    actor_verified: bool
    source: str
    reason: str
    undoes: int | None
    restores: int | None
    changed: Difference
    event: msgspec.Raw
    chain: str
    refused: str = ""

    def describe(self) -> str:
        """Return what the message did, in words."""
        if self.refused:
            return f"refused: {self.refused}"
        if self.undoes:
            return f"reverts {self.undoes}: {self.changed.describe()}"
        if self.restores:
            return f"as of {self.restores}: {self.changed.describe()}"
        return self.changed.describe()


class AuditPage(msgspec.Struct, frozen=True):
    """Some entries, oldest first.

    next_after: the next page begins after this sequence, and may be empty; None if this is the last page
    """

    entries: list[AuditEntry]
    next_after: int | None


class Audit:
    """Reads the audit trail from files: not for the event loop."""

    def __init__(self, history: ControlHistory) -> None:
        self._history = history

    def entry(self, seq: int) -> AuditEntry:
        """Return one entry. Raises NotFound."""
        if not 1 <= seq <= self._history.seq:
            limit = f"1 to {self._history.seq}"
            raise NotFound(f"there is no change {seq}; allowed: {limit}", field="seq", value=seq, limit=limit)
        return describe_step(self._history.step(seq))

    def page(self, index: str, after: int, limit: int) -> AuditPage:
        """Return the first entries past a sequence, as many as fit a page.

        index: only changes of this index; '' for all
        limit: maximum number of entries

        Raises InvalidInput.
        """
        require(after >= 0, "after", after, "0 or more")
        page = Page[AuditEntry](limit)
        last_seq = self._history.seq
        for step in self._history.steps(min(after, last_seq), last_seq):
            entry = describe_step(step)
            if index in ("", entry.index) and not page.add(entry, len(msgspec.json.encode(entry))):
                return AuditPage(page.items, page.items[-1].seq)
        return AuditPage(page.items, None)

    def between(self, index: str, first: int, last: int) -> Difference:
        """Return what differs of an index between two sequences. Raises NotFound if it existed at neither."""
        before, after = (self._history.state_at(seq).indexes.get(index) for seq in (first, last))
        if before is None and after is None:
            message = f"there was no index {index[:80]!r} at sequence {first}, nor at {last}"
            raise NotFound(message, field="index", value=index)
        return difference(before, after)


def describe_step(step: HistoryStep) -> AuditEntry:
    """Return the entry of a message."""
    event, record = step.event, step.record
    data = msgspec.Raw(bytes(record.data))
    if isinstance(event, Skipped):
        return AuditEntry(
            seq=record.seq,
            timestamp=record.timestamp,
            kind=event.type,
            index="",
            actor="",
            actor_verified=False,
            source="",
            reason="",
            undoes=None,
            restores=None,
            changed=Difference(),
            event=data,
            chain=record.chain,
        )
    change = event if isinstance(event, ChangePublished) else None
    return AuditEntry(
        seq=record.seq,
        timestamp=record.timestamp,
        kind=str(event.__struct_config__.tag).partition(".")[0],
        index=event.index,
        actor=event.actor,
        actor_verified=event.actor_verified,
        source=event.source,
        reason=event.reason,
        undoes=change.undoes if change is not None else None,
        restores=change.restores if change is not None else None,
        changed=difference(step.before.indexes.get(event.index), step.after.indexes.get(event.index)),
        event=data,
        chain=record.chain,
        refused=event.detail if isinstance(event, ChangeRefused) else "",
    )
