"""Compiled loops over the columns that both engines share: see `tuning.compiled`."""

from __future__ import annotations

from typing import Final

import numpy as np

from tuning.arrays import AnyArray, FloatArray
from tuning.compiled import compiled

# What lies scattered is touched before it is read, a cache line at a time: many of these wait for memory at once, where
# the loop that reads them waits for each. Returned, or the compiler would leave it out.
LINE: Final = 64


@compiled("i1[2] f4[1] i8[1] f4[1] f4[1]!")
def cosines(rows: AnyArray, scales: FloatArray, slots: AnyArray, vector: FloatArray, found: FloatArray) -> int:
    """Write (n,) products of each slot's vector with another: (dimension,).

    rows: (n_slots, dimension) bytes, times scales: (n_slots,). The other is made whole numbers, too, as large as they
    can be without the sum overflowing 32 bits; these add up to the same in any order: no rounding, on any machine.
    Returns what nobody needs: see LINE.
    """
    touched = 0
    for i in range(slots.shape[0]):
        slot = slots[i]
        for j in range(0, rows.shape[1], LINE):
            touched ^= rows[slot, j]
    largest = min(32_767, (2**31 - 1) // (127 * vector.shape[0]))
    query_scale = max(float(np.abs(vector).max()), 1e-9) / largest
    query = np.empty(vector.shape[0], np.int16)
    for j in range(vector.shape[0]):
        query[j] = np.int16(np.rint(vector[j] / np.float32(query_scale)))
    for i in range(slots.shape[0]):
        slot = slots[i]
        row = rows[slot]
        total = np.int32(0)
        for j in range(query.shape[0]):
            total += np.int32(row[j]) * np.int32(query[j])
        found[i] = np.float32(float(total) * query_scale * float(scales[slot]))
    return touched


@compiled("u4[1] i4[1]!")
def seat(hashes: AnyArray, table: AnyArray) -> None:
    """Put each number at its hash in an open table, or in the next free slot. table: (a power of two,) of -1."""
    mask = np.uint32(table.shape[0] - 1)
    for number in range(hashes.shape[0]):
        at = hashes[number] & mask
        while table[at] >= 0:
            at = (at + np.uint32(1)) & mask
        table[at] = number


@compiled("u1[1] i8[1] i8[1] i8 u8[1]!")
def letters_from(letters: AnyArray, ends: AnyArray, numbers: AnyArray, offset: int, keys: AnyArray) -> None:
    """Write (n,) eight letters of each of some texts, from an offset on, as numbers that order as they do.

    A zero in front of a text does not count. letters, ends: as in `texts.StoredTexts`. numbers: (n,).
    """
    for i in range(numbers.shape[0]):
        number = numbers[i]
        start = ends[number - 1] if number else np.int64(0)
        if start < ends[number] and letters[start] == 0:
            start += 1
        key = np.uint64(0)
        for at in range(start + offset, start + offset + 8):
            key = (key << np.uint64(8)) | np.uint64(letters[at] if at < ends[number] else 0)
        keys[i] = key
