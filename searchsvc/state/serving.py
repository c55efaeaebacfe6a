"""What searches see: one immutable state, swapped in one reference.

Nothing tells serving to change but the log: the CONTROL follower and the indexers fold what they read and put it here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from events.control import ControlState
from events.errors import Unavailable
from searchsvc.engines.protocol import EngineSnapshot
from searchsvc.state.sharded import Sharded


class Liking(NamedTuple):
    """What shoppers do with a document. factor: what its score is multiplied by. feature: as in `tuning.features`."""

    factor: float
    feature: float


class IndexBehavior(msgspec.Struct, frozen=True):
    """documents: by id. queries: by the words that are asked for, then by id. exploration: the share of searches that
    are worth leaving to chance."""

    documents: Sharded[Liking] = Sharded()
    queries: Sharded[dict[str, Liking]] = Sharded()
    exploration: float = 1.0


class ServingState(msgspec.Struct, frozen=True):
    """CONTROL at one sequence, and the newest snapshot of each index. A search takes one and nothing newer.

    behavior: by index, what shoppers do with documents, as far as it is not what they do with all others.
    """

    control: ControlState = ControlState()
    snapshots: Mapping[str, EngineSnapshot] = MappingProxyType({})
    behavior: Mapping[str, IndexBehavior] = MappingProxyType({})

    def exploration(self, name: str, most: float) -> float:
        """The share of an index's searches that is left to chance. most: that may be."""
        known = self.behavior.get(name)
        return most if known is None else min(most, known.exploration)

    def snapshot(self, name: str) -> EngineSnapshot:
        """Raises Unavailable while an index is being opened or built."""
        found = self.snapshots.get(name)
        if found is None:
            raise Unavailable(f"index {name} is being built", retry_after_s=1.0)
        return found


class Serving:
    """Holds the current state. Written on the event loop only; read from any thread through `current`."""

    def __init__(self) -> None:
        self.current = ServingState()
        self._changed = asyncio.Condition()

    async def set_control(self, control: ControlState) -> None:
        before, after = self.current.control.indexes, control.indexes
        kept = {
            name: snapshot
            for name, snapshot in self.current.snapshots.items()
            if name in after and after[name].created_seq == before[name].created_seq
        }
        await self._swap(msgspec.structs.replace(self.current, control=control, snapshots=MappingProxyType(kept)))

    async def set_snapshot(self, name: str, created_seq: int, snapshot: EngineSnapshot) -> None:
        """Ignored where the index of that creation is gone: its name may mean another index by now."""
        index = self.current.control.indexes.get(name)
        if index is None or index.created_seq != created_seq:
            return
        snapshots = {**self.current.snapshots, name: snapshot}
        await self._swap(msgspec.structs.replace(self.current, snapshots=MappingProxyType(snapshots)))

    async def set_behavior(self, behavior: Mapping[str, IndexBehavior]) -> None:
        await self._swap(msgspec.structs.replace(self.current, behavior=MappingProxyType(dict(behavior))))

    async def until(self, holds: Callable[[ServingState], bool], timeout_s: float, waiting_for: str) -> ServingState:
        """Wait until the current state satisfies `holds` and return it. Raises Unavailable past `timeout_s`."""
        if holds(self.current):
            return self.current
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait_for(lambda: holds(self.current))
                return self.current
        except TimeoutError:
            raise Unavailable(f"{waiting_for} was not reached within {timeout_s:g} s") from None

    async def _swap(self, state: ServingState) -> None:
        self.current = state
        async with self._changed:
            self._changed.notify_all()
