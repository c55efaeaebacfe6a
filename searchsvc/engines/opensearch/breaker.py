"""Asks a part that keeps failing only now and then: searches fail at once meanwhile, in place of waiting each. Pure.

closed: everything goes through. open: nothing does, for a while. half open: one goes through, and what becomes of it
decides. Source: Nygard, Release It!, 2018, section 5.2.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType

from events.errors import Unavailable


class Breaker:
    """For `with` around each attempt, from any thread. n_failures: in a row that open it. pause_s: before the next try.
    now: seconds, from any start.

    Entering raises Unavailable while it is open; what is raised inside counts as a failure where it is Unavailable.
    """

    def __init__(self, now: Callable[[], float], *, n_failures: int = 5, pause_s: float = 1.0) -> None:
        self._now = now
        self._n_allowed = n_failures
        self._pause_s = pause_s
        self._lock = threading.Lock()
        self._n_failed = 0
        self._open_until = 0.0
        self._last = ""

    @property
    def trouble(self) -> str:
        """What failed last, while it is not closed; '' while it is."""
        return self._last if self._n_failed >= self._n_allowed else ""

    def __enter__(self) -> None:
        with self._lock:
            if self._n_failed < self._n_allowed:
                return
            left_s = self._open_until - self._now()
            if left_s > 0:
                raise Unavailable(f"not tried again yet: {self._last}", retry_after_s=round(left_s, 2))
            # This one tries it; the others wait for what becomes of it.
            self._open_until = self._now() + self._pause_s

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            if isinstance(error, Unavailable):
                self._n_failed += 1
                self._last = str(error)
                self._open_until = self._now() + self._pause_s
            else:
                self._n_failed = 0
