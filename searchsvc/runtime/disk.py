"""Refuse writes before the disk is full.

Source: nats-server 2.15 on a full disk lets publishes time out, answers everything else normally, and goes on refusing
after space was freed until it is restarted.
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
    """The result of `shutil.disk_usage`."""

    @property
    def total(self) -> int: ...
    @property
    def free(self) -> int: ...


class DiskGuard:
    """Watches the disk of a folder. Call `update` regularly.

    warn_share: used share from which `reason` warns.
    stop_share: used share from which writes are refused, until `RESUME_BELOW` less is used.
    enough_bytes: with this much free, neither counts: a tenth of a large disk is enough.
    usage: reads the disk.
    full: whether writes are refused.
    reason: why the disk is not in order; '' if it is.
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

    def update(self) -> None:
        """Read the disk and decide whether writes are refused. Blocks."""
        usage = self._usage(self._folder)
        used_share = 1.0 - usage.free / usage.total
        has_enough = usage.free >= self._enough_bytes
        limit = self._stop_share - (RESUME_BELOW if self.full else 0.0)
        self.full = not has_enough and used_share >= limit
        message = f"the disk of {self._folder} is {used_share:.0%} full, {usage.free / 1e6:.0f} MB are free"
        if self.full:
            self.reason = f"{message}: writes are refused until less than {limit:.0%} is used"
        else:
            self.reason = message if not has_enough and used_share >= self._warn_share else ""

    def require(self) -> None:
        """Raise StorageFull while writes are refused."""
        if self.full:
            raise StorageFull(self.reason, retry_after_s=RETRY_AFTER_S)
