"""Changes: undoing them, and looking at them."""

from __future__ import annotations

import msgspec

from events.errors import require
from searchsvc.changes.audit import AuditEntry
from searchsvc.changes.differences import Difference
from searchsvc.service.history import ChangeHistory


class RollbackInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an index is set back to; exactly one of to_version, to_time and to_seq.

    to_version: version of the weights; rules stay
    to_time: RFC 3339 time; weights and rules as they were then
    to_seq: CONTROL sequence; weights and rules as they were then
    """

    to_version: int | None = None
    to_time: str | None = None
    to_seq: int | None = None
    reason: str = ""

    def target(self) -> tuple[str, int | str]:
        """Return the name and value of the member that is present. Raises InvalidInput unless exactly one is."""
        members = (("to_version", self.to_version), ("to_time", self.to_time), ("to_seq", self.to_seq))
        present = [(name, value) for name, value in members if value is not None]
        names = " and ".join(name for name, _ in present) or "none of them"
        require(len(present) == 1, "to_version", names, "one of to_version, to_time and to_seq")
        return present[0]


class RevertInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to take back one change.

    force: also take back what was changed again since
    """

    reason: str = ""
    force: bool = False


class ChangedAnswer(msgspec.Struct, frozen=True):
    """A change, already served.

    seq: CONTROL sequence of the change
    changed: every changed value, before and after
    """

    seq: int
    changed: Difference

    @staticmethod
    async def from_seq(seq: int, history: ChangeHistory) -> ChangedAnswer:
        """Describe a change that was just made."""
        return ChangedAnswer(seq, (await history.entry(seq)).changed)


class AuditQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which changes to list.

    index: only changes of this index; '' for all
    after: only changes past this CONTROL sequence
    limit: number of changes, at most; a page may hold fewer and have a next one
    """

    index: str = ""
    after: int = 0
    limit: int = 100


class AuditList(msgspec.Struct, frozen=True):
    """Changes, oldest first.

    last_seq: CONTROL sequence of the last change there is
    next_after: `after` of the next page; null if this is the last one
    """

    entries: list[AuditEntry]
    last_seq: int
    next_after: int | None = None


class DifferenceQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Two moments to compare.

    since: a CONTROL sequence or an RFC 3339 time; '' for now; `from` in the query string
    to: the same
    """

    since: str = msgspec.field(default="", name="from")
    to: str = ""


class DifferenceInfo(msgspec.Struct, frozen=True):
    """What of an index differs between two moments.

    from_seq: last CONTROL sequence in force at the first moment
    to_seq: last CONTROL sequence in force at the second moment
    """

    index: str
    from_seq: int
    to_seq: int
    changed: Difference
