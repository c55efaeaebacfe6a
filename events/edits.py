"""The kinds of edit that a change of an index is made of.

An edit states what holds after it, not what it replaces: the log has that. Each kind is one class, which says

    part               the part of the index it belongs to, for policies
    targets            what it touches
    describe           itself, in words
    check              whether it is valid, as far as the edit alone tells
    apply              how it is folded
    moved_weights      how far it moves weights
    is_done            whether the index is already in that state
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, NamedTuple

import msgspec

from events.hinges import feature_of, is_hinge
from events.index_control import EditedIndex, IndexControl, Stamp, StoredRule, StoredSegment
from events.learning import Learning, Trial, check_learning, check_trial
from events.policies import Part, Policy, check_policy
from events.rule_checks import check_rule, check_rule_id
from events.rules import Rule
from events.segments import Segment, check_segment

Member = Literal["weights", "rules", "segments", "bounds", "locks", "policy", "learning", "trial"]
MovedWeights = Mapping[str, tuple[float, float]]


class Target(NamedTuple):
    """What an edit touches in an index.

    member: member of the index
    name: feature, rule or segment; '' if the member is set as a whole
    """

    member: Member
    name: str = ""

    def __str__(self) -> str:
        return f"{self.member}.{self.name}" if self.name else self.member


class IndexEdit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What most kinds of edit have in common."""

    def check(self) -> None:
        """Raise InvalidInput if the edit is not valid for any index."""

    def moved_weights(self, index: IndexControl) -> MovedWeights:
        """Return (before, after) of each weight that shoppers would see moved, by its path in the index."""
        return {}

    def is_done(self, index: IndexControl) -> bool:
        """Return whether the edit deletes what is not there."""
        return False


class SetWeights(IndexEdit, frozen=True, tag="weights"):
    """Sets the weights of some features. Features that are not named keep theirs."""

    part: ClassVar[Part] = "weights"

    weights: dict[str, float]

    @property
    def targets(self) -> list[Target]:
        return [Target("weights", name) for name in self.weights]

    def describe(self) -> str:
        return " ".join(f"{name}={value:g}" for name, value in self.weights.items())

    def apply(self, index: EditedIndex, stamp: Stamp) -> None:
        """Leaves out features that the index does not have, and hinges of weight 0."""
        weights = index.weights
        weights |= {name: value for name, value in self.weights.items() if feature_of(name) in weights}
        index.weights = {name: value for name, value in weights.items() if value or not is_hinge(name)}

    def moved_weights(self, index: IndexControl) -> MovedWeights:
        return _moved_to(index, self.weights)


class SetRule(IndexEdit, frozen=True, tag="rule"):
    """Writes a rule as a whole: a new one, or in place of the one with this id."""

    part: ClassVar[Part] = "rules"

    id: str
    rule: Rule

    @property
    def targets(self) -> list[Target]:
        return [Target("rules", self.id)]

    def describe(self) -> str:
        return f"rule {self.id}"

    def check(self) -> None:
        check_rule_id(self.id)
        check_rule(self.rule)

    def apply(self, index: EditedIndex, stamp: Stamp) -> None:
        before = index.rules.get(self.id)
        created_seq = before.created_seq if before is not None else stamp.seq
        index.rules[self.id] = StoredRule.written(self.id, self.rule, created_seq, stamp)


class DeleteRule(IndexEdit, frozen=True, tag="rule_deleted"):
    """Deletes a rule."""

    part: ClassVar[Part] = "rules"

    id: str

    @property
    def targets(self) -> list[Target]:
        return [Target("rules", self.id)]

    def describe(self) -> str:
        return f"rule {self.id} deleted"

    def apply(self, index: EditedIndex, stamp: Stamp) -> None:
        index.rules.pop(self.id, None)

    def is_done(self, index: IndexControl) -> bool:
        return self.id not in index.rules


class SetLimits(IndexEdit, frozen=True, omit_defaults=True, tag="limits"):
    """Limits how weights may be changed. Features that are not named keep their limits.

    bounds: (lowest, highest) weight by feature; None for the default bounds
    locks: by feature, whether only people may change its weight. A trial that would is ended by the same change
    """

    part: ClassVar[Part] = "limits"

    bounds: dict[str, tuple[float, float] | None] = {}
    locks: dict[str, bool] = {}

    @property
    def targets(self) -> list[Target]:
        return [*(Target("bounds", name) for name in self.bounds), *(Target("locks", name) for name in self.locks)]

    def describe(self) -> str:
        return f"limits of {' '.join(dict.fromkeys((*self.bounds, *self.locks)))}"

    def apply(self, index: EditedIndex, stamp: Stamp) -> None:
        for name, bounds in self.bounds.items():
            if bounds is None:
                index.bounds.pop(name, None)
            else:
                index.bounds[name] = bounds
        for name, is_locked in self.locks.items():
            if is_locked:
                index.locks.add(name)
            else:
                index.locks.discard(name)


class SetSegment(IndexEdit, frozen=True, tag="segment"):
    """Writes a segment as a whole: a new one, or in place of the one with this id."""

    part: ClassVar[Part] = "segments"

    id: str
    segment: Segment

    @property
    def targets(self) -> list[Target]:
        return [Target("segments", self.id)]

    def describe(self) -> str:
        return f"segment {self.id}"

    def check(self) -> None:
        check_rule_id(self.id, "segment")
        check_segment(self.segment)

    def apply(self, index: EditedIndex, stamp: Stamp) -> None:
        index.segments[self.id] = StoredSegment.written(self.id, self.segment, stamp)

    def moved_weights(self, index: IndexControl) -> MovedWeights:
        return _moved_in_segment(index, self.id, self.segment.weights)


class DeleteSegment(IndexEdit, frozen=True, tag="segment_deleted"):
    """Deletes a segment."""

    part: ClassVar[Part] = "segments"

    id: str

    @property
    def targets(self) -> list[Target]:
        return [Target("segments", self.id)]

    def describe(self) -> str:
        return f"segment {self.id} deleted"

    def apply(self, index: EditedIndex, stamp: Stamp) -> None:
        index.segments.pop(self.id, None)

    def moved_weights(self, index: IndexControl) -> MovedWeights:
        return _moved_in_segment(index, self.id, {})

    def is_done(self, index: IndexControl) -> bool:
        return self.id not in index.segments


class SetPolicy(IndexEdit, frozen=True, tag="policy"):
    """Sets who may change the index from now on, when and how far; as a whole."""

    part: ClassVar[Part] = "policy"

    policy: Policy

    @property
    def targets(self) -> list[Target]:
        return [Target("policy")]

    def describe(self) -> str:
        return "policy"

    def check(self) -> None:
        check_policy(self.policy)

    def apply(self, index: EditedIndex, stamp: Stamp) -> None:
        index.policy = self.policy


class SetLearning(IndexEdit, frozen=True, tag="learning"):
    """Sets how the index learns from now on; as a whole."""

    part: ClassVar[Part] = "learning"

    learning: Learning

    @property
    def targets(self) -> list[Target]:
        return [Target("learning")]

    def describe(self) -> str:
        frozen = f", frozen: {self.learning.frozen}" if self.learning.frozen else ""
        return f"learning {self.learning.mode}{frozen}"

    def check(self) -> None:
        check_learning(self.learning)

    def apply(self, index: EditedIndex, stamp: Stamp) -> None:
        """Other judgments have no baseline yet. Only the automatic mode keeps its trial."""
        if index.trial is not None and self.learning.judgments != index.learning.judgments:
            index.trial = msgspec.structs.replace(index.trial, judged_baseline=0.0)
        index.learning = self.learning
        if self.learning.mode != "automatic":
            index.trial = None


class SetTrial(IndexEdit, frozen=True, tag="trial"):
    """Sets the trial that goes on from now on; None ends it.

    A change that sets weights and no trial ends the trial as well; see `events.control.fold`.
    """

    part: ClassVar[Part] = "weights"

    trial: Trial | None

    @property
    def targets(self) -> list[Target]:
        return [Target("trial")]

    def describe(self) -> str:
        if self.trial is None:
            return "trial ended"
        return f"trial {self.trial.id}, {self.trial.stage}, {self.trial.solo_share:.0%} solo"

    def check(self) -> None:
        if self.trial is not None:
            check_trial(self.trial)

    def apply(self, index: EditedIndex, stamp: Stamp) -> None:
        index.trial = self.trial

    def moved_weights(self, index: IndexControl) -> MovedWeights:
        """On the ramp, `trial.weights` are the previous weights: shoppers have seen them."""
        if self.trial is None or self.trial.stage != "gate":
            return {}
        return _moved_to(index, self.trial.weights)


Edit = SetWeights | SetLimits | SetRule | DeleteRule | SetSegment | DeleteSegment | SetPolicy | SetLearning | SetTrial


def _moved_to(index: IndexControl, weights: Mapping[str, float]) -> MovedWeights:
    """Return (before, after) of each of these weights. A hinge without a weight has weight 0."""
    return {name: (index.weights.get(name, 0.0 if is_hinge(name) else value), value) for name, value in weights.items()}


def _moved_in_segment(index: IndexControl, segment_id: str, weights: Mapping[str, float]) -> MovedWeights:
    """Return (before, after) of each weight that the segment sets before or after; the index's if it sets none."""
    stored = index.segments.get(segment_id)
    before = stored.segment.weights if stored is not None else {}
    moved = {}
    for name in {**before, **weights}:
        default = index.weights.get(name, 0.0)
        moved[f"segments.{segment_id}.{name}"] = before.get(name, default), weights.get(name, default)
    return moved
