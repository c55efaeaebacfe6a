"""Past states of CONTROL, folded again from the copy of the log."""

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

# Messages between two states that are kept for good, to fold from.
MESSAGES_PER_STATE: Final = 1000
# Other states that are kept: those requested last.
N_RECENT_STATES: Final = 16


class HistoryStep(msgspec.Struct, frozen=True):
    """One message of CONTROL, and the states before and after it."""

    record: ArchivedRecord
    event: ControlEvent | Skipped
    before: ControlState
    after: ControlState


class ControlHistory:
    """Any past state of CONTROL. Reads files; safe for any thread.

    copy: the copy of CONTROL beside the log's store
    """

    def __init__(self, copy: ControlCopy) -> None:
        self._copy = copy
        self._lock = threading.Lock()
        self._regular_states: dict[int, ControlState] = {0: ControlState()}
        self._recent_states: OrderedDict[int, ControlState] = OrderedDict()

    @property
    def seq(self) -> int:
        """The last sequence of the copy."""
        return self._copy.seq

    def seq_at(self, moment: int | datetime, field: str) -> int:
        """Return the last sequence that was in force at a moment; 0 if there was none yet.

        moment: a sequence, or a time with its zone
        field: what errors call the moment

        Raises InvalidInput for a sequence past the last.
        """
        if isinstance(moment, datetime):
            return self._copy.seq_at(moment)
        if moment > self.seq:
            limit = f"at most {self.seq}, the last there is"
            raise InvalidInput(f"{field} is {moment}; allowed: {limit}", field=field, value=moment, limit=limit)
        return moment

    def state_at(self, seq: int) -> ControlState:
        """Return the state after a sequence from 0 to `seq`. Raises LaterVersion if it cannot be folded."""
        with self._lock:
            state = self._recent_states.get(seq)
            if state is None:
                state = self._regular_states[max(start for start in self._regular_states if start <= seq)]
                for record in self._copy.read(state.seq, seq):
                    state = fold_message(state, bytes(record.data), record.seq)
                    if state.seq % MESSAGES_PER_STATE == 0:
                        self._regular_states[state.seq] = state
                self._recent_states[seq] = state
            self._recent_states.move_to_end(seq)
            while len(self._recent_states) > N_RECENT_STATES:
                self._recent_states.popitem(last=False)
            return state

    def step(self, seq: int) -> HistoryStep:
        """Return the message at a sequence from 1 to `seq`, and the states around it."""
        return next(self.steps(seq - 1, seq))

    def steps(self, after: int, to: int) -> Iterator[HistoryStep]:
        """Yield the messages past one sequence up to another, and the states around each."""
        state = self.state_at(after)
        for record in self._copy.read(after, to):
            next_state = fold_message(state, bytes(record.data), record.seq)
            yield HistoryStep(record, decode_control(bytes(record.data)), state, next_state)
            state = next_state
