"""How many events are let in: more than this would take the time that searches need. Pure; time is an argument."""

from __future__ import annotations

import math

from events.errors import Overloaded


class Allowance:
    """A token bucket: `per_s` events a second, and what a second brings in a burst.

    Source: the generic cell rate algorithm in its bucket form, ITU-T I.371.
    """

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._left = per_s
        self._at = -math.inf

    def require(self, now_s: float) -> None:
        """Raise Overloaded, saying when to come again, where more was taken than is allowed. now_s: a steady clock."""
        self._left = min(self._left + (now_s - self._at) * self._per_s, self._per_s)
        self._at = now_s
        if self._left < 0:
            raise Overloaded(f"more than {self._per_s:g} events a second", retry_after_s=-self._left / self._per_s)

    def take(self, n_events: int) -> None:
        """Count events that were let in. The last request may go over; the next waits for it."""
        self._left -= n_events
