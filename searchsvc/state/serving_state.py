"""The immutable state that searches read. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from events.control import ControlState
from events.errors import Unavailable
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


class ServingState(msgspec.Struct, frozen=True):
    """CONTROL at one sequence and the newest snapshot of each index. A search reads one such state and nothing newer.

    snapshots: by index name; an index that is being built has none.
    behavior: by index name; documents with average behavior are left out.
    neighbour_cuts: by index name, the cosine that only neighbours of a query exceed.
    """

    control: ControlState = ControlState()
    snapshots: Mapping[str, EngineSnapshot] = MappingProxyType({})
    behavior: Mapping[str, IndexBehavior] = MappingProxyType({})
    neighbour_cuts: Mapping[str, float] = MappingProxyType({})

    def exploration_share(self, index: str, max_share: float) -> float:
        """Return the share of an index's searches that explore. max_share: the share that its settings allow."""
        behavior = self.behavior.get(index)
        return max_share if behavior is None else min(max_share, behavior.exploration)

    def min_cosine(self, index: str) -> float:
        """Return the cosine that only neighbours of a query exceed."""
        return self.neighbour_cuts.get(index, 0.0)

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
