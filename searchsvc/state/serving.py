"""What searches see: one immutable state, swapped in one reference.

Nothing tells serving to change but the log: the CONTROL follower and the indexers fold what they read and put it here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import MappingProxyType

import msgspec

from events.control import ControlState
from events.errors import Unavailable
from searchsvc.engines.protocol import EngineSnapshot
from searchsvc.state.serving_state import IndexBehavior, ServingState


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

    async def wait_until(
        self, holds: Callable[[ServingState], bool], timeout_s: float, waiting_for: str
    ) -> ServingState:
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
