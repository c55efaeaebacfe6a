"""Rate limit of events over HTTP, so that they leave time for searches. Pure; time is an argument."""

from __future__ import annotations

import math

from events.errors import Overloaded


class Allowance:
    """A token bucket that holds one second's worth of events.

    per_s: events allowed per second.
    Source: the generic cell rate algorithm in its bucket form, ITU-T I.371.
    """

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._remaining = per_s
        self._updated_s = -math.inf

    def require(self, now_s: float) -> None:
        """Raise Overloaded, with the seconds to wait, while the bucket is overdrawn.

        now_s: reading of a monotonic clock.
        """
        self._remaining = min(self._remaining + (now_s - self._updated_s) * self._per_s, self._per_s)
        self._updated_s = now_s
        if self._remaining < 0:
            raise Overloaded(f"more than {self._per_s:g} events a second", retry_after_s=-self._remaining / self._per_s)

    def take(self, n_events: int) -> None:
        """Count events that were accepted. One request may overdraw the bucket; the next one is refused."""
        self._remaining -= n_events
