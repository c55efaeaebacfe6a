"""Drafts: edits that are put together, previewed and approved before they are published."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

import msgspec

from events.control import ControlState
from events.edits import Edit
from events.errors import WITH_ZONE, Conflict, InvalidInput, NotFound, Unavailable, require
from events.history import ControlHistory
from events.index_control import IndexControl
from events.log import EventLog
from events.rule_checks import check_rule_id
from events.types import Approval, DraftSaved, Schedule
from searchsvc.changes.author import Author
from searchsvc.changes.command import Origin
from searchsvc.changes.commands import Commands
from searchsvc.changes.control_writer import Changed
from searchsvc.changes.differences import difference
from searchsvc.changes.draft import Draft, DraftStatus
from searchsvc.changes.draft_edits import DraftEdits, changed_since, check_draft, with_draft
from searchsvc.changes.draft_store import DraftStore
from searchsvc.changes.edit_checks import error_path
from searchsvc.changes.requested_edits import require_unchanged
from searchsvc.runtime.clock import Clock, utc_now
from searchsvc.state.serving import Serving

MAX_EDITS: Final = 1000
MAX_DRAFTS: Final = 200
MAX_AHEAD: Final = timedelta(days=366)
REASON: Final = "a reason: it is what others will read"


class Drafts:
    """Saves, approves, schedules and publishes drafts.

    event_log: where DRAFTS is
    serving: the newest state of the indexes
    commands: checks edits and publishes them
    history: past states, to see what changed since a draft was saved
    clock: the current time
    """

    def __init__(
        self,
        event_log: EventLog,
        serving: Serving,
        commands: Commands,
        history: ControlHistory,
        clock: Clock = utc_now,
    ) -> None:
        self._store = DraftStore(event_log, clock)
        self._serving = serving
        self._commands = commands
        self._history = history
        self._clock = clock

    async def drafts_of(self, index: str) -> list[Draft]:
        """Return all drafts of an index, by id. Raises NotFound if there is no such index."""
        stored = await self._store.read(self._serving.current.control.index(index))
        return [entry.draft for _, entry in sorted(stored.items()) if entry.draft is not None]

    async def get(self, index: str, draft_id: str) -> Draft:
        """Return a draft. Raises NotFound."""
        stored = (await self._store.read(self._serving.current.control.index(index), draft_id)).get(draft_id)
        if stored is None or stored.draft is None:
            raise NotFound(f"index {index} has no draft {draft_id[:80]!r}", field="draft", value=draft_id)
        return stored.draft

    async def save(
        self, index: str, draft_id: str, edits: Sequence[Edit], expected_version: int | None, author: Author
    ) -> Draft:
        """Write a draft as a whole, based on the index as it is now.

        expected_version: version of the draft that the caller knows, 0 for none; None for any

        Raises InvalidInput, naming the edit that is not valid, and Conflict if `expected_version` is stale.
        """
        check_rule_id(draft_id, "draft")
        author.check()
        require(1 <= len(edits) <= MAX_EDITS, "edits", len(edits), f"1 to {MAX_EDITS} edits")
        state = self._serving.current.control
        control = state.index(index)
        await self._check_each(index, edits)
        await asyncio.to_thread(check_draft, control, edits, self._commands.check_together)
        # One read for both: the version that is checked is the one that the append expects.
        stored = await self._store.read(control)
        versions = {name: entry.draft.version for name, entry in stored.items() if entry.draft is not None}
        require(len({*versions, draft_id}) <= MAX_DRAFTS, "draft", len(versions), f"at most {MAX_DRAFTS} drafts")
        require_unchanged(
            f"draft {draft_id} is at version", "expected_version", expected_version, versions.get(draft_id, 0)
        )
        last_seq = stored[draft_id].seq if draft_id in stored else 0
        event = DraftSaved(
            id=uuid.uuid4().hex,
            timestamp=self._clock(),
            index=index,
            actor=author.actor,
            reason=author.reason,
            source=author.source,
            draft=draft_id,
            created_seq=control.created_seq,
            base_seq=state.seq,
            edits=tuple(edits),
        )
        return await self._store.save(event, None if expected_version is None else last_seq)

    async def delete(self, index: str, draft_id: str, author: Author) -> None:
        """Delete a draft. Raises NotFound."""
        await self.get(index, draft_id)
        await self._store.delete(index, draft_id, author)

    async def approve(self, index: str, draft_id: str, expected_version: int | None, author: Author) -> Draft:
        """Approve a draft in the name of the caller, who must not be its author.

        expected_version: version of the draft that the caller saw; None for any

        Raises NotFound, Conflict, and InvalidInput if the caller has no name or is the author.
        """
        author.check()
        draft = await self.get(index, draft_id)
        require_unchanged(f"draft {draft_id} is at version", "expected_version", expected_version, draft.version)
        limit = "an actor other than its author, by name (X-Searchsvc-Actor)"
        require(author.actor not in ("", "anonymous", draft.actor), "actor", author.actor, limit)
        approval = Approval(author.actor, self._clock(), reason=author.reason, source=author.source)
        others = tuple(earlier for earlier in draft.approvals if earlier.actor != author.actor)
        return await self._store.save_again(msgspec.structs.replace(draft, approvals=(*others, approval)))

    async def schedule(self, index: str, draft_id: str, publish_at: datetime, author: Author) -> Draft:
        """Have a draft published at a time, in the name of the caller.

        Raises NotFound, Conflict, and InvalidInput for a time that is past or too far ahead.
        """
        author.check()
        require(bool(author.reason.strip()), "reason", author.reason, REASON)
        now = self._clock()
        require(publish_at.tzinfo is not None, "publish_at", str(publish_at), WITH_ZONE)
        limit = f"a time from now on, at most {MAX_AHEAD.days} days ahead"
        require(now < publish_at <= now + MAX_AHEAD, "publish_at", publish_at.isoformat(), limit)
        draft = await self.get(index, draft_id)
        schedule = Schedule(publish_at, author.actor, now, author.reason, source=author.source)
        return await self._store.save_again(msgspec.structs.replace(draft, schedule=schedule))

    async def unschedule(self, index: str, draft_id: str, author: Author) -> Draft:
        """End the schedule of a draft. Raises NotFound, Conflict, and InvalidInput if it has none."""
        author.check()
        draft = await self.get(index, draft_id)
        require(draft.schedule is not None, "draft", draft_id, "a draft that is scheduled")
        return await self._store.save_again(msgspec.structs.replace(draft, schedule=None))

    async def status(self, index: str, draft_id: str) -> DraftStatus:
        """Return what a draft would do if it were published now. Raises NotFound and Unavailable."""
        draft = await self.get(index, draft_id)
        base = await asyncio.to_thread(self._base, draft)
        state = self._serving.current.control
        now, after = state.index(index), with_draft(state, draft).index(index)
        problem = ""
        try:
            await asyncio.to_thread(check_draft, now, draft.edits, self._commands.check_together)
        except InvalidInput as error:
            problem = error.message
        n_missing = max(now.policy.approvals - len(draft.approved_by), 0)
        conflicts = changed_since(base, now, draft.edits)
        return DraftStatus(draft, difference(now, after), conflicts, problem, n_missing)

    async def control_with(self, index: str, draft_id: str) -> ControlState:
        """Return CONTROL as it would be with a draft published now. Raises NotFound."""
        return with_draft(self._serving.current.control, await self.get(index, draft_id))

    async def publish(
        self,
        index: str,
        draft_id: str,
        author: Author,
        *,
        force: bool,
        version: int | None = None,
    ) -> Changed:
        """Publish all edits of a draft as one change of the index as it is now, and delete the draft.

        force: publish even if others have changed what the draft edits since it was saved
        version: publish only this version; None for any

        Raises NotFound if the draft is gone or was published before.
        Raises Conflict, naming it, if others have changed what the draft edits and `force` is not set.
        Raises Forbidden if a policy does not allow it.
        """
        require(bool(author.reason.strip()), "reason", author.reason, REASON)
        draft = await self.get(index, draft_id)
        require_unchanged(f"draft {draft_id} is at version", "version", version, draft.version)
        base = await asyncio.to_thread(self._base, draft)
        # Documents may have changed since the draft was saved.
        await self._check_each(index, draft.edits)
        draft_edits = DraftEdits(draft, base, force, self._commands.check_together)
        origin = Origin(draft=draft_id, draft_event=draft.saved_as, approved_by=draft.approved_by)
        changed = await self._commands.publish(index, draft_edits.edits, author, origin)
        # The edits are published, even if deleting the draft fails: a draft that was saved again meanwhile stays.
        with suppress(Conflict, Unavailable):
            await self._store.delete(index, draft_id, author, version=draft.version)
        return changed

    async def publish_scheduled(self, draft: Draft) -> None:
        """Publish a draft whose time has come; if that is not possible, record the reason in the draft.

        Raises Unavailable if it is to be tried again.
        """
        schedule = draft.schedule
        if schedule is None or schedule.failure:
            return
        author = Author(schedule.actor, schedule.reason, schedule.source)
        try:
            await self.publish(draft.index, draft.id, author, force=False, version=draft.version)
        except NotFound:
            return  # it was deleted, or another service published it first
        except InvalidInput as error:
            failed = msgspec.structs.replace(schedule, failure=error.message)
            with suppress(Conflict):
                await self._store.save_again(msgspec.structs.replace(draft, schedule=failed))

    async def _check_each(self, index: str, edits: Sequence[Edit]) -> None:
        """Raise InvalidInput, naming the edit, if one is not valid by itself or for the documents of the index."""
        for i, edit in enumerate(edits):
            with error_path(f"edits[{i}]"):
                await self._commands.check(index, edit)

    def _base(self, draft: Draft) -> IndexControl:
        """Return the index as the author of a draft saw it. Reads files.

        Raises Unavailable if this service has not applied that state yet.
        """
        if draft.base_seq > self._history.seq:
            raise Unavailable(f"CONTROL {draft.base_seq}, which draft {draft.id} is based on, is not applied here yet")
        return self._history.state_at(draft.base_seq).index(draft.index)
