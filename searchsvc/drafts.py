"""Drafts: changes that are put together and looked at before anybody ranks by them.

A draft lies in a stream of its own, whole, under one subject; nothing is folded, so all services see the same. What it
would do is what CONTROL folds to with its edits.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

import msgspec

from events.codec import decode_draft, encode
from events.control import ControlState, IndexControl, fold
from events.edits import DeleteRule, DeleteSegment, Edit, SetLimits, SetRule, SetSegment, SetWeights
from events.errors import Conflict, InvalidInput, NotFound, Unavailable, require
from events.history import ControlHistory
from events.log import Entry, EventLog
from events.rules import check_rule_id
from events.streams import draft_subject, drafts_filter
from events.types import ChangePublished, DraftDeleted, DraftSaved
from searchsvc.changes import Difference, difference
from searchsvc.commands import Author, Changed, Commands
from searchsvc.editchecks import check_within, under
from searchsvc.rulebook import Rulebooks
from searchsvc.serving import Serving
from tuning.weights import check_weights

MAX_EDITS: Final = 1000
MAX_DRAFTS: Final = 200


class Draft(msgspec.Struct, frozen=True):
    """version: where its newest form stands in DRAFTS. base_seq: the CONTROL sequence that its author saw."""

    id: str
    index: str
    edits: tuple[Edit, ...]
    reason: str
    actor: str
    at: datetime
    version: int
    created_seq: int
    base_seq: int


class DraftStatus(msgspec.Struct, frozen=True):
    """What a draft would do now. changed: to the index as it is. conflicts: what it edits that was changed otherwise
    since its author looked. problem: why it cannot be published; '' where it can."""

    draft: Draft
    changed: Difference
    conflicts: list[str]
    problem: str


class Drafts:
    """All drafts of a service. history: to see what moved since a draft was written."""

    def __init__(self, event_log: EventLog, serving: Serving, commands: Commands, history: ControlHistory) -> None:
        self._log = event_log
        self._serving = serving
        self._commands = commands
        self._history = history
        self._rulebooks = Rulebooks()

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
        known = {one.id for one in await self.of(index)}
        require(len({*known, draft}) <= MAX_DRAFTS, "draft", len(known), f"at most {MAX_DRAFTS} drafts")
        # One look at the draft: what it is held against is what nobody else may have come before.
        newest, is_there = await self._newest(index, draft, control.created_seq)
        current = newest if is_there else 0
        if expected_version is not None and expected_version != current:
            said = f"draft {draft} is at version {current}, not {expected_version}: look again, then retry"
            raise Conflict(said, field="expected_version", value=expected_version, actual=current)
        event = DraftSaved(
            id=uuid.uuid4().hex,
            at=datetime.now(UTC),
            index=index,
            actor=author.actor,
            reason=author.reason,
            source=author.source,
            draft=draft,
            created_seq=control.created_seq,
            base_seq=state.seq,
            edits=tuple(edits),
        )
        entry = Entry(draft_subject(index, draft), encode(event), event.id)
        version = await self._log.append(
            "DRAFTS", entry, expected_subject_seq=None if expected_version is None else newest
        )
        return _draft(event, version)

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
        found: dict[str, Draft] = {}
        async for record in self._log.read("DRAFTS", subject=subject):
            event = decode_draft(record.data)
            match event:
                case DraftSaved(created_seq=seq) if seq == created_seq:
                    found[event.draft] = _draft(event, record.seq)
                case DraftDeleted():
                    found.pop(event.draft, None)
                case _:
                    pass
        return [found[name] for name in sorted(found)]

    async def delete(self, index: str, draft: str, author: Author) -> None:
        """Raises NotFound."""
        await self.get(index, draft)
        await self._delete(index, draft, author)

    async def _newest(self, index: str, draft: str, created_seq: int) -> tuple[int, bool]:
        """Where the last event of a draft stands, 0 where there is none, and whether the draft is there by it."""
        newest, is_there = 0, False
        async for record in self._log.read("DRAFTS", subject=draft_subject(index, draft)):
            event = decode_draft(record.data)
            newest, is_there = record.seq, isinstance(event, DraftSaved) and event.created_seq == created_seq
        return newest, is_there

    async def _delete(self, index: str, draft: str, author: Author, *, version: int | None = None) -> None:
        """version: only where that is the newest; else raises Conflict."""
        event = DraftDeleted(
            id=uuid.uuid4().hex,
            at=datetime.now(UTC),
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
        return DraftStatus(found, difference(now, after), _moved(base, now, found.edits), problem)

    async def control_with(self, index: str, draft: str) -> ControlState:
        """CONTROL as it would be with a draft published now. Raises NotFound."""
        found = await self.get(index, draft)
        return _with(self._serving.current.control, index, found.edits)

    async def publish(self, index: str, draft: str, author: Author, *, force: bool) -> Changed:
        """Make a draft count, all of it at once, on the index as it is by now; the draft is gone then. force: also
        where what it edits was changed otherwise since; else that raises Conflict, naming it."""
        require(bool(author.reason.strip()), "reason", author.reason, "a reason: it is what others will read")
        found = await self.get(index, draft)
        base = await asyncio.to_thread(self._base, found)
        for i, edit in enumerate(found.edits):
            # Documents may have come and gone since it was saved.
            with under(f"edits[{i}]"):
                await self._commands.check(index, edit)

        def edits(now: IndexControl) -> Sequence[Edit]:
            moved = _moved(base, now, found.edits)
            if moved and not force:
                listed = ", ".join(moved)
                raise Conflict(
                    f"{listed} changed since draft {draft} was saved: save it again on what is there, or force it",
                    field=moved[0],
                    value=listed,
                    actual=now.config_version,
                )
            return [edit for edit in found.edits if not (force and _is_done(now, edit))]

        changed = await self._commands.publish(index, edits, author, draft=draft)
        # It counts by now, whatever becomes of the draft: one that was saved again meanwhile stays.
        with suppress(Conflict, Unavailable):
            await self._delete(index, draft, author, version=found.version)
        return changed

    def _base(self, draft: Draft) -> IndexControl:
        return self._history.at(draft.base_seq).index(draft.index)

    def _check_together(self, state: ControlState, before: IndexControl, edits: Sequence[Edit]) -> None:
        after = _with(state, before.name, edits).index(before.name)
        for i, edit in enumerate(edits):
            if isinstance(edit, SetSegment):
                with under(f"edits[{i}]"):
                    check_weights(edit.segment.weights, before.weights, after.bounds)
        check_within(before, after, edits, self._rulebooks.of(before))


def _with(state: ControlState, index: str, edits: Sequence[Edit]) -> ControlState:
    """CONTROL with some edits, which are nowhere yet."""
    event = ChangePublished(id="", at=datetime.min.replace(tzinfo=UTC), index=index, edits=tuple(edits))
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
    return [f"{part}.{name}" for part, name in dict.fromkeys(touched) if name in getattr(since, part)]


def _is_done(now: IndexControl, edit: Edit) -> bool:
    """Whether an edit deletes what is gone."""
    match edit:
        case DeleteRule(id=name):
            return name not in now.rules
        case DeleteSegment(id=name):
            return name not in now.segments
        case _:
            return False


def _draft(event: DraftSaved, version: int) -> Draft:
    return Draft(
        id=event.draft,
        index=event.index,
        edits=event.edits,
        reason=event.reason,
        actor=event.actor,
        at=event.at,
        version=version,
        created_seq=event.created_seq,
        base_seq=event.base_seq,
    )
