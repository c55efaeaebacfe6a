"""The changes that callers request of an index: each method is one request, and raises what `ControlWriter` does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from events.control import ControlState
from events.edits import DeleteSegment, Edit, SetLimits, SetPolicy, SetRule, SetSegment
from events.errors import InvalidInput, NotFound, require
from events.history import ControlHistory
from events.index_control import IndexControl
from events.learning import Learning
from events.log import EventLog
from events.policies import Policy
from events.rules import Rule
from events.segments import Segment
from events.settings import IndexSettings, check_index_name, check_settings
from events.types import ChangePublished
from searchsvc.changes.author import Author
from searchsvc.changes.command import WRITTEN_BY_AUTHOR, ConfigureIndex, DeleteIndex, MakeEdits, Origin, PublishEdits
from searchsvc.changes.control_writer import Changed, ControlWriter
from searchsvc.changes.edit_checks import check_alone, check_on_documents, check_together, names_documents
from searchsvc.changes.requested_edits import (
    ChangeLearning,
    MergeWeights,
    RemoveRule,
    ReplacePolicy,
    Revert,
    RollBack,
    RollBackWeights,
    StopTrial,
    WriteRule,
    WriteSegment,
)
from searchsvc.rules.conflicts import RuleConflict, find_conflicts
from searchsvc.rules.cost_checks import RuleCost, cost_of
from searchsvc.rules.rulebook import Rulebooks
from searchsvc.runtime.clock import Clock, utc_now
from searchsvc.state.serving import Serving


class Commands:
    """Changes indexes.

    event_log: where CONTROL is appended to
    serving: the newest state, on which changes are decided
    rulebooks: to check rules against each other
    history: past states, to roll back to and revert from
    clock: the current time
    """

    def __init__(
        self,
        event_log: EventLog,
        serving: Serving,
        rulebooks: Rulebooks,
        history: ControlHistory,
        clock: Clock = utc_now,
    ) -> None:
        self._writer = ControlWriter(event_log, serving, clock)
        self._serving = serving
        self._rulebooks = rulebooks
        self._history = history

    async def configure_index(self, name: str, settings: IndexSettings, author: Author) -> Changed:
        """Create an index or replace its settings. Features that stay keep their weights."""
        check_index_name(name)
        check_settings(settings)
        return await self._writer.append(ConfigureIndex(name, settings, author))

    async def delete_index(self, name: str, author: Author) -> Changed:
        """Delete an index. Raises NotFound."""
        return await self._writer.append(DeleteIndex(name, author))

    async def set_weights(
        self,
        name: str,
        weights: Mapping[str, float],
        expected_version: int | None,
        author: Author,
        *,
        limits: SetLimits | None = None,
    ) -> Changed:
        """Set some weights of an index, and their limits. Raises Conflict if `expected_version` is stale."""
        return await self.publish(name, MergeWeights(weights, limits, expected_version).edits, author)

    async def set_rule(self, name: str, rule_id: str, rule: Rule, expected_seq: int | None, author: Author) -> Changed:
        """Write a rule as a whole. Raises Conflict if `expected_seq` is stale; 0 stands for no rule."""
        edit = SetRule(rule_id, rule)
        await self.check(name, edit)
        return await self.publish(name, WriteRule(edit, expected_seq).edits, author)

    async def delete_rule(self, name: str, rule_id: str, expected_seq: int | None, author: Author) -> Changed:
        """Delete a rule. Raises NotFound, and Conflict if `expected_seq` is stale."""
        return await self.publish(name, RemoveRule(rule_id, expected_seq).edits, author)

    async def set_segment(self, name: str, segment_id: str, segment: Segment, author: Author) -> Changed:
        """Write a segment as a whole."""
        edit = SetSegment(segment_id, segment)
        await self.check(name, edit)
        return await self.publish(name, WriteSegment(edit).edits, author)

    async def delete_segment(self, name: str, segment_id: str, author: Author) -> Changed:
        """Delete a segment. Raises NotFound."""
        return await self.publish(name, lambda _: [DeleteSegment(segment_id)], author)

    async def set_policy(self, name: str, policy: Policy, author: Author) -> Changed:
        """Set the policy of an index as a whole. The policy before decides whether this is allowed."""
        await self.check(name, SetPolicy(policy))
        return await self.publish(name, ReplacePolicy(policy).edits, author)

    async def set_learning(self, name: str, change: Callable[[Learning], Learning], author: Author) -> Changed:
        """Change how an index learns.

        change: returns the new settings from the current ones; called again if another writer was first
        """
        return await self.publish(name, ChangeLearning(change).edits, author)

    async def stop_trial(self, name: str, author: Author) -> Changed:
        """End the trial of an index; the weights in force stay. Raises NotFound if there is none."""
        return await self.publish(name, StopTrial().edits, author)

    async def restore_weights(self, name: str, version: int, author: Author) -> Changed:
        """Set the weights of a past version. Raises NotFound."""
        versions = {change.version: change for change in self._serving.current.control.index(name).history}
        past = versions.get(version)
        if past is None:
            limit = f"1 to {max(versions)}"
            message = f"index {name} has no weights of version {version}; allowed: {limit}"
            raise NotFound(message, field="to_version", value=version, limit=limit)
        return await self.publish(name, RollBackWeights(past.weights).edits, author, Origin(restores=past.seq))

    async def restore(self, name: str, moment: int | datetime, field: str, author: Author) -> Changed:
        """Set weights, limits, rules and segments as they were at a moment.

        moment: a sequence, or a time with its zone
        field: what errors call the moment

        Raises NotFound if the index did not exist then.
        """
        past = await asyncio.to_thread(self.as_of, name, moment, field)
        return await self.publish(name, RollBack(past).edits, author, Origin(restores=past.seq))

    async def revert(self, seq: int, author: Author, *, force: bool) -> Changed:
        """Take one change back, as a whole.

        seq: CONTROL sequence of the change
        force: also take back what was changed again since

        Raises InvalidInput if the sequence is not a change that can be reverted.
        Raises Conflict if something was changed again since and `force` is not set.
        """
        require(seq >= 1, "seq", seq, "a sequence from 1")
        self._history.seq_at(seq, "seq")
        step = await asyncio.to_thread(self._history.step, seq)
        if not isinstance(step.event, ChangePublished):
            limit = "a change of weights or rules: settings are put back with PUT, and documents by writing them"
            message = f"sequence {seq} is no such change; allowed: {limit}"
            raise InvalidInput(message, field="seq", value=seq, limit=limit)
        return await self.publish(step.event.index, Revert(step, force).edits, author, Origin(undoes=seq))

    async def publish(
        self, name: str, make_edits: MakeEdits, author: Author, origin: Origin = WRITTEN_BY_AUTHOR
    ) -> Changed:
        """Edit an index.

        make_edits: returns the edits from the current index; called again if another writer was first
        origin: where the edits come from

        Raises InvalidInput if they change nothing, or do not fit the index or each other.
        """
        return await self._writer.append(PublishEdits(name, make_edits, author, origin, self._rulebooks))

    async def check(self, name: str, edit: Edit) -> None:
        """Raise InvalidInput if an edit is not valid, by itself or for the documents of the index.

        Raises NotFound if there is no such index, and Unavailable while its documents cannot be read.
        """
        # On threads: a rule may have hundreds of filters, and thousands of synonyms.
        await asyncio.to_thread(check_alone, edit)
        state = self._serving.current
        state.control.index(name)
        if names_documents(edit):
            await asyncio.to_thread(check_on_documents, edit, state.snapshot(name))

    def check_together(self, before: IndexControl, after: IndexControl, edits: Sequence[Edit]) -> None:
        """Raise InvalidInput if edits contradict each other or the index; see `edit_checks.check_together`.

        May take seconds: not for the event loop.
        """
        check_together(before, after, edits, self._rulebooks.get(before))

    async def examine_rule(self, name: str, rule_id: str) -> tuple[list[RuleConflict], RuleCost | None]:
        """Return the conflicts of a rule with others of its index, and its cost; none and None if it is gone."""
        index = self._serving.current.control.indexes.get(name)
        return await asyncio.to_thread(self._examined, index, rule_id) if index is not None else ([], None)

    def _examined(self, index: IndexControl, rule_id: str) -> tuple[list[RuleConflict], RuleCost | None]:
        stored, book = index.rules.get(rule_id), self._rulebooks.get(index)
        return (find_conflicts(stored, book), cost_of(stored, book)) if stored is not None else ([], None)

    def as_of(self, name: str, moment: int | datetime, field: str) -> ControlState:
        """Return CONTROL as of a moment. Reads files: not for the event loop.

        moment: a sequence, or a time with its zone
        field: what errors call the moment

        Raises InvalidInput for a sequence past the last, and NotFound if the index did not exist then.
        """
        seq = self._history.seq_at(moment, field)
        served = self._serving.current.control.index(name)
        past_state = self._history.state_at(seq)
        past = past_state.indexes.get(name)
        if past is None or past.created_seq != served.created_seq:
            message = f"index {name} was created at sequence {served.created_seq}, and did not exist at {seq}"
            raise NotFound(message, field=field, value=seq, limit=f"from sequence {served.created_seq}")
        return past_state
