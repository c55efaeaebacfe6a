"""The edits that each request makes of the index as it is. Pure.

Each class is one kind of request. Its `edits` is called with the newest state of the index, and again if another
writer was first; an empty list means that nothing is to change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from events.control import ControlState
from events.edits import DeleteRule, Edit, SetLearning, SetLimits, SetPolicy, SetRule, SetSegment, SetTrial, SetWeights
from events.errors import Conflict, NotFound
from events.history import HistoryStep
from events.index_control import IndexControl
from events.learning import Learning, check_learning
from events.policies import Policy
from searchsvc.changes.reverting import revert_edits, rollback_edits
from tuning.weights import check_weights


class MergeWeights(msgspec.Struct, frozen=True):
    """Sets some weights and limits; the others stay.

    limits: None if no limits were given
    expected_version: the version of the weights that the caller knows; None for any
    """

    weights: Mapping[str, float]
    limits: SetLimits | None
    expected_version: int | None

    def edits(self, index: IndexControl) -> list[Edit]:
        subject = f"weights of {index.name} are at version"
        require_unchanged(subject, "expected_version", self.expected_version, index.weights_version)
        edits: list[Edit] = [SetLimits(self.limits.bounds, self.limits.locks)] if self.limits is not None else []
        if self.weights or self.limits is None:
            edits.append(SetWeights(dict(self.weights)))
        return edits


class WriteRule(msgspec.Struct, frozen=True):
    """Writes a rule as a whole.

    expected_seq: sequence of the rule that the caller knows, 0 for none; None for any
    """

    edit: SetRule
    expected_seq: int | None

    def edits(self, index: IndexControl) -> list[Edit]:
        _require_rule_unchanged(index, self.edit.id, self.expected_seq)
        return [self.edit]


class RemoveRule(msgspec.Struct, frozen=True):
    """Deletes a rule.

    expected_seq: sequence of the rule that the caller knows; None for any
    """

    rule_id: str
    expected_seq: int | None

    def edits(self, index: IndexControl) -> list[Edit]:
        index.rule(self.rule_id)
        _require_rule_unchanged(index, self.rule_id, self.expected_seq)
        return [DeleteRule(self.rule_id)]


class WriteSegment(msgspec.Struct, frozen=True):
    """Writes a segment as a whole."""

    edit: SetSegment

    def edits(self, index: IndexControl) -> list[Edit]:
        check_weights(self.edit.segment.weights, index.weights, index.bounds)
        return [self.edit]


class ReplacePolicy(msgspec.Struct, frozen=True):
    """Sets the policy as a whole."""

    policy: Policy

    def edits(self, index: IndexControl) -> list[Edit]:
        return [SetPolicy(self.policy)] if index.policy != self.policy else []


class ChangeLearning(msgspec.Struct, frozen=True):
    """Changes how an index learns.

    change: returns the new learning settings from the current ones
    """

    change: Callable[[Learning], Learning]

    def edits(self, index: IndexControl) -> list[Edit]:
        learning = self.change(index.learning)
        check_learning(learning)
        return [SetLearning(learning)] if learning != index.learning else []


class StopTrial(msgspec.Struct, frozen=True):
    """Ends the trial; the weights in force stay."""

    def edits(self, index: IndexControl) -> list[Edit]:
        """Raises NotFound if there is no trial."""
        if index.trial is None:
            raise NotFound(f"index {index.name} has no trial", field="index", value=index.name)
        return [SetTrial(None)]


class RollBackWeights(msgspec.Struct, frozen=True):
    """Sets the weights of a past version."""

    weights: Mapping[str, float]

    def edits(self, index: IndexControl) -> list[Edit]:
        return rollback_edits(index, msgspec.structs.replace(index, weights=self.weights))


class RollBack(msgspec.Struct, frozen=True):
    """Sets an index as it was in a past state."""

    past: ControlState

    def edits(self, index: IndexControl) -> list[Edit]:
        return rollback_edits(index, self.past.index(index.name))


class Revert(msgspec.Struct, frozen=True):
    """Takes one change back.

    step: the change, and the states around it
    force: also take back what was changed again since
    """

    step: HistoryStep
    force: bool

    def edits(self, index: IndexControl) -> list[Edit]:
        """Raises NotFound if the index of the change is gone, and Conflict as `revert_edits` does."""
        seq = self.step.record.seq
        before, after = (state.indexes.get(index.name) for state in (self.step.before, self.step.after))
        if before is None or after is None or index.created_seq != after.created_seq:
            raise NotFound(f"index {index.name} of sequence {seq} is gone", field="seq", value=seq)
        return revert_edits(before, after, index, force=self.force)


def require_unchanged(subject: str, field: str, expected: int | None, actual: int) -> None:
    """Raise Conflict if the caller decided on another version than the present one.

    subject: beginning of the message, up to the number: `draft spring is at version`
    expected: None for any
    """
    if expected is not None and expected != actual:
        raise Conflict(
            f"{subject} {actual}, not {expected}: read it again, then retry", field=field, value=expected, actual=actual
        )


def _require_rule_unchanged(index: IndexControl, rule_id: str, expected_seq: int | None) -> None:
    stored = index.rules.get(rule_id)
    subject = f"rule {rule_id} was last changed at sequence"
    require_unchanged(subject, "expected_seq", expected_seq, stored.seq if stored is not None else 0)
