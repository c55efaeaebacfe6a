"""Room to write: refuse before the disk is full, because the log's server only times out once it is.

Source: nats-server 2.15 on a full disk lets publishes time out, answers everything else as if nothing were wrong, and
goes on refusing after space was freed until it is started again.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from events.errors import StorageFull

RESUME_BELOW: Final = 0.02
RETRY_AFTER_S: Final = 10.0


class Usage(Protocol):
    """As `shutil.disk_usage` answers."""

    @property
    def total(self) -> int: ...
    @property
    def free(self) -> int: ...


class DiskGuard:
    """Writes stop at `stop_share` of the disk used and go on `RESUME_BELOW` under it; from `warn_share` it is said.

    enough_bytes: with so much free, neither counts: a tenth of a large disk is plenty. `look` reads the disk and is to
    be called now and then.
    """

    def __init__(
        self,
        folder: Path,
        *,
        warn_share: float,
        stop_share: float,
        enough_bytes: int,
        usage: Callable[[Path], Usage] = shutil.disk_usage,
    ) -> None:
        self._folder = folder
        self._warn_share = warn_share
        self._stop_share = stop_share
        self._enough_bytes = enough_bytes
        self._usage = usage
        self.full = False
        self.reason = ""

    def look(self) -> None:
        """Read the disk and decide."""
        usage = self._usage(self._folder)
        used = 1.0 - usage.free / usage.total
        plenty = usage.free >= self._enough_bytes
        limit = self._stop_share - (RESUME_BELOW if self.full else 0.0)
        self.full = not plenty and used >= limit
        said = f"the disk of {self._folder} is {used:.0%} full, {usage.free / 1e6:.0f} MB are free"
        if self.full:
            self.reason = f"{said}: writes are refused until less than {limit:.0%} is used"
        else:
            self.reason = said if not plenty and used >= self._warn_share else ""

    def require(self) -> None:
        """Raise StorageFull while writes are refused."""
        if self.full:
            raise StorageFull(self.reason, retry_after_s=RETRY_AFTER_S)
