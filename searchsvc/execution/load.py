"""How many searches are in progress, and how many may be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from events.errors import Unavailable

RETRY_AFTER_S: Final = 1.0
QUIET_CHECK_S: Final = 0.02
QUIET_TIMEOUT_S: Final = 20.0


class SearchLoad:
    """Counts searches in progress. For one event loop.

    max_waiting: searches in progress or queued before one more is refused
    """

    def __init__(self, max_waiting: int) -> None:
        self._max_waiting = max_waiting
        self._n_searching = 0

    @property
    def n_searching(self) -> int:
        """Searches in progress or queued."""
        return self._n_searching

    def require_room(self) -> None:
        """Raise Unavailable if as many searches are in progress as are allowed."""
        if self._n_searching >= self._max_waiting:
            raise self._refusal()

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count one search for as long as the context lasts."""
        self._n_searching += 1
        try:
            yield
        finally:
            self._n_searching -= 1

    async def wait_until_quiet(self) -> None:
        """Wait until fewer than half of the allowed searches are in progress: shoppers' searches go first.

        Raises Unavailable after `QUIET_TIMEOUT_S`.
        """
        deadline = time.monotonic() + QUIET_TIMEOUT_S
        while self._n_searching >= max(self._max_waiting // 2, 1):
            if time.monotonic() > deadline:
                raise self._refusal()
            await asyncio.sleep(QUIET_CHECK_S)

    def _refusal(self) -> Unavailable:
        return Unavailable(f"{self._n_searching} searches are in progress", retry_after_s=RETRY_AFTER_S)
