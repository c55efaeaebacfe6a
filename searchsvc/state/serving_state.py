"""The immutable state that searches read. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

import msgspec

from events.control import ControlState
from events.errors import Unavailable
from searchsvc.analysis.adjacent_words import NO_ADJACENT_WORDS, AdjacentWords
from searchsvc.analysis.title_heads import Heads
from searchsvc.engines.protocol import EngineSnapshot
from searchsvc.state.sharded_mapping import ShardedMapping


class BehaviorValue(NamedTuple):
    """What shoppers' behavior says of a document.

    factor: what its score is multiplied by.
    feature: value of its behavior feature, in [-1, 1]; see `tuning.features`.
    """

    factor: float
    feature: float


class IndexBehavior(msgspec.Struct, frozen=True):
    """What was learnt from shoppers of one index.

    documents: by document id.
    queries: by query key, then by document id.
    exploration: share of searches that are worth exploring.
    """

    documents: ShardedMapping[BehaviorValue] = ShardedMapping()
    queries: ShardedMapping[dict[str, BehaviorValue]] = ShardedMapping()
    exploration: float = 1.0


class Measurements(msgspec.Struct, frozen=True):
    """What was measured in the documents of one index.

    neighbour_cut: the cosine that only neighbours of a query exceed.
    heads: of its titles.
    adjacent: words side by side in its titles.
    digest: of all this; '' where nothing was measured.
    """

    neighbour_cut: float = 0.0
    heads: Heads = MappingProxyType({})
    adjacent: AdjacentWords = NO_ADJACENT_WORDS
    digest: str = ""


NOT_MEASURED: Final = Measurements()


class ServingState(msgspec.Struct, frozen=True):
    """CONTROL at one sequence and the newest snapshot of each index. A search reads one such state and nothing newer.

    snapshots: by index name; an index that is being built has none.
    behavior: by index name; documents with average behavior are left out.
    measurements: by index name.
    """

    control: ControlState = ControlState()
    snapshots: Mapping[str, EngineSnapshot] = MappingProxyType({})
    behavior: Mapping[str, IndexBehavior] = MappingProxyType({})
    measurements: Mapping[str, Measurements] = MappingProxyType({})

    def exploration_share(self, index: str, max_share: float) -> float:
        """Return the share of an index's searches that explore. max_share: the share that its settings allow."""
        behavior = self.behavior.get(index)
        return max_share if behavior is None else min(max_share, behavior.exploration)

    def measured(self, index: str) -> Measurements:
        """Return what was measured in the documents of an index."""
        return self.measurements.get(index, NOT_MEASURED)

    def catalog_seq(self, index: str) -> int:
        """Return the CATALOG sequence that searches of an index see; 0 while it is being built."""
        snapshot = self.snapshots.get(index)
        return snapshot.catalog_seq if snapshot is not None else 0

    def snapshot(self, index: str) -> EngineSnapshot:
        """Return the snapshot of an index. Raises Unavailable while the index is being opened or built."""
        snapshot = self.snapshots.get(index)
        if snapshot is None:
            raise Unavailable(f"index {index} is being built", retry_after_s=1.0)
        return snapshot
