"""Changes that people ask for: check against CONTROL, append one event, wait until it is served.

A command decides on the newest state and appends with that state's sequence as its expectation: CONTROL is one
linear history. Where another writer was first, it decides again on what that one wrote. What a policy of the index does
not allow is an event as well, and is then refused.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from events.codec import encode
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
from events.errors import Conflict, Forbidden, InvalidInput, NotFound, Unavailable, require
from events.history import ControlHistory
from events.index_control import IndexControl, StoredRule
from events.learning import Learning, check_learning
from events.log import Entry, EventLog
from events.policies import Part, Policy
from events.rules import Rule
from events.segments import Segment
from events.settings import IndexSettings, check_index_name, check_settings
from events.streams import control_subject
from events.types import ChangePublished, ChangeRefused, ControlEvent, IndexConfigured, IndexDeleted
from searchsvc.changes.differences import edits_to, undoing
from searchsvc.changes.edit_checks import check_alone, check_on_documents, check_within, names_documents
from searchsvc.changes.policies import Refusal, part_of, refusal, refusal_of_parts
from searchsvc.rules.checks import RuleConflict, find_conflicts
from searchsvc.rules.rulebook import Rulebooks
from searchsvc.runtime.clock import Clock, utc_now
from searchsvc.state.serving import Serving
from searchsvc.state.serving_state import ServingState
from tuning.features import default_weights
from tuning.weights import check_weights

ATTEMPTS: Final = 16
APPLY_TIMEOUT_S: Final = 5.0
MAX_REASON_CHARS: Final = 1000
MAX_ACTOR_CHARS: Final = 200
# Who asks again and again for what is refused is told so each time, and noted now and then.
REFUSED_AGAIN: Final = timedelta(minutes=1)
MAX_REFUSALS: Final = 1000
MAX_REFUSED_BYTES: Final = 64 * 1024
# Index, actor, kind of event, member of the policy, parts of the index.
_Kind = tuple[str, str, str, str, frozenset[Part]]


class Author(msgspec.Struct, frozen=True):
    """Who asks for a change, why, and from where. Unverified until keys exist."""

    actor: str = "anonymous"
    reason: str = ""
    source: str = ""

    def check(self) -> None:
        require(len(self.reason) <= MAX_REASON_CHARS, "reason", self.reason, f"at most {MAX_REASON_CHARS} characters")
        require(len(self.actor) <= MAX_ACTOR_CHARS, "actor", self.actor, f"at most {MAX_ACTOR_CHARS} characters")


class Changed(msgspec.Struct, frozen=True):
    """seq: where the change stands in CONTROL; already served when this is returned. index: after it, None if gone."""

    seq: int
    index: IndexControl | None


class Commands:
    """The only writer of CONTROL in a service."""

    def __init__(
        self,
        event_log: EventLog,
        serving: Serving,
        rulebooks: Rulebooks,
        history: ControlHistory,
        clock: Clock = utc_now,
    ) -> None:
        self._clock = clock
        self._log = event_log
        self._serving = serving
        self._rulebooks = rulebooks
        self._history = history
        self._turn = asyncio.Lock()
        self._refusals: dict[_Kind, tuple[datetime, int]] = {}

    async def configure_index(self, name: str, settings: IndexSettings, author: Author) -> Changed:
        """Create an index or replace its settings; the weights of features that stay are kept."""
        check_index_name(name)
        check_settings(settings)

        def decide(state: ControlState, event_id: str, at: datetime) -> ControlEvent:
            refused = _of_settings(state, name, "index_configured", event_id, at, author)
            return refused or IndexConfigured(
                id=event_id,
                timestamp=at,
                index=name,
                actor=author.actor,
                reason=author.reason,
                source=author.source,
                settings=settings,
                default_weights=default_weights(settings),
            )

        return await self._append(name, decide, author)

    async def delete_index(self, name: str, author: Author) -> Changed:
        def decide(state: ControlState, event_id: str, at: datetime) -> ControlEvent:
            state.index(name)
            refused = _of_settings(state, name, "index_deleted", event_id, at, author)
            return refused or IndexDeleted(
                id=event_id, timestamp=at, index=name, actor=author.actor, reason=author.reason, source=author.source
            )

        return await self._append(name, decide, author)

    async def set_weights(
        self,
        name: str,
        weights: Mapping[str, float],
        expected_version: int | None,
        author: Author,
        *,
        limits: SetLimits | None = None,
    ) -> Changed:
        """Merge the weights given, and how far they may go. Raises Conflict where `expected_version` is not the current
        one."""

        def edits(index: IndexControl) -> list[Edit]:
            said = f"weights of {name} are at version"
            require_unchanged(said, "expected_version", expected_version, index.weights_version)
            made: list[Edit] = [SetLimits(limits.bounds, limits.locks)] if limits is not None else []
            return [*made, SetWeights(dict(weights))] if weights or limits is None else made

        return await self.publish(name, edits, author)

    async def set_rule(self, name: str, rule_id: str, rule: Rule, expected_seq: int | None, author: Author) -> Changed:
        """Write a rule whole. expected_seq: of the rule as the caller knows it, 0 for none. Raises Conflict."""
        edit = SetRule(rule_id, rule)
        await self.check(name, edit)

        def edits(index: IndexControl) -> list[Edit]:
            _require_rule_at(index.rules, rule_id, expected_seq)
            return [edit]

        return await self.publish(name, edits, author)

    async def delete_rule(self, name: str, rule_id: str, expected_seq: int | None, author: Author) -> Changed:
        """Raises NotFound, or Conflict as `set_rule` does."""

        def edits(index: IndexControl) -> list[Edit]:
            index.rule(rule_id)
            _require_rule_at(index.rules, rule_id, expected_seq)
            return [DeleteRule(rule_id)]

        return await self.publish(name, edits, author)

    async def set_segment(self, name: str, segment_id: str, segment: Segment, author: Author) -> Changed:
        """Write a segment whole."""
        edit = SetSegment(segment_id, segment)
        await self.check(name, edit)

        def edits(index: IndexControl) -> list[Edit]:
            check_weights(segment.weights, index.weights, index.bounds)
            return [edit]

        return await self.publish(name, edits, author)

    async def delete_segment(self, name: str, segment_id: str, author: Author) -> Changed:
        """Raises NotFound."""
        return await self.publish(name, lambda _: [DeleteSegment(segment_id)], author)

    async def set_policy(self, name: str, policy: Policy, author: Author) -> Changed:
        """Set who may change an index, whole. It counts from the next change on: this one is held against the policy
        before."""
        edit = SetPolicy(policy)
        await self.check(name, edit)
        return await self.publish(name, lambda index: [edit] if index.policy != policy else [], author)

    async def set_learning(self, name: str, changed: Callable[[Learning], Learning], author: Author) -> Changed:
        """Set how an index learns. changed: from how it does to how it is to; asked again where another was first."""

        def edits(index: IndexControl) -> list[Edit]:
            learning = changed(index.learning)
            check_learning(learning)
            return [SetLearning(learning)] if learning != index.learning else []

        return await self.publish(name, edits, author)

    async def stop_trial(self, name: str, author: Author) -> Changed:
        """Compare nothing any more; the weights in force stay. Raises NotFound where nothing is compared."""

        def edits(index: IndexControl) -> list[Edit]:
            if index.trial is None:
                raise NotFound(f"index {name} compares nothing just now", field="index", value=name)
            return [SetTrial(None)]

        return await self.publish(name, edits, author)

    async def check(self, name: str, edit: Edit) -> None:
        """Raise InvalidInput where an edit cannot be honoured, alone or on the documents that there are; NotFound
        without the index; Unavailable where that cannot be known now."""
        check_alone(edit)
        state = self._serving.current
        state.control.index(name)
        if names_documents(edit):
            await asyncio.to_thread(check_on_documents, edit, state.snapshot(name))

    def check_together(self, before: IndexControl, after: IndexControl, edits: Sequence[Edit]) -> None:
        """Raise InvalidInput where edits of an index do not go together, or with what is there."""
        check_within(before, after, edits, self._rulebooks.get(before))

    def conflicts(self, name: str, rule_id: str) -> list[RuleConflict]:
        """What other rules want that a rule of an index also wants; nothing where it is gone by now."""
        index = self._serving.current.control.indexes.get(name)
        stored = index.rules.get(rule_id) if index is not None else None
        return find_conflicts(stored, self._rulebooks.get(index)) if index is not None and stored else []

    async def restore_weights(self, name: str, version: int, author: Author) -> Changed:
        """Set the weights that an index had in a version. Raises NotFound."""
        versions = {change.version: change for change in self._serving.current.control.index(name).history}
        wanted = versions.get(version)
        if wanted is None:
            limit = f"1 to {max(versions)}"
            message = f"index {name} has no weights of version {version}; allowed: {limit}"
            raise NotFound(message, field="to_version", value=version, limit=limit)

        def edits(index: IndexControl) -> list[Edit]:
            return edits_to(index, msgspec.structs.replace(index, weights=wanted.weights))

        return await self.publish(name, edits, author, restores=wanted.seq)

    async def restore(self, name: str, moment: int | datetime, field: str, author: Author) -> Changed:
        """Set weights and rules as they were at a moment. field: what errors call it. Raises NotFound where there was
        no such index."""
        past = await asyncio.to_thread(self.as_of, name, moment, field)

        def edits(index: IndexControl) -> list[Edit]:
            return edits_to(index, past.index(name))

        return await self.publish(name, edits, author, restores=past.seq)

    async def revert(self, seq: int, author: Author, *, force: bool) -> Changed:
        """Take one change back, whole, whenever it was. force: also what was changed again since; else that raises
        Conflict. Raises InvalidInput where the sequence is no change of weights or rules."""
        require(seq >= 1, "seq", seq, "a sequence from 1")
        self._history.seq_of(seq, "seq")
        step = await asyncio.to_thread(lambda: next(self._history.steps(seq - 1, seq)))
        event = step.event
        if not isinstance(event, ChangePublished):
            limit = "a change of weights or rules: settings are put back with PUT, and documents by writing them"
            message = f"sequence {seq} is no such change; allowed: {limit}"
            raise InvalidInput(message, field="seq", value=seq, limit=limit)
        before, after = (state.indexes.get(event.index) for state in (step.before, step.after))

        def edits(index: IndexControl) -> list[Edit]:
            if before is None or after is None or index.created_seq != after.created_seq:
                raise NotFound(f"index {index.name} of sequence {seq} is gone", field="seq", value=seq)
            return undoing(before, after, index, force=force)

        return await self.publish(event.index, edits, author, undoes=seq)

    def as_of(self, name: str, moment: int | datetime, field: str) -> ControlState:
        """CONTROL as of a moment. field: what errors call it. Raises InvalidInput for a sequence that is not there yet,
        and NotFound where the index that is served was not there. Reads files: not for the event loop."""
        seq = self._history.seq_of(moment, field)
        served = self._serving.current.control.index(name)
        past = self._history.at(seq)
        then = past.indexes.get(name)
        if then is None or then.created_seq != served.created_seq:
            message = f"index {name} was created at sequence {served.created_seq}, and was not there at {seq}"
            raise NotFound(message, field=field, value=seq, limit=f"from sequence {served.created_seq}")
        return past

    async def publish(
        self,
        name: str,
        edits: Callable[[IndexControl], Sequence[Edit]],
        author: Author,
        *,
        undoes: int | None = None,
        restores: int | None = None,
        draft: str = "",
        draft_event: str = "",
        approved_by: Collection[str] = (),
    ) -> Changed:
        """edits: what is to change of an index as it is; asked again where another writer was first. draft,
        draft_event: see `ChangePublished`. approved_by: others than the author of the draft.

        Raises InvalidInput where nothing is to change, or not so, and Forbidden where a policy does not allow it.
        """

        def decide(state: ControlState, event_id: str, at: datetime) -> ControlEvent:
            before = state.index(name)
            made = tuple(edits(before))
            if not made:
                limit = "a change that makes a difference"
                raise InvalidInput(f"index {name} is so already: nothing was changed", limit=limit)
            takes_back = undoes is not None or restores is not None
            found = refusal(before, made, author.actor, at, approved_by=approved_by, takes_back=takes_back)
            if found is not None:
                return _refused(name, "change_published", found, event_id, at, author, made, draft)
            event = ChangePublished(
                id=event_id,
                timestamp=at,
                index=name,
                actor=author.actor,
                reason=author.reason,
                source=author.source,
                edits=made,
                undoes=undoes,
                restores=restores,
                draft=draft,
                draft_event=draft_event,
            )
            after = fold(state, event, state.seq + 1).index(name)
            self.check_together(before, after, made)
            return event

        return await self._append(name, decide, author)

    async def _append(
        self,
        name: str,
        decide: Callable[[ControlState, str, datetime], ControlEvent],
        author: Author,
    ) -> Changed:
        author.check()
        # One at a time: those who ask here need not race each other, only other services.
        try:
            async with asyncio.timeout(APPLY_TIMEOUT_S):
                await self._turn.acquire()
        except TimeoutError:
            raise Unavailable("other changes are still under way", retry_after_s=1.0) from None
        try:
            return await self._append_in_turn(name, decide)
        finally:
            self._turn.release()

    async def _append_in_turn(
        self, name: str, decide: Callable[[ControlState, str, datetime], ControlEvent]
    ) -> Changed:
        event_id = uuid.uuid4().hex
        for _ in range(ATTEMPTS):
            state = self._serving.current.control
            event = decide(state, event_id, self._clock())
            if isinstance(event, ChangeRefused):
                event = self._brief(event)
                said_at = self._refusals.get(_kind_of(event))
                if said_at is not None and event.timestamp - said_at[0] < REFUSED_AGAIN:
                    raise _forbidden(event, said_at[1])
            entry = Entry(control_subject(name), encode(event), event_id)
            try:
                seq = await self._stored(entry, state.seq)
            except Conflict as conflict:
                # Another writer was first: decide again once its event has come round to us.
                await self._applied(conflict.actual)
                continue
            served = await self._applied(seq)
            if isinstance(event, ChangeRefused):
                self._refusals[_kind_of(event)] = event.timestamp, seq
                while len(self._refusals) > MAX_REFUSALS:
                    del self._refusals[next(iter(self._refusals))]
                raise _forbidden(event, seq)
            return Changed(seq, served.control.indexes.get(name))
        raise Unavailable(f"{ATTEMPTS} other changes came first", retry_after_s=0.1)

    def _brief(self, event: ChangeRefused) -> ChangeRefused:
        """Without edits that are long: the log keeps it for ever."""
        if len(encode(event)) <= MAX_REFUSED_BYTES:
            return event
        detail = f"{event.detail} (its {len(event.edits)} edits are too long to be kept)"
        return msgspec.structs.replace(event, edits=(), detail=detail)

    async def _stored(self, entry: Entry, expected_last_seq: int) -> int:
        try:
            return await self._log.append("CONTROL", entry, expected_last_seq=expected_last_seq)
        except Unavailable:
            # Perhaps stored: the same id on the same expectation is stored once, and says where.
            return await self._log.append("CONTROL", entry, expected_last_seq=expected_last_seq)

    async def _applied(self, seq: int) -> ServingState:
        return await self._serving.wait_until(lambda s: s.control.seq >= seq, APPLY_TIMEOUT_S, f"sequence {seq}")


def _require_rule_at(rules: Mapping[str, StoredRule], rule_id: str, expected_seq: int | None) -> None:
    known = rules.get(rule_id)
    said = f"rule {rule_id} was last changed at sequence"
    require_unchanged(said, "expected_seq", expected_seq, known.seq if known is not None else 0)


def require_unchanged(said: str, field: str, expected: int | None, actual: int) -> None:
    """Raise Conflict where somebody decided on something else than what is there. said: what the number is of."""
    if expected is not None and expected != actual:
        raise Conflict(
            f"{said} {actual}, not {expected}: look again, then retry", field=field, value=expected, actual=actual
        )


def _kind_of(event: ChangeRefused) -> _Kind:
    return event.index, event.actor, event.kind, event.policy, frozenset(map(part_of, event.edits))


def _of_settings(
    state: ControlState, name: str, kind: str, event_id: str, at: datetime, author: Author
) -> ChangeRefused | None:
    """Why somebody may not change the settings of an index; None where they may, or where there is none yet."""
    index = state.indexes.get(name)
    found = refusal_of_parts(index.policy, ["settings"], author.actor, at) if index is not None else None
    return _refused(name, kind, found, event_id, at, author) if found is not None else None


def _refused(
    name: str,
    kind: str,
    found: Refusal,
    event_id: str,
    at: datetime,
    author: Author,
    edits: tuple[Edit, ...] = (),
    draft: str = "",
) -> ChangeRefused:
    return ChangeRefused(
        id=event_id,
        timestamp=at,
        index=name,
        actor=author.actor,
        reason=author.reason,
        source=author.source,
        kind=kind,
        policy=found.policy,
        detail=found.detail,
        edits=edits,
        draft=draft,
    )


def _forbidden(event: ChangeRefused, seq: int) -> Forbidden:
    said = f"the policy of index {event.index} does not allow it: {event.detail} (sequence {seq})"
    return Forbidden(said, field=f"policy.{event.policy}", value=event.actor, limit=event.detail)
