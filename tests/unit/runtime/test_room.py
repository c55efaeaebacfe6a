"""When writes are refused because the disk or the memory is full, and when they go on."""

from __future__ import annotations

import os

import msgspec
import pytest

from events.errors import StorageFull
from searchsvc.runtime import malloc
from searchsvc.runtime.room import RoomGuard, available_memory, memory_usage


class Usage(msgspec.Struct):
    total: int
    free: int


def new_guard(usage: Usage, enough_bytes: int = 10**9) -> RoomGuard:
    return RoomGuard("the disk", lambda: usage, warn_share=0.8, stop_share=0.9, enough_bytes=enough_bytes)


def test_writes_stop_at_the_stop_share_and_go_on_below_it() -> None:
    usage = Usage(1000, 500)
    disk = new_guard(usage)
    states = []
    for free in (500, 190, 101, 100, 50, 105, 119, 121, 300):
        usage.free = free
        disk.update()
        states.append((free, disk.full, bool(disk.reason)))
    assert states == [
        (500, False, False),
        (190, False, True),
        (101, False, True),
        (100, True, True),
        (50, True, True),
        (105, True, True),
        (119, True, True),
        (121, False, True),
        (300, False, False),
    ]


def test_a_full_disk_is_named_with_the_time_to_retry() -> None:
    disk = new_guard(Usage(1000, 50))
    disk.require()
    disk.update()
    with pytest.raises(StorageFull, match="95% full") as refused:
        disk.require()
    assert refused.value.retry_after_s == 10


def test_the_last_tenth_of_a_large_disk_is_enough() -> None:
    disk = new_guard(Usage(10**12, 10**10))
    disk.update()
    assert (disk.full, disk.reason) == (False, "")


def test_no_amount_is_enough_where_none_is_named() -> None:
    disk = new_guard(Usage(10**12, 10**10), enough_bytes=0)
    disk.update()
    assert disk.full


def test_memory_counts_what_a_process_has_for_itself() -> None:
    total = available_memory()
    assert total > 0
    # What earlier tests freed would be used again, and the process would have no more for itself.
    malloc.trim()
    before = memory_usage(total, lambda: None)
    held = bytearray(b"x") * 100_000_000
    after = memory_usage(total, lambda: None)
    assert before.free - after.free > len(held) * 0.8
    assert memory_usage(1000, os.getpid).free == 0
