"""Append commands to CONTROL, one event each, and wait until they are served.

A command decides on the newest state, and its event is appended with that state's sequence as the expected last one, so
CONTROL is one linear history. If another writer was first, the command decides again.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from events.codec import encode
from events.errors import Conflict, Unavailable
from events.index_control import IndexControl
from events.log import Entry, EventLog
from events.streams import control_subject
from events.types import ChangeRefused
from searchsvc.changes.command import Command, EventStamp
from searchsvc.changes.refusals import RecentRefusals, forbidden, shortened
from searchsvc.runtime.clock import Clock
from searchsvc.state.serving import Serving
from searchsvc.state.serving_state import ServingState

MAX_ATTEMPTS: Final = 16
APPLY_TIMEOUT_S: Final = 5.0


class Changed(msgspec.Struct, frozen=True):
    """A change that is stored and served.

    seq: its CONTROL sequence
    index: the index after it; None if it is gone
    """

    seq: int
    index: IndexControl | None


class _Overtaken(msgspec.Struct, frozen=True):
    """Another writer appended to CONTROL first.

    last_seq: the last sequence of CONTROL
    """

    last_seq: int


class ControlWriter:
    """The only writer of CONTROL in a service."""

    def __init__(self, event_log: EventLog, serving: Serving, clock: Clock) -> None:
        self._log = event_log
        self._serving = serving
        self._clock = clock
        self._turn = asyncio.Lock()
        self._refusals = RecentRefusals()

    async def append(self, command: Command) -> Changed:
        """Append the event that a command decides on, and wait until it is served.

        Raises Forbidden if a policy does not allow it; this refusal is stored as well.
        Raises InvalidInput as the command does.
        Raises Unavailable if the log is out of reach, or too many other writers were first.
        """
        command.author.check()
        async with self._in_turn():
            event_id = uuid.uuid4().hex
            for _ in range(MAX_ATTEMPTS):
                outcome = await self._append_once(command, event_id)
                if isinstance(outcome, Changed):
                    return outcome
                await self._applied(outcome.last_seq)
            raise Unavailable(f"{MAX_ATTEMPTS} other changes came first", retry_after_s=0.1)

    @asynccontextmanager
    async def _in_turn(self) -> AsyncIterator[None]:
        """One command at a time: those of this service do not compete with each other."""
        try:
            async with asyncio.timeout(APPLY_TIMEOUT_S):
                await self._turn.acquire()
        except TimeoutError:
            raise Unavailable("other changes are still under way", retry_after_s=1.0) from None
        try:
            yield
        finally:
            self._turn.release()

    async def _append_once(self, command: Command, event_id: str) -> Changed | _Overtaken:
        """Decide on the state served now, and append."""
        state = self._serving.current.control
        # On a thread: to check thousands of rules takes seconds.
        event = await asyncio.to_thread(command.decide, state, EventStamp(event_id, self._clock()))
        if isinstance(event, ChangeRefused):
            event = shortened(event)
            logged_seq = self._refusals.logged_seq(event)
            if logged_seq is not None:
                raise forbidden(event, logged_seq)
        try:
            seq = await self._store(Entry(control_subject(command.index), encode(event), event_id), state.seq)
        except Conflict as conflict:
            return _Overtaken(conflict.actual)
        served = await self._applied(seq)
        if isinstance(event, ChangeRefused):
            self._refusals.remember(event, seq)
            raise forbidden(event, seq)
        return Changed(seq, served.control.indexes.get(command.index))

    async def _store(self, entry: Entry, expected_last_seq: int) -> int:
        try:
            return await self._log.append("CONTROL", entry, expected_last_seq=expected_last_seq)
        except Unavailable:
            # It may be stored. The same id with the same expectation is stored once, and returns its sequence.
            return await self._log.append("CONTROL", entry, expected_last_seq=expected_last_seq)

    async def _applied(self, seq: int) -> ServingState:
        return await self._serving.wait_until(
            lambda state: state.control.seq >= seq, APPLY_TIMEOUT_S, f"sequence {seq}"
        )
