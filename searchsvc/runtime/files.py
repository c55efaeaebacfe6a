"""Files that hold what people typed, or secrets."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from events.snapshot import sync


def open_private(path: Path) -> BinaryIO:
    """Open a file for writing that only its owner may read, also if it existed with other permissions."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):  # not a device, such as /dev/stdout
        os.fchmod(descriptor, 0o600)
    return os.fdopen(descriptor, "wb")


def replace_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, whole or not at all, and have it on disk. Blocks."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        with open_private(partial) as output:
            output.write(content)
        sync(partial)
        partial.rename(path)
    except OSError:
        partial.unlink(missing_ok=True)  # what is left of it would keep a full disk full
        raise
    sync(path.parent)
