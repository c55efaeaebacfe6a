"""Weights, and segments: other weights for some searches."""

from __future__ import annotations

from datetime import datetime

import msgspec

from events.edits import SetLimits
from events.index_control import StoredSegment, WeightsChange
from events.rules import Conditions
from events.segments import Segment
from searchsvc.runtime.pages import MAX_PAGE_ITEMS


class WeightsInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Weights to set, merged into those in force.

    weights: by feature; a feature that is absent keeps its weight
    bounds: by feature, least and greatest weight; null for the default bounds
    locks: by feature, whether only people may change its weight
    expected_version: refuse (409) if the weights are at another version
    """

    weights: dict[str, float] = {}
    bounds: dict[str, tuple[float, float] | None] = {}
    locks: dict[str, bool] = {}
    reason: str = ""
    expected_version: int | None = None

    def limits(self) -> SetLimits | None:
        """Return the bounds and locks as an edit; None without any."""
        return SetLimits(self.bounds, self.locks) if self.bounds or self.locks else None


class WeightsInfo(msgspec.Struct, frozen=True):
    """The weights in force.

    min_weight: lowest weight of features that have no bounds of their own in `bounds`
    max_weight: highest weight of these features
    locks: features whose weight only people may change
    segments: by id, weights that differ for some searches
    """

    index: str
    version: int
    weights: dict[str, float]
    min_weight: float
    max_weight: float
    bounds: dict[str, tuple[float, float]] = {}
    locks: list[str] = []
    segments: dict[str, Segment] = {}


class WeightsChangedAnswer(msgspec.Struct, frozen=True):
    """A change of weights, already served.

    seq: CONTROL sequence of the change
    """

    version: int
    seq: int
    weights: dict[str, float]


class WeightsHistory(msgspec.Struct, frozen=True):
    """Changes of the weights, newest first.

    next_after: `after` of the next page; null if this is the last one
    """

    index: str
    changes: list[WeightsChange]
    next_after: int | None = None


class HistoryQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which changes to list.

    after: only changes that come after this version in the list, so older ones; null for the newest
    limit: number of changes, at most; a page may hold fewer and have a next one
    """

    after: int | None = None
    limit: int = MAX_PAGE_ITEMS


class SegmentInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole segment, as in `events.segments.Segment`, and the reason for it."""

    conditions: Conditions
    weights: dict[str, float]
    priority: int = 0
    enabled: bool = True
    reason: str = ""

    def segment(self) -> Segment:
        """Return the segment without the reason."""
        return Segment(self.conditions, self.weights, self.priority, self.enabled)


class SegmentInfo(msgspec.Struct, frozen=True):
    """One segment, and the change that wrote it.

    seq: CONTROL sequence of the change
    """

    id: str
    conditions: Conditions
    weights: dict[str, float]
    priority: int
    enabled: bool
    seq: int
    timestamp: datetime
    actor: str
    actor_verified: bool
    reason: str

    @staticmethod
    def from_stored(stored: StoredSegment) -> SegmentInfo:
        """Describe a segment."""
        return SegmentInfo(
            id=stored.id,
            conditions=stored.segment.conditions,
            weights=stored.segment.weights,
            priority=stored.segment.priority,
            enabled=stored.segment.enabled,
            seq=stored.seq,
            timestamp=stored.timestamp,
            actor=stored.actor,
            actor_verified=stored.actor_verified,
            reason=stored.reason,
        )


class SegmentList(msgspec.Struct, frozen=True):
    """Segments of an index, by id.

    next_after: `after` of the next page; null if this is the last one
    """

    index: str
    segments: list[SegmentInfo]
    next_after: str | None = None


class SegmentChangedAnswer(msgspec.Struct, frozen=True):
    """A change of a segment, already served.

    seq: CONTROL sequence of the change
    segment: null if it was deleted
    """

    seq: int
    segment: SegmentInfo | None
