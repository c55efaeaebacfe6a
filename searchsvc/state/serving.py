"""Holds the current serving state and replaces it in one assignment.

Only the log changes what is served: its followers and the indexers fold what they read and put the result here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import MappingProxyType

import msgspec

from events.control import ControlState
from events.errors import Unavailable
from searchsvc.engines.protocol import EngineSnapshot
from searchsvc.state.serving_state import NOT_MEASURED, IndexBehavior, Measurements, ServingState


class Serving:
    """Holds the current state. Written on the event loop only; any thread may read `current`."""

    def __init__(self) -> None:
        self.current = ServingState()
        self._changed = asyncio.Condition()

    async def set_control(self, control: ControlState) -> None:
        """Serve another state of CONTROL. Snapshots of indexes that are gone, or were created again, are dropped."""
        before, after = self.current.control.indexes, control.indexes
        snapshots = {
            name: snapshot
            for name, snapshot in self.current.snapshots.items()
            if name in after and after[name].created_seq == before[name].created_seq
        }
        await self._swap(msgspec.structs.replace(self.current, control=control, snapshots=MappingProxyType(snapshots)))

    async def set_snapshot(
        self, name: str, created_seq: int, snapshot: EngineSnapshot, measured: Measurements = NOT_MEASURED
    ) -> None:
        """Serve another snapshot of an index.

        created_seq: the CONTROL sequence that created the index. If CONTROL has another one by now, or none, the
            snapshot is ignored: its name means another index.
        measured: in its documents.
        """
        index = self.current.control.indexes.get(name)
        if index is None or index.created_seq != created_seq:
            return
        snapshots = {**self.current.snapshots, name: snapshot}
        measurements = {**self.current.measurements, name: measured}
        state = msgspec.structs.replace(
            self.current, snapshots=MappingProxyType(snapshots), measurements=MappingProxyType(measurements)
        )
        await self._swap(state)

    async def set_behavior(self, behavior: Mapping[str, IndexBehavior]) -> None:
        """Serve other behavior. behavior: by index name."""
        await self._swap(msgspec.structs.replace(self.current, behavior=MappingProxyType(dict(behavior))))

    async def wait_until(
        self, is_reached: Callable[[ServingState], bool], timeout_s: float, description: str
    ) -> ServingState:
        """Wait for a state and return it.

        is_reached: whether a state is the one waited for.
        description: what is waited for, in the error message.
        Raises Unavailable after `timeout_s`.
        """
        if is_reached(self.current):
            return self.current
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait_for(lambda: is_reached(self.current))
                return self.current
        except TimeoutError:
            raise Unavailable(f"{description} was not reached within {timeout_s:g} s") from None

    async def _swap(self, state: ServingState) -> None:
        self.current = state
        async with self._changed:
            self._changed.notify_all()
