"""What a published change can change of an index. Pure data.

An edit says what is there after it, not what it was before: that stands in the log.
"""

from __future__ import annotations

import msgspec

from events.learning import Learning, Trial
from events.policies import Policy
from events.rules import Rule
from events.segments import Segment


class SetWeights(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="weights"):
    """The weights of some features. Features that are not named keep theirs."""

    weights: dict[str, float]


class SetRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="rule"):
    """A rule, whole, new or in place of the one of that id."""

    id: str
    rule: Rule


class DeleteRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="rule_deleted"):
    id: str


class SetLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag="limits"):
    """How far weights may go. bounds: (least, most) by feature, None for the usual ones. locks: whether only people may
    move the weight of a feature. Features that are not named keep theirs."""

    bounds: dict[str, tuple[float, float] | None] = {}
    locks: dict[str, bool] = {}


class SetSegment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="segment"):
    """A segment, whole, new or in place of the one of that id."""

    id: str
    segment: Segment


class DeleteSegment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="segment_deleted"):
    id: str


class SetPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="policy"):
    """Who may change the index from now on, when and how far: whole, in place of the policy before."""

    policy: Policy


class SetLearning(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="learning"):
    """How the index learns from now on: whole, in place of what was set before."""

    learning: Learning


class SetTrial(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="trial"):
    """What is compared from now on; None for nothing. A change of weights that says nothing of it ends it, too."""

    trial: Trial | None


Edit = SetWeights | SetLimits | SetRule | DeleteRule | SetSegment | DeleteSegment | SetPolicy | SetLearning | SetTrial
