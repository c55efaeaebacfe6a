"""One index as CONTROL sets it: its settings, weights, rules, segments, policy and learning. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

import msgspec

from events.errors import NotFound
from events.learning import Learning, Trial
from events.policies import Policy
from events.rules import Rule
from events.segments import Segment
from events.settings import IndexSettings


class Stamp(msgspec.Struct, frozen=True):
    """Who made a change, when and why, and its CONTROL sequence."""

    seq: int
    timestamp: datetime
    actor: str
    actor_verified: bool
    reason: str


class WeightsChange(msgspec.Struct, frozen=True):
    """One entry of an index's weights history.

    version: counts up by one with each change of weights, from 1
    seq: CONTROL sequence of the change
    changed: (before, after) by feature; None if the feature had, or has, no weight
    weights: all weights after the change
    """

    version: int
    seq: int
    timestamp: datetime
    actor: str
    actor_verified: bool
    reason: str
    changed: dict[str, tuple[float | None, float | None]]
    weights: dict[str, float]


class StoredRule(msgspec.Struct, frozen=True):
    """A rule and the change that wrote it.

    seq: CONTROL sequence of the change that wrote this form of the rule
    created_seq: CONTROL sequence of the change that created the rule
    """

    id: str
    rule: Rule
    seq: int
    created_seq: int
    timestamp: datetime
    actor: str
    actor_verified: bool
    reason: str

    @staticmethod
    def written(rule_id: str, rule: Rule, created_seq: int, stamp: Stamp) -> StoredRule:
        """Return a rule as the change with this stamp writes it."""
        who_and_why = stamp.actor, stamp.actor_verified, stamp.reason
        return StoredRule(rule_id, rule, stamp.seq, created_seq, stamp.timestamp, *who_and_why)


class StoredSegment(msgspec.Struct, frozen=True):
    """A segment and the change that wrote it.

    seq: CONTROL sequence of that change
    """

    id: str
    segment: Segment
    seq: int
    timestamp: datetime
    actor: str
    actor_verified: bool
    reason: str

    @staticmethod
    def written(segment_id: str, segment: Segment, stamp: Stamp) -> StoredSegment:
        """Return a segment as the change with this stamp writes it."""
        who_and_why = stamp.actor, stamp.actor_verified, stamp.reason
        return StoredSegment(segment_id, segment, stamp.seq, stamp.timestamp, *who_and_why)


class IndexControl(msgspec.Struct, frozen=True):
    """One index at one CONTROL sequence.

    weights: by feature, in feature order; then those of hinges
    weights_version: version of the newest entry of `history`
    created_seq: CONTROL sequence that created the index; part of its CATALOG subjects
    settings_seq: CONTROL sequence that set the settings
    config_version: CONTROL sequence of the last change of the index
    history: changes of weights, oldest first
    rules: by id
    segments: by id
    bounds: (lowest, highest) weight, of features whose bounds are not the default
    locks: features whose weight only people may change, sorted
    policy: who may change the index, when and how far
    published: by draft id, the event that had saved the draft; of the drafts published last
    learning: how the index learns from shoppers
    trial: the weights that are compared at present
    """

    name: str
    settings: IndexSettings
    weights: Mapping[str, float]
    weights_version: int
    created_seq: int
    settings_seq: int
    config_version: int
    history: tuple[WeightsChange, ...]
    rules: Mapping[str, StoredRule] = MappingProxyType({})
    segments: Mapping[str, StoredSegment] = MappingProxyType({})
    bounds: Mapping[str, tuple[float, float]] = MappingProxyType({})
    locks: tuple[str, ...] = ()
    policy: Policy = Policy()
    published: Mapping[str, str] = MappingProxyType({})
    learning: Learning = Learning()
    trial: Trial | None = None

    def rule(self, rule_id: str) -> StoredRule:
        """Return a rule. Raises NotFound."""
        stored = self.rules.get(rule_id)
        if stored is None:
            raise NotFound(f"index {self.name} has no rule {rule_id[:80]!r}", field="rule", value=rule_id)
        return stored

    def segment(self, segment_id: str) -> StoredSegment:
        """Return a segment. Raises NotFound."""
        stored = self.segments.get(segment_id)
        if stored is None:
            message = f"index {self.name} has no segment {segment_id[:80]!r}"
            raise NotFound(message, field="segment", value=segment_id)
        return stored


class EditedIndex(msgspec.Struct):
    """What edits change of an index, as copies that the edits of one change write to, one after another."""

    weights: dict[str, float]
    rules: dict[str, StoredRule]
    segments: dict[str, StoredSegment]
    bounds: dict[str, tuple[float, float]]
    locks: set[str]
    policy: Policy
    learning: Learning
    trial: Trial | None

    @staticmethod
    def copy_of(index: IndexControl) -> EditedIndex:
        """Return copies of what edits change of an index."""
        return EditedIndex(
            weights=dict(index.weights),
            rules=dict(index.rules),
            segments=dict(index.segments),
            bounds=dict(index.bounds),
            locks=set(index.locks),
            policy=index.policy,
            learning=index.learning,
            trial=index.trial,
        )
