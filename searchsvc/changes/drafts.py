"""Drafts: changes that are put together and looked at before anybody ranks by them.

A draft lies in a stream of its own, whole, under one subject; nothing is folded, so all services see the same. What it
would do is what CONTROL folds to with its edits.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from events.codec import decode_draft, encode
from events.control import ControlState, fold
from events.edits import (
    DeleteRule,
    DeleteSegment,
    Edit,
    SetLearning,
    SetLimits,
    SetPolicy,
    SetRule,
    SetSegment,
    SetTrial,
    SetWeights,
)
from events.errors import WITH_ZONE, Conflict, InvalidInput, NotFound, Unavailable, require
from events.history import ControlHistory
from events.index_control import IndexControl
from events.log import Entry, EventLog, read_newest
from events.rules import check_rule_id
from events.streams import draft_subject, drafts_filter
from events.types import Approval, ChangePublished, DraftDeleted, DraftSaved, Schedule, Skipped
from searchsvc.changes.commands import Author, Changed, Commands, require_unchanged
from searchsvc.changes.differences import WHOLE, Difference, difference
from searchsvc.changes.edit_checks import under
from searchsvc.changes.policies import part_of
from searchsvc.runtime.clock import Clock, utc_now
from searchsvc.state.serving import Serving
from tuning.weights import check_weights

MAX_EDITS: Final = 1000
MAX_DRAFTS: Final = 200
MAX_AHEAD: Final = timedelta(days=366)
REASON: Final = "a reason: it is what others will read"


class Draft(msgspec.Struct, frozen=True):
    """version: where its newest form stands in DRAFTS; saved_as: the id of that event. base_seq: the CONTROL sequence
    that its author saw. approvals, schedule: of these very edits; who writes the draft again ends both."""

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
        """Others than its author."""
        return {one.actor for one in self.approvals} - {self.actor}


class DraftStatus(msgspec.Struct, frozen=True):
    """What a draft would do now. changed: to the index as it is. conflicts: what it edits that was changed otherwise
    since its author looked. problem: why it cannot be published; '' where it can. approvals_missing: how many the index
    still asks for."""

    draft: Draft
    changed: Difference
    conflicts: list[str]
    problem: str
    approvals_missing: int = 0


class Drafts:
    """All drafts of a service. history: to see what moved since a draft was written."""

    def __init__(
        self,
        event_log: EventLog,
        serving: Serving,
        commands: Commands,
        history: ControlHistory,
        clock: Clock = utc_now,
    ) -> None:
        self._clock = clock
        self._log = event_log
        self._serving = serving
        self._commands = commands
        self._history = history

    async def save(
        self, index: str, draft: str, edits: Sequence[Edit], expected_version: int | None, author: Author
    ) -> Draft:
        """Write a draft whole, on the index as it is now. Raises InvalidInput naming the edit that cannot be honoured,
        and Conflict where `expected_version` is not its version; 0 for none yet."""
        check_rule_id(draft, "draft")
        author.check()
        require(1 <= len(edits) <= MAX_EDITS, "edits", len(edits), f"1 to {MAX_EDITS} edits")
        state = self._serving.current.control
        control = state.index(index)
        for i, edit in enumerate(edits):
            with under(f"edits[{i}]"):
                await self._commands.check(index, edit)
        self._check_together(state, control, edits)
        # One look at all: what the draft is held against is what nobody else may have come before.
        newest = await self._newest(drafts_filter(index), control.created_seq)
        known = {name: one.version for name, (_, one) in newest.items() if one is not None}
        require(len({*known, draft}) <= MAX_DRAFTS, "draft", len(known), f"at most {MAX_DRAFTS} drafts")
        require_unchanged(f"draft {draft} is at version", "expected_version", expected_version, known.get(draft, 0))
        event = DraftSaved(
            id=uuid.uuid4().hex,
            timestamp=self._clock(),
            index=index,
            actor=author.actor,
            reason=author.reason,
            source=author.source,
            draft=draft,
            created_seq=control.created_seq,
            base_seq=state.seq,
            edits=tuple(edits),
        )
        return await self._save(event, None if expected_version is None else newest.get(draft, (0, None))[0])

    async def _save(self, event: DraftSaved, expected_subject_seq: int | None) -> Draft:
        entry = Entry(draft_subject(event.index, event.draft), encode(event), event.id)
        version = await self._log.append("DRAFTS", entry, expected_subject_seq=expected_subject_seq)
        return draft_of(event, version)

    async def approve(self, index: str, draft: str, expected_version: int | None, author: Author) -> Draft:
        """Say that somebody else than its author wants a draft published. Raises NotFound, Conflict, and InvalidInput
        where that is nobody, or its author."""
        author.check()
        found = await self.get(index, draft)
        require_unchanged(f"draft {draft} is at version", "expected_version", expected_version, found.version)
        limit = "somebody else than its author, by name (X-Searchsvc-Actor)"
        require(author.actor not in ("", "anonymous", found.actor), "actor", author.actor, limit)
        approval = Approval(author.actor, self._clock(), reason=author.reason, source=author.source)
        others = tuple(one for one in found.approvals if one.actor != author.actor)
        return await self._save(_event(found, approvals=(*others, approval)), found.version)

    async def schedule(self, index: str, draft: str, at: datetime, author: Author) -> Draft:
        """Have a draft published at a time, by whoever says so now. Raises NotFound, Conflict, and InvalidInput for a
        time that is past or too far off."""
        author.check()
        require(bool(author.reason.strip()), "reason", author.reason, REASON)
        now = self._clock()
        require(at.tzinfo is not None, "publish_at", str(at), WITH_ZONE)
        limit = f"a time from now on, at most {MAX_AHEAD.days} days ahead"
        require(now < at <= now + MAX_AHEAD, "publish_at", at.isoformat(), limit)
        found = await self.get(index, draft)
        schedule = Schedule(at, author.actor, now, author.reason, source=author.source)
        return await self._save(_event(found, schedule=schedule), found.version)

    async def unschedule(self, index: str, draft: str, author: Author) -> Draft:
        """Raises NotFound, and InvalidInput where it is not to be published at any time."""
        author.check()
        found = await self.get(index, draft)
        require(found.schedule is not None, "draft", draft, "a draft that is to be published at a time")
        return await self._save(_event(found, schedule=None), found.version)

    async def publish_scheduled(self, found: Draft) -> None:
        """Publish a draft whose time has come; where that cannot be, say so in the draft. Raises Unavailable: then it
        is to be tried again."""
        schedule = found.schedule
        if schedule is None or schedule.failure:
            return
        author = Author(schedule.actor, schedule.reason, schedule.source)
        try:
            await self.publish(found.index, found.id, author, force=False, version=found.version)
        except NotFound:
            return  # it was given up, or another service was first
        except InvalidInput as error:
            failed = msgspec.structs.replace(schedule, failure=error.message)
            with suppress(Conflict):
                await self._save(_event(found, schedule=failed), found.version)

    async def get(self, index: str, draft: str) -> Draft:
        """Raises NotFound."""
        found = [one for one in await self.of(index, draft) if one.id == draft]
        if not found:
            raise NotFound(f"index {index} has no draft {draft[:80]!r}", field="draft", value=draft)
        return found[0]

    async def of(self, index: str, draft: str | None = None) -> list[Draft]:
        """All drafts of an index that is served, by id; or only the one. Raises NotFound without the index."""
        created_seq = self._serving.current.control.index(index).created_seq
        subject = drafts_filter(index) if draft is None else draft_subject(index, draft)
        newest = await self._newest(subject, created_seq)
        return [one for _, (_, one) in sorted(newest.items()) if one is not None]

    async def _newest(self, subject: str, created_seq: int) -> dict[str, tuple[int, Draft | None]]:
        """By draft, where its last event stands, and the draft; None where that event ended it, where it was of an
        index that was created before this one, or where it is published: it may not be gone yet."""
        found: dict[str, tuple[int, Draft | None]] = {}
        indexes = self._serving.current.control.indexes
        published = {(name, *one) for name, index in indexes.items() for one in index.published.items()}
        for record in (await read_newest(self._log, "DRAFTS", subject)).values():
            event = decode_draft(record.data)
            if not isinstance(event, Skipped):
                saved = None
                if isinstance(event, DraftSaved) and event.created_seq == created_seq:
                    is_published = (event.index, event.draft, event.id) in published
                    saved = draft_of(event, record.seq) if not is_published else None
                found[event.draft] = record.seq, saved
        return found

    async def delete(self, index: str, draft: str, author: Author) -> None:
        """Raises NotFound."""
        await self.get(index, draft)
        await self._delete(index, draft, author)

    async def _delete(self, index: str, draft: str, author: Author, *, version: int | None = None) -> None:
        """version: only where that is the newest; else raises Conflict."""
        event = DraftDeleted(
            id=uuid.uuid4().hex,
            timestamp=self._clock(),
            index=index,
            actor=author.actor,
            reason=author.reason,
            source=author.source,
            draft=draft,
        )
        entry = Entry(draft_subject(index, draft), encode(event), event.id)
        await self._log.append("DRAFTS", entry, expected_subject_seq=version)

    async def status(self, index: str, draft: str) -> DraftStatus:
        """Raises NotFound."""
        found = await self.get(index, draft)
        state = self._serving.current.control
        base = await asyncio.to_thread(self._base, found)
        now = state.index(index)
        after = _with(state, index, found.edits).index(index)
        problem = ""
        try:
            self._check_together(state, now, found.edits)
        except InvalidInput as error:
            # The draft is there all the same.
            problem = error.message
        missing = max(now.policy.approvals - len(found.approved_by), 0)
        return DraftStatus(found, difference(now, after), _moved(base, now, found.edits), problem, missing)

    async def control_with(self, index: str, draft: str) -> ControlState:
        """CONTROL as it would be with a draft published now. Raises NotFound."""
        return with_draft(self._serving.current.control, await self.get(index, draft))

    async def publish(
        self,
        index: str,
        draft: str,
        author: Author,
        *,
        force: bool,
        version: int | None = None,
    ) -> Changed:
        """Make a draft count, all of it at once, on the index as it is by now; the draft is gone then. force: also
        where what it edits was changed otherwise since; else that raises Conflict, naming it. version: only this one.
        Raises NotFound where it was published before, Forbidden where a policy does not allow it."""
        require(bool(author.reason.strip()), "reason", author.reason, REASON)
        found = await self.get(index, draft)
        require_unchanged(f"draft {draft} is at version", "version", version, found.version)
        base = await asyncio.to_thread(self._base, found)
        for i, edit in enumerate(found.edits):
            # Documents may have come and gone since it was saved.
            with under(f"edits[{i}]"):
                await self._commands.check(index, edit)

        def edits(now: IndexControl) -> Sequence[Edit]:
            if now.published.get(draft) == found.saved_as:
                raise NotFound(f"draft {draft} of {index} is published already", field="draft", value=draft)
            moved = _moved(base, now, found.edits)
            if moved and not force:
                listed = ", ".join(moved)
                raise Conflict(
                    f"{listed} changed since draft {draft} was saved: save it again on what is there, or force it",
                    field=moved[0],
                    value=listed,
                    actual=now.config_version,
                )
            left = [edit for edit in found.edits if not (force and _is_done(now, edit))]
            self._check_together(self._serving.current.control, now, left)
            return left

        changed = await self._commands.publish(
            index, edits, author, draft=draft, draft_event=found.saved_as, approved_by=found.approved_by
        )
        # It counts by now, whatever becomes of the draft: one that was saved again meanwhile stays.
        with suppress(Conflict, Unavailable):
            await self._delete(index, draft, author, version=found.version)
        return changed

    def _base(self, draft: Draft) -> IndexControl:
        """The index as the author of a draft saw it. Raises Unavailable where another service is ahead of this one."""
        if draft.base_seq > self._history.seq:
            raise Unavailable(f"CONTROL {draft.base_seq}, which draft {draft.id} is based on, is not applied here yet")
        return self._history.at(draft.base_seq).index(draft.index)

    def _check_together(self, state: ControlState, before: IndexControl, edits: Sequence[Edit]) -> None:
        after = _with(state, before.name, edits).index(before.name)
        for i, edit in enumerate(edits):
            if isinstance(edit, SetSegment):
                with under(f"edits[{i}]"):
                    check_weights(edit.segment.weights, before.weights, after.bounds)
        self._commands.check_together(before, after, edits)


def with_draft(state: ControlState, draft: Draft) -> ControlState:
    """CONTROL as it would be with a draft. Raises NotFound where its index is gone."""
    state.index(draft.index)
    return _with(state, draft.index, draft.edits)


def _with(state: ControlState, index: str, edits: Sequence[Edit]) -> ControlState:
    """CONTROL with some edits, which are nowhere yet."""
    event = ChangePublished(id="", timestamp=datetime.min.replace(tzinfo=UTC), index=index, edits=tuple(edits))
    return msgspec.structs.replace(fold(state, event, state.seq + 1), seq=state.seq)


def _moved(base: IndexControl, now: IndexControl, edits: Sequence[Edit]) -> list[str]:
    """What edits touch that is another by now than what their author saw."""
    since = difference(base, now)
    touched: list[tuple[str, str]] = []
    for edit in edits:
        match edit:
            case SetWeights(weights=weights):
                touched += [("weights", name) for name in weights]
            case SetLimits(bounds=bounds, locks=locks):
                touched += [*(("bounds", name) for name in bounds), *(("locks", name) for name in locks)]
            case SetRule(id=name) | DeleteRule(id=name):
                touched.append(("rules", name))
            case SetSegment(id=name) | DeleteSegment(id=name):
                touched.append(("segments", name))
            case SetPolicy() | SetLearning() | SetTrial():
                touched.append((part_of(edit) if not isinstance(edit, SetTrial) else "trial", ""))
    moved = [f"{part}.{name}" for part, name in dict.fromkeys(touched) if name and name in getattr(since, part)]
    return [*moved, *(part for part in WHOLE if (part, "") in touched and getattr(since, part) is not None)]


def _is_done(now: IndexControl, edit: Edit) -> bool:
    """Whether an edit deletes what is gone."""
    match edit:
        case DeleteRule(id=name):
            return name not in now.rules
        case DeleteSegment(id=name):
            return name not in now.segments
        case _:
            return False


def draft_of(event: DraftSaved, version: int) -> Draft:
    """version: where it stands in DRAFTS."""
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


def _event(draft: Draft, **changed: object) -> DraftSaved:
    """A draft as it is written again, by the same author, for what is said of it."""
    event = DraftSaved(
        id=uuid.uuid4().hex,
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
    return msgspec.structs.replace(event, **changed)
