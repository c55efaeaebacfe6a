"""What the edits of a draft do to the current index. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec

from events.control import ControlState, fold
from events.edits import Edit, SetSegment, Target
from events.errors import Conflict, NotFound
from events.index_control import IndexControl
from events.types import ChangePublished
from searchsvc.changes.differences import WHOLE, difference
from searchsvc.changes.draft import Draft
from searchsvc.changes.edit_checks import error_path
from tuning.weights import check_weights

# Takes the index before and after, and the edits. Raises InvalidInput if they contradict each other or the index.
CheckTogether = Callable[[IndexControl, IndexControl, Sequence[Edit]], None]


class DraftEdits(msgspec.Struct, frozen=True):
    """The edits that publish a draft.

    base: the index as the author of the draft saw it
    force: publish even if others have changed what the draft edits since it was saved
    check_together: called with the edits that are left
    """

    draft: Draft
    base: IndexControl
    force: bool
    check_together: CheckTogether

    def edits(self, index: IndexControl) -> list[Edit]:
        """Return the edits to make of the index as it is.

        Raises NotFound if the draft was published before.
        Raises Conflict, naming it, if others have changed what the draft edits and `force` is not set.
        """
        draft = self.draft
        if index.published.get(draft.id) == draft.saved_as:
            raise NotFound(f"draft {draft.id} of {index.name} is published already", field="draft", value=draft.id)
        conflicts = changed_since(self.base, index, draft.edits)
        if conflicts and not self.force:
            listed = ", ".join(conflicts)
            raise Conflict(
                f"{listed} changed since draft {draft.id} was saved: save it again on the present state, or force it",
                field=conflicts[0],
                value=listed,
                actual=index.config_version,
            )
        edits = [edit for edit in draft.edits if not (self.force and edit.is_done(index))]
        check_draft(index, edits, self.check_together)
        return edits


def check_draft(index: IndexControl, edits: Sequence[Edit], check_together: CheckTogether) -> None:
    """Raise InvalidInput if edits do not fit the index or each other; it names the edit if a single one is at fault."""
    after = with_edits(ControlState(index.config_version, {index.name: index}), index.name, edits).index(index.name)
    for i, edit in enumerate(edits):
        if isinstance(edit, SetSegment):
            with error_path(f"edits[{i}]"):
                check_weights(edit.segment.weights, index.weights, after.bounds)
    check_together(index, after, edits)


def with_draft(state: ControlState, draft: Draft) -> ControlState:
    """Return CONTROL as it would be with a draft published. Raises NotFound if its index is gone."""
    state.index(draft.index)
    return with_edits(state, draft.index, draft.edits)


def with_edits(state: ControlState, index: str, edits: Sequence[Edit]) -> ControlState:
    """Return CONTROL at the same sequence with edits that are not published."""
    event = ChangePublished(id="", timestamp=datetime.min.replace(tzinfo=UTC), index=index, edits=tuple(edits))
    return msgspec.structs.replace(fold(state, event, state.seq + 1), seq=state.seq)


def changed_since(base: IndexControl, now: IndexControl, edits: Sequence[Edit]) -> list[str]:
    """Return what edits touch that differs between two states of an index.

    base: the index as the author of the edits saw it
    """
    since = difference(base, now)
    targets = dict.fromkeys(target for edit in edits for target in edit.targets)
    named = [str(target) for target in targets if target.name and target.name in getattr(since, target.member)]
    whole = [member for member in WHOLE if Target(member) in targets and getattr(since, member) is not None]
    return [*named, *whole]
