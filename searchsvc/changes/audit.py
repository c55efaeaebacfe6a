"""Every change there was: who made it, when, from where, why, and what it changed from what to what."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

import msgspec

from events.errors import NotFound, require
from events.history import ControlHistory, Step
from events.types import ChangePublished, ChangeRefused, Skipped
from searchsvc.changes.differences import Difference, difference

MAX_ENTRIES: Final = 1000


class AuditEntry(msgspec.Struct, frozen=True):
    """One message of CONTROL. timestamp: when the log stored it. kind: of event. undoes, restores: see
    `events.types.ChangePublished`. event: its JSON, byte for byte; chain: SHA-256 of the chain before and these bytes.
    refused: why a policy did not allow it; '' where it counts.
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


class Audit:
    """Reads files: not for the event loop."""

    def __init__(self, history: ControlHistory) -> None:
        self._history = history

    def entry(self, seq: int) -> AuditEntry:
        """Raises NotFound."""
        if not 1 <= seq <= self._history.seq:
            limit = f"1 to {self._history.seq}"
            raise NotFound(f"there is no change {seq}; allowed: {limit}", field="seq", value=seq, limit=limit)
        return next(_entry(step) for step in self._history.steps(seq - 1, seq))

    def entries(self, index: str, after: int, limit: int) -> list[AuditEntry]:
        """The first changes past a sequence. index: only changes of this; '' for all. Raises InvalidInput."""
        require(after >= 0, "after", after, "0 or more")
        require(1 <= limit <= MAX_ENTRIES, "limit", limit, f"1 to {MAX_ENTRIES}")
        found: list[AuditEntry] = []
        for step in self._steps(min(after, self._history.seq)):
            entry = _entry(step)
            if not index or entry.index == index:
                found.append(entry)
            if len(found) == limit:
                break
        return found

    def between(self, index: str, first: int, last: int) -> Difference:
        """What of an index differs between two sequences. Raises NotFound where there was no such index at either."""
        before, after = (self._history.at(seq).indexes.get(index) for seq in (first, last))
        if before is None and after is None:
            message = f"there was no index {index[:80]!r} at sequence {first}, nor at {last}"
            raise NotFound(message, field="index", value=index)
        return difference(before, after)

    def _steps(self, after: int) -> Iterator[Step]:
        return self._history.steps(after, self._history.seq)


def _entry(step: Step) -> AuditEntry:
    event, record = step.event, step.record
    data = msgspec.Raw(bytes(record.data))
    if isinstance(event, Skipped):
        nothing = Difference()
        return AuditEntry(
            record.seq, record.timestamp, event.type, "", "", False, "", "", None, None, nothing, data, record.chain
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
