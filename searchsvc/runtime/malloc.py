"""How the C library hands memory back. Where it is another than glibc, nothing happens."""

from __future__ import annotations

import contextlib
import ctypes
from typing import Final

# From malloc.h.
M_TRIM_THRESHOLD: Final = -1
M_MMAP_THRESHOLD: Final = -3
M_ARENA_MAX: Final = -8
# What a search allocates stays below it and is used again; columns and merges are above it and go back at once.
LARGE_BYTES: Final = 16 * 1024 * 1024
MAX_ARENAS: Final = 2
# Several searches at once of a large index. What went back comes again a page fault at a time, hundreds a search: a
# quarter of what the slowest of a million documents took.
KEPT_BYTES: Final = 64 * 1024 * 1024


def hand_back_early() -> None:
    """Large blocks get a mapping of their own, always; what is small stays, up to a limit. Once, at a start.

    Left to itself, glibc raises the limit with what it frees, and an index that grows leaves holes of twice its size.
    Few arenas, because what one thread frees another one uses.
    """
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
        libc.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
        libc.mallopt(M_ARENA_MAX, MAX_ARENAS)


def trim() -> None:
    """Give back what is free: for a quiet moment."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
