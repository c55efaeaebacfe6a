"""The right to be the only owner of a data folder.

Two nats-servers on one store do not notice each other and lose acknowledged messages, and a child outlives a killed
parent. So `DATA/lock` is locked (flock) for as long as either lives: the child inherits the descriptor. A start that
finds the lock held tells a live owner from an orphaned child.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from pathlib import Path
from typing import Final

from events.errors import Unavailable

LOCK_TIMEOUT_S: Final = 10.0


class StoreLock:
    """A held flock on `DATA/lock`. The file names its owner."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def record(self, *, child_pid: int) -> None:
        """Write the owner into the file, for a start that finds the lock held."""
        owner = {
            "pid": os.getpid(),
            "started": _started(os.getpid()),
            "child": child_pid,
            "child_started": _started(child_pid),
        }
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, json.dumps(owner).encode(), 0)

    def release(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def lock_store(data_dir: Path, *, wait_s: float = LOCK_TIMEOUT_S) -> StoreLock:
    """Take the lock of a data folder. Kills an orphaned server that still holds it.

    Raises Unavailable, naming the process, if a live service owns the folder.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + wait_s
    orphan_killed = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return StoreLock(descriptor)
        except BlockingIOError:
            owner = _owner(descriptor)
            if owner is not None and _started(owner["pid"]) == owner["started"]:
                os.close(descriptor)
                raise Unavailable(
                    f"{data_dir} is in use by the service with pid {owner['pid']}: "
                    "stop it first, or take another --data-dir"
                ) from None
            if not orphan_killed and owner is not None and _started(owner["child"]) == owner["child_started"]:
                os.kill(owner["child"], signal.SIGKILL)
                orphan_killed = True
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise Unavailable(
                    f"{data_dir}/lock is held by an unknown process; `fuser {data_dir}/lock` names it"
                ) from None
            time.sleep(0.02)


def _owner(descriptor: int) -> dict[str, int] | None:
    try:
        owner = json.loads(os.pread(descriptor, 4096, 0))
        return {key: int(owner[key]) for key in ("pid", "started", "child", "child_started")}
    except (ValueError, KeyError, TypeError):
        return None


def _started(pid: int) -> int:
    """Return a process's start time in clock ticks since boot; 0 if it is gone.

    A pid alone may belong to another process by now.
    """
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0
