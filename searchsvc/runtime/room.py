"""Refuse writes before the disk or the memory is full.

Source: nats-server 2.15 on a full disk lets publishes time out, answers everything else normally, and goes on refusing
after space was freed until it is restarted. A process that takes more memory than there is gets killed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

import msgspec
import psutil

from events.errors import StorageFull

RESUME_BELOW: Final = 0.02
RETRY_AFTER_S: Final = 10.0
# What a container may use, in bytes, or "max".
CGROUP_LIMITS: Final = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


class Usage(Protocol):
    """What there is and what is left of it, in bytes, as `shutil.disk_usage` returns it."""

    @property
    def total(self) -> int: ...
    @property
    def free(self) -> int: ...


class RoomGuard:
    """Watches how full something is. Call `update` regularly.

    what: what it watches, for people
    usage: measures it; blocks
    warn_share: used share from which `reason` warns.
    stop_share: used share from which writes are refused, until `RESUME_BELOW` less is used.
    enough_bytes: with this much free, neither counts: a tenth of a large disk is enough. 0: they always count.
    full: whether writes are refused.
    reason: why it is not in order; '' if it is.
    """

    def __init__(
        self, resource: str, usage: Callable[[], Usage], *, warn_share: float, stop_share: float, enough_bytes: int
    ) -> None:
        self._resource = resource
        self._usage = usage
        self._warn_share = warn_share
        self._stop_share = stop_share
        self._enough_bytes = enough_bytes
        self.full = False
        self.reason = ""

    def update(self) -> None:
        """Measure it and decide whether writes are refused. Blocks."""
        usage = self._usage()
        used_share = 1.0 - usage.free / usage.total
        has_enough = 0 < self._enough_bytes <= usage.free
        limit = self._stop_share - (RESUME_BELOW if self.full else 0.0)
        self.full = not has_enough and used_share >= limit
        message = f"{self._resource} is {used_share:.0%} full, {usage.free / 1e6:.0f} MB are free"
        if self.full:
            self.reason = f"{message}: writes are refused until less than {limit:.0%} is used"
        else:
            self.reason = message if not has_enough and used_share >= self._warn_share else ""

    def require(self) -> None:
        """Raise StorageFull while writes are refused."""
        if self.full:
            raise StorageFull(self.reason, retry_after_s=RETRY_AFTER_S)


class MemoryUsage(msgspec.Struct, frozen=True):
    """total: bytes that may be used. free: bytes of them that are not"""

    total: int
    free: int


def memory_usage(total: int, child_pid: Callable[[], int | None]) -> MemoryUsage:
    """Measure the memory that this process and a child use. Blocks.

    Pages of files do not count: the system takes them back when it needs them.

    total: bytes that they may use
    child_pid: gives the process id of the child; None while there is none
    """
    return MemoryUsage(total, max(0, total - _private_bytes(os.getpid()) - _private_bytes(child_pid())))


def available_memory() -> int:
    """Return the bytes of memory that the machine has, or the container may use."""
    limits = [psutil.virtual_memory().total]
    for file in CGROUP_LIMITS:
        with suppress(OSError, ValueError):
            limits.append(int(file.read_text()))
    return min(limits)


def _private_bytes(pid: int | None) -> int:
    if pid is None:
        return 0
    try:
        memory = psutil.Process(pid).memory_info()
    except psutil.Error:
        return 0  # it has ended
    return int(memory.rss - getattr(memory, "shared", 0))
