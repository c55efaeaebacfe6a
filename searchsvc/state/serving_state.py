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
    """What shoppers do with a document. factor: what its score is multiplied by. feature: as in `tuning.features`."""

    factor: float
    feature: float


class IndexBehavior(msgspec.Struct, frozen=True):
    """documents: by id. queries: by the words that are asked for, then by id. exploration: the share of searches that
    are worth leaving to chance."""

    documents: ShardedMapping[BehaviorValue] = ShardedMapping()
    queries: ShardedMapping[dict[str, BehaviorValue]] = ShardedMapping()
    exploration: float = 1.0


class ServingState(msgspec.Struct, frozen=True):
    """CONTROL at one sequence, and the newest snapshot of each index. A search takes one and nothing newer.

    behavior: by index, what shoppers do with documents, as far as it is not what they do with all others.
    """

    control: ControlState = ControlState()
    snapshots: Mapping[str, EngineSnapshot] = MappingProxyType({})
    behavior: Mapping[str, IndexBehavior] = MappingProxyType({})

    def exploration_share(self, name: str, most: float) -> float:
        """The share of an index's searches that is left to chance. most: that may be."""
        known = self.behavior.get(name)
        return most if known is None else min(most, known.exploration)

    def snapshot(self, name: str) -> EngineSnapshot:
        """Raises Unavailable while an index is being opened or built."""
        found = self.snapshots.get(name)
        if found is None:
            raise Unavailable(f"index {name} is being built", retry_after_s=1.0)
        return found
