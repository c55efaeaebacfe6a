"""Follows CONTROL into the serving state.

the copy on disk  ->  replayed from the log, the copy completed  ->  followed: first the copy, then what is served

A message that is no event reaches neither the copy nor what is served.
"""

from __future__ import annotations

import asyncio

from events.chain import GENESIS, link
from events.codec import decode_control
from events.control import ControlState, fold_message
from events.copy import REMEDY, ControlCopy
from events.errors import Corrupt, LaterVersion
from events.log import EventLog, Record
from searchsvc.rules.rulebook import Rulebooks
from searchsvc.state.serving import Serving


class ControlFollower:
    """Keeps the serving state and the copy of CONTROL in step with the log.

    rulebooks: what searches find the rules of what is served in
    structure_changed: set whenever indexes must be opened, closed or rebuilt
    """

    def __init__(self, event_log: EventLog, copy: ControlCopy, serving: Serving, rulebooks: Rulebooks) -> None:
        self._log = event_log
        self._copy = copy
        self._serving = serving
        self._rulebooks = rulebooks
        self.structure_changed = asyncio.Event()

    async def serve_copy(self) -> None:
        """Serve what the copy on disk holds, without the log."""
        await self._serve(self._copy.state)

    async def replay(self) -> str:
        """Read CONTROL from its beginning, complete the copy and serve the result.

        Returns why the state ends before the log does: an event of a later version; '' if it does not.

        Raises Corrupt if the log lacks what the copy holds, and Unavailable.
        """
        state, last_seq, chain, reason = ControlState(), 0, GENESIS, ""
        async for record in self._log.read("CONTROL"):
            last_seq, chain = record.seq, link(chain, record.data)
            if record.seq > self._copy.seq:
                _require_event(record)
            self._copy.confirm(record, chain)
            if state.seq == record.seq - 1:
                try:
                    state = fold_message(state, record.data, record.seq)
                except LaterVersion as error:
                    reason = str(error)
        if last_seq < self._copy.seq:
            raise Corrupt(
                f"CONTROL ends at {last_seq}, but {self._copy.path} holds {self._copy.seq}: the messages between are "
                f"lost. {REMEDY}"
            )
        await self._serve(state)
        self.structure_changed.set()
        return reason

    async def run(self) -> None:
        """Follow CONTROL until cancelled. Raises LaterVersion and Corrupt."""
        async for record in self._log.follow("CONTROL", after=self._serving.current.control.seq):
            before = self._serving.current.control
            _require_event(record)
            after = fold_message(before, record.data, record.seq)
            # The copy first: nothing may be served that could not be restored.
            await asyncio.to_thread(self._copy.confirm, record, after.chain)
            await self._serve(after)
            if _structure(before) != _structure(after):
                self.structure_changed.set()

    async def _serve(self, state: ControlState) -> None:
        # Before searches see them: these may run on the event loop, and the rules may be thousands.
        await asyncio.to_thread(self._rulebooks.prepare, state.indexes.values())
        await self._serving.set_control(state)


def _require_event(record: Record) -> None:
    """Raise Corrupt, with the remedy, if a message is no event."""
    try:
        decode_control(record.data)
    except LaterVersion:
        return
    except Corrupt as error:
        raise Corrupt(
            f"CONTROL {record.seq}: {error}; `searchsvc events repair` replaces it by `message_lost`"
        ) from error


def _structure(state: ControlState) -> dict[str, tuple[int, int]]:
    """Return what indexers depend on: which indexes exist, and the sequence of their settings."""
    return {name: (index.created_seq, index.settings_seq) for name, index in state.indexes.items()}
