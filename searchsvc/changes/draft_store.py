"""Drafts in DRAFTS: each as a whole under one subject. Nothing is folded, so all services see the same."""

from __future__ import annotations

import uuid

import msgspec

from events.codec import decode_draft, encode
from events.index_control import IndexControl
from events.log import Entry, EventLog, read_newest
from events.streams import draft_subject, drafts_filter
from events.types import DraftDeleted, DraftSaved, Skipped
from searchsvc.changes.author import Author
from searchsvc.changes.draft import Draft, draft_of, saved_event
from searchsvc.runtime.clock import Clock


class StoredDraft(msgspec.Struct, frozen=True):
    """What DRAFTS has under the subject of a draft.

    seq: sequence of the newest event
    draft: None if that event deleted it, if it is published, or if it belongs to a former index of the name
    """

    seq: int
    draft: Draft | None


class DraftStore:
    """Reads and writes DRAFTS.

    clock: the current time
    """

    def __init__(self, event_log: EventLog, clock: Clock) -> None:
        self._log = event_log
        self._clock = clock

    async def read(self, index: IndexControl, draft: str | None = None) -> dict[str, StoredDraft]:
        """Return the drafts of an index, by id.

        draft: read only this one; None for all
        """
        subject = drafts_filter(index.name) if draft is None else draft_subject(index.name, draft)
        stored: dict[str, StoredDraft] = {}
        for record in (await read_newest(self._log, "DRAFTS", subject)).values():
            event = decode_draft(record.data)
            if isinstance(event, Skipped):
                continue
            is_current = (
                isinstance(event, DraftSaved)
                and event.created_seq == index.created_seq
                # One that was published may not be deleted yet.
                and index.published.get(event.draft) != event.id
            )
            saved = draft_of(event, record.seq) if isinstance(event, DraftSaved) and is_current else None
            stored[event.draft] = StoredDraft(record.seq, saved)
        return stored

    async def save(self, event: DraftSaved, expected_seq: int | None) -> Draft:
        """Store a draft.

        expected_seq: sequence of the newest event of the draft, 0 for none; None for any

        Raises Conflict if `expected_seq` is stale.
        """
        entry = Entry(draft_subject(event.index, event.draft), encode(event), event.id, expected_seq)
        version = await self._log.append("DRAFTS", entry)
        return draft_of(event, version)

    async def save_again(self, draft: Draft) -> Draft:
        """Store a draft with the same edits, in place of its version. Raises Conflict if that is stale."""
        return await self.save(saved_event(draft, uuid.uuid4().hex), draft.version)

    async def delete(self, index: str, draft: str, author: Author, *, version: int | None = None) -> None:
        """Delete a draft.

        version: delete only this version; None for any

        Raises Conflict if `version` is stale.
        """
        event = DraftDeleted(
            id=uuid.uuid4().hex,
            timestamp=self._clock(),
            index=index,
            actor=author.actor,
            reason=author.reason,
            source=author.source,
            draft=draft,
        )
        entry = Entry(draft_subject(index, draft), encode(event), event.id, version)
        await self._log.append("DRAFTS", entry)
