"""A draft, as it is read from DRAFTS and written back. Pure data."""

from __future__ import annotations

from datetime import datetime

import msgspec

from events.edits import Edit
from events.types import Approval, DraftSaved, Schedule
from searchsvc.changes.differences import Difference


class Draft(msgspec.Struct, frozen=True):
    """Edits of an index that are not published.

    version: sequence in DRAFTS of its newest form
    created_seq: CONTROL sequence that created the index
    base_seq: CONTROL sequence that the author saw
    saved_as: id of the event that saved this form
    approvals: of exactly these edits; saving other edits ends them
    schedule: when to publish exactly these edits; saving other edits ends it
    """

    id: str
    index: str
    edits: tuple[Edit, ...]
    reason: str
    actor: str
    timestamp: datetime
    version: int
    created_seq: int
    base_seq: int
    saved_as: str = ""
    source: str = ""
    approvals: tuple[Approval, ...] = ()
    schedule: Schedule | None = None

    @property
    def approved_by(self) -> set[str]:
        """Actors who approved it, other than its author."""
        return {approval.actor for approval in self.approvals} - {self.actor}


class DraftStatus(msgspec.Struct, frozen=True):
    """What a draft would do if it were published now.

    changed: what it would change of the index
    conflicts: what it edits that others have changed since its author looked
    problem: why it cannot be published; '' if it can
    approvals_missing: how many approvals the index still requires
    """

    draft: Draft
    changed: Difference
    conflicts: list[str]
    problem: str
    approvals_missing: int = 0


def draft_of(event: DraftSaved, version: int) -> Draft:
    """Return the draft that an event saved.

    version: sequence of the event in DRAFTS
    """
    return Draft(
        id=event.draft,
        index=event.index,
        edits=event.edits,
        reason=event.reason,
        actor=event.actor,
        timestamp=event.timestamp,
        version=version,
        created_seq=event.created_seq,
        base_seq=event.base_seq,
        saved_as=event.id,
        source=event.source,
        approvals=event.approvals,
        schedule=event.schedule,
    )


def saved_event(draft: Draft, event_id: str) -> DraftSaved:
    """Return the event that saves a draft with the same edits and author again, such as with another approval."""
    return DraftSaved(
        id=event_id,
        timestamp=draft.timestamp,
        index=draft.index,
        actor=draft.actor,
        reason=draft.reason,
        source=draft.source,
        draft=draft.id,
        created_seq=draft.created_seq,
        base_seq=draft.base_seq,
        edits=draft.edits,
        approvals=draft.approvals,
        schedule=draft.schedule,
    )
