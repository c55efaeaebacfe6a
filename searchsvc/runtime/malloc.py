"""Limit the free memory that the C library keeps. With a C library other than glibc, nothing happens."""

from __future__ import annotations

import contextlib
import ctypes
from typing import Final

from events.sizes import MIB

# Option numbers from malloc.h.
M_TRIM_THRESHOLD: Final = -1
M_MMAP_THRESHOLD: Final = -3
M_ARENA_MAX: Final = -8
# Allocations of a search are smaller and are reused; columns and merges are larger and are returned at once.
LARGE_BYTES: Final = 16 * MIB
MAX_ARENAS: Final = 2
# Enough for several searches of a large index at once. Returned memory comes back by page faults, hundreds a search:
# without this, they were a quarter of the slowest searches of a million documents.
RETAINED_BYTES: Final = 64 * MIB


def limit_retained_memory() -> None:
    """Give large blocks a mapping of their own, and keep at most `RETAINED_BYTES` free. Call it once, at start.

    By default, glibc raises the limit for mappings with each block that is freed, and a growing index leaves holes of
    twice its size. Few arenas, because memory that one thread frees is used by another.
    """
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
        libc.mallopt(M_TRIM_THRESHOLD, RETAINED_BYTES)
        libc.mallopt(M_ARENA_MAX, MAX_ARENAS)


def trim() -> None:
    """Return free memory to the operating system. It takes a while, so call it when little is going on."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
