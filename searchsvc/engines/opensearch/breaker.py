"""A circuit breaker: fail at once while a dependency keeps failing, instead of waiting for it each time. Pure.

closed: every call goes through
open: no call goes through, for a while
half open: one call goes through; its outcome closes or opens the breaker

Source: Nygard, Release It!, 2018, section 5.2.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType

from events.errors import Unavailable


class Breaker:
    """Use it with `with` around each call, from any thread.

    now: returns the time in seconds, from any start
    n_failures: failures in a row that open it
    pause_s: how long it stays open

    Entering raises Unavailable while it is open. A call fails if it raises Unavailable.
    """

    def __init__(self, now: Callable[[], float], *, n_failures: int = 5, pause_s: float = 1.0) -> None:
        self._now = now
        self._n_failures_to_open = n_failures
        self._pause_s = pause_s
        self._lock = threading.Lock()
        self._n_failures = 0
        self._open_until = 0.0
        self._last_error = ""

    @property
    def trouble(self) -> str:
        """The last error while the breaker is not closed, else ''."""
        return self._last_error if self._n_failures >= self._n_failures_to_open else ""

    def __enter__(self) -> None:
        with self._lock:
            if self._n_failures < self._n_failures_to_open:
                return
            remaining_s = self._open_until - self._now()
            if remaining_s > 0:
                raise Unavailable(f"not tried again yet: {self._last_error}", retry_after_s=round(remaining_s, 2))
            # Half open: this call goes through, others fail until it is decided.
            self._open_until = self._now() + self._pause_s

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            if isinstance(error, Unavailable):
                self._n_failures += 1
                self._last_error = str(error)
                self._open_until = self._now() + self._pause_s
            else:
                self._n_failures = 0
