"""Compiled loops over the columns that both engines share: see `tuning.compiled`."""

from __future__ import annotations

from typing import Final

import numpy as np

from tuning.arrays import AnyArray, FloatArray
from tuning.compiled import compiled

# Bytes of a cache line. Scattered rows are touched before they are read, so that the processor waits for many of them
# at once. What was read is returned, because the compiler would drop the loop otherwise.
LINE: Final = 64


@compiled("i1[2] f4[1] i8[1] f4[1] f4[1]!")
def cosines(rows: AnyArray, scales: FloatArray, slots: AnyArray, vector: FloatArray, products: FloatArray) -> int:
    """Compute the product of each slot's vector with a query vector.

    The query vector is rounded to integers, as large as they can be without the sum overflowing 32 bits. Integers add
    up to the same in any order, so a product does not depend on the machine.

    rows: (n_slots, dimension) bytes
    scales: (n_slots,) what rows are multiplied by
    slots: (n,)
    vector: (dimension,)
    products: (n,) written to

    Returns a number without meaning: see LINE.
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
        products[i] = np.float32(float(total) * query_scale * float(scales[slot]))
    return touched


@compiled("u4[1] i4[1]!")
def fill_hash_table(hashes: AnyArray, table: AnyArray) -> None:
    """Put each number at its hash in an open hash table, or at the next free place.

    hashes: (n,) of the numbers 0 to n - 1
    table: (a power of two,) of -1, written to
    """
    mask = np.uint32(table.shape[0] - 1)
    for number in range(hashes.shape[0]):
        position = hashes[number] & mask
        while table[position] >= 0:
            position = (position + np.uint32(1)) & mask
        table[position] = number


@compiled("u1[1] i8[1] i8[1] i4[1] i8[1]! i8[1]!")
def sort_keys(
    letters: AnyArray, ends: AnyArray, numbers: AnyArray, folded: AnyArray, starts: AnyArray, keys: AnyArray
) -> None:
    """Compute integers that order as the next three characters of texts do, without case.

    letters: see `texts.StoredTexts`
    ends: see `texts.StoredTexts`
    numbers: (n,) of the texts
    folded: what characters are without case, by code point; -1 for several characters; later ones have no case
    starts: (n,) where to begin in each text, moved behind the three characters
    keys: (n,) written to: -1 if one of the characters is several without case
    """
    for i in range(numbers.shape[0]):
        start, end = starts[i], ends[numbers[i]]
        key = np.int64(0)
        for _ in range(3):
            point = np.int64(0)
            if start < end:
                byte = np.int64(letters[start])
                n_more = int(byte >= 0xC0) + int(byte >= 0xE0) + int(byte >= 0xF0)
                point = byte & (0x3F >> n_more) if n_more else byte
                for _ in range(n_more):
                    start += 1
                    point = point << 6 | np.int64(letters[start] & 0x3F)
                start += 1
            if point < folded.shape[0]:
                point = np.int64(folded[point])
            key = key << 21 | point if key >= 0 and point >= 0 else np.int64(-1)
        starts[i], keys[i] = start, key


@compiled("u1[1] i8[1] u1[1] u1[1] i8 b1[1]!")
def affixed(
    letters: AnyArray, ends: AnyArray, beginning: AnyArray, ending: AnyArray, rest: int, is_affixed: AnyArray
) -> None:
    """Mark the texts that begin with some bytes, or have others at their end or shortly before it.

    letters: see `texts.StoredTexts`
    ends: see `texts.StoredTexts`
    beginning: (n,) n > 0
    ending: (m,) m > 0
    rest: bytes that may follow the ending
    is_affixed: (n_texts,) of False, written to
    """

    def stands(affix: AnyArray, position: int) -> bool:
        n_equal = 0
        while n_equal < affix.shape[0] and letters[position + n_equal] == affix[n_equal]:
            n_equal += 1
        return n_equal == int(affix.shape[0])

    for number in range(ends.shape[0]):
        start, end = int(ends[number - 1]) if number else 0, int(ends[number])
        is_affixed[number] = end - start > beginning.shape[0] and stands(beginning, start)
        last = end - ending.shape[0]
        for position in range(max(last - rest, start + 1), last + 1):
            is_affixed[number] |= stands(ending, position)
