"""Commands: each decides, on the newest state of CONTROL, on one event to append. Pure.

If another writer was first, the command decides again, on the state with that writer's event. It returns
`ChangeRefused` if a policy of the index does not allow the change.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Final, Protocol

import msgspec

from events.control import ControlState, fold
from events.edits import Edit
from events.errors import InvalidInput
from events.index_control import IndexControl
from events.settings import IndexSettings
from events.types import ChangePublished, ChangeRefused, ControlEvent, IndexConfigured, IndexDeleted
from searchsvc.changes.author import Author
from searchsvc.changes.edit_checks import check_together
from searchsvc.changes.policies import Refusal, refusal, refusal_of_parts
from searchsvc.changes.trial_limits import end_of_trial
from searchsvc.rules.rulebook import Rulebooks
from tuning.features import default_weights

# The edits to make, given the index as it is.
MakeEdits = Callable[[IndexControl], Sequence[Edit]]


class EventStamp(msgspec.Struct, frozen=True):
    """The id and the time of the event that a command is decided as.

    event_id: the same for every decision of one command, so that a retry is stored once
    """

    event_id: str
    timestamp: datetime


class Command(Protocol):
    """Something that changes CONTROL."""

    @property
    def index(self) -> str: ...

    @property
    def author(self) -> Author: ...

    def decide(self, state: ControlState, stamp: EventStamp) -> ControlEvent:
        """Return the event to append after `state`. Raises InvalidInput if the command is not valid on it."""
        ...


class ConfigureIndex(msgspec.Struct, frozen=True):
    """Creates an index, or replaces its settings. Features that stay keep their weights."""

    index: str
    settings: IndexSettings
    author: Author

    def decide(self, state: ControlState, stamp: EventStamp) -> ControlEvent:
        refused = _refusal_of_settings(state, self, stamp)
        if refused is not None:
            return _refused(self, stamp, "index_configured", refused)
        return IndexConfigured(
            id=stamp.event_id,
            timestamp=stamp.timestamp,
            index=self.index,
            actor=self.author.actor,
            reason=self.author.reason,
            source=self.author.source,
            settings=self.settings,
            default_weights=default_weights(self.settings),
        )


class DeleteIndex(msgspec.Struct, frozen=True):
    """Deletes an index. Its history stays."""

    index: str
    author: Author

    def decide(self, state: ControlState, stamp: EventStamp) -> ControlEvent:
        state.index(self.index)
        refused = _refusal_of_settings(state, self, stamp)
        if refused is not None:
            return _refused(self, stamp, "index_deleted", refused)
        return IndexDeleted(
            id=stamp.event_id,
            timestamp=stamp.timestamp,
            index=self.index,
            actor=self.author.actor,
            reason=self.author.reason,
            source=self.author.source,
        )


class Origin(msgspec.Struct, frozen=True):
    """Where the edits of a change come from; empty if its author wrote them.

    undoes: CONTROL sequence of the change that it reverts
    restores: CONTROL sequence that it rolls back to
    draft: id of the draft that it publishes
    draft_event: id of the event that saved the draft
    approved_by: actors who approved the draft, other than its author
    """

    undoes: int | None = None
    restores: int | None = None
    draft: str = ""
    draft_event: str = ""
    approved_by: Collection[str] = ()

    @property
    def takes_back(self) -> bool:
        """Whether the change reverts or rolls back."""
        return self.undoes is not None or self.restores is not None


WRITTEN_BY_AUTHOR: Final = Origin()


class PublishEdits(msgspec.Struct, frozen=True):
    """Edits an index.

    make_edits: the edits, given the index as it is
    rulebooks: to check that synonyms do not lead back to themselves, and what rules cost
    """

    index: str
    make_edits: MakeEdits
    author: Author
    origin: Origin
    rulebooks: Rulebooks

    def decide(self, state: ControlState, stamp: EventStamp) -> ControlEvent:
        """Raises InvalidInput if the edits change nothing, or do not fit the index or each other."""
        before = state.index(self.index)
        edits = tuple(self.make_edits(before))
        if not edits:
            limit = "a change that makes a difference"
            raise InvalidInput(f"index {self.index} is so already: nothing was changed", limit=limit)
        origin, author = self.origin, self.author
        refused = refusal(
            before,
            edits,
            author.actor,
            stamp.timestamp,
            approved_by=origin.approved_by,
            takes_back=origin.takes_back,
        )
        if refused is not None:
            return _refused(self, stamp, "change_published", refused, edits, origin.draft)
        event = ChangePublished(
            id=stamp.event_id,
            timestamp=stamp.timestamp,
            index=self.index,
            actor=author.actor,
            reason=author.reason,
            source=author.source,
            edits=edits,
            undoes=origin.undoes,
            restores=origin.restores,
            draft=origin.draft,
            draft_event=origin.draft_event,
        )
        after = fold(state, event, state.seq + 1).index(self.index)
        check_together(before, after, edits, self.rulebooks.get(before))
        return msgspec.structs.replace(event, edits=(*edits, *end_of_trial(after, edits)))


def _refusal_of_settings(state: ControlState, command: Command, stamp: EventStamp) -> Refusal | None:
    """Return why the author may not change the settings of an index; None if they may, or if it is new."""
    index = state.indexes.get(command.index)
    if index is None:
        return None
    return refusal_of_parts(index.policy, ["settings"], command.author.actor, stamp.timestamp)


def _refused(
    command: Command,
    stamp: EventStamp,
    kind: str,
    refused: Refusal,
    edits: tuple[Edit, ...] = (),
    draft: str = "",
) -> ChangeRefused:
    return ChangeRefused(
        id=stamp.event_id,
        timestamp=stamp.timestamp,
        index=command.index,
        actor=command.author.actor,
        reason=command.author.reason,
        source=command.author.source,
        kind=kind,
        policy=refused.policy,
        detail=refused.detail,
        edits=edits,
        draft=draft,
    )
