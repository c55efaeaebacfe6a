"""CONTROL as it was: any state there ever was, folded again from the copy of the log."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from datetime import datetime
from typing import Final

import msgspec

from events.archive import ArchivedRecord
from events.codec import decode_control
from events.control import ControlState, fold_message
from events.copy import ControlCopy
from events.errors import InvalidInput
from events.types import ControlEvent, Skipped

# A state is kept for every so many messages, and those that were asked for last.
EVERY: Final = 1000
REMEMBERED: Final = 16


class Step(msgspec.Struct, frozen=True):
    """One message of CONTROL, and the states on either side of it."""

    record: ArchivedRecord
    event: ControlEvent | Skipped
    before: ControlState
    after: ControlState


class ControlHistory:
    """For any thread; reads files."""

    def __init__(self, copy: ControlCopy) -> None:
        self._copy = copy
        self._lock = threading.Lock()
        self._kept: dict[int, ControlState] = {0: ControlState()}
        self._asked: OrderedDict[int, ControlState] = OrderedDict()

    @property
    def seq(self) -> int:
        return self._copy.seq

    def seq_of(self, moment: int | datetime, field: str) -> int:
        """The last sequence that counted at a moment; 0 where there was none yet. field: what errors call the moment.
        Raises InvalidInput for a sequence that is not there yet."""
        if isinstance(moment, datetime):
            return self._copy.seq_at(moment)
        if moment > self.seq:
            limit = f"at most {self.seq}, the last there is"
            raise InvalidInput(f"{field} is {moment}; allowed: {limit}", field=field, value=moment, limit=limit)
        return moment

    def at(self, seq: int) -> ControlState:
        """The state once a sequence, which is there, had been applied. Raises LaterVersion where it cannot be known."""
        with self._lock:
            state = self._asked.get(seq)
            if state is None:
                state = self._kept[max(kept for kept in self._kept if kept <= seq)]
                for record in self._copy.read(state.seq, seq):
                    state = fold_message(state, bytes(record.data), record.seq)
                    if state.seq % EVERY == 0:
                        self._kept[state.seq] = state
                self._asked[seq] = state
            self._asked.move_to_end(seq)
            while len(self._asked) > REMEMBERED:
                self._asked.popitem(last=False)
            return state

    def steps(self, after: int, to: int) -> Iterator[Step]:
        """What happened past one sequence, up to another that is there."""
        state = self.at(after)
        for first in range(after, to, EVERY):
            # Who asks for a few need not wait for all of them to be read.
            for record in self._copy.read(first, min(first + EVERY, to)):
                later = fold_message(state, bytes(record.data), record.seq)
                yield Step(record, decode_control(bytes(record.data)), state, later)
                state = later
