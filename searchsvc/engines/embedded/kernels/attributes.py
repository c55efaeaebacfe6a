"""Evaluate filters and count facets over pairs of a slot and the code of a value that its document has."""

from __future__ import annotations

from tuning.arrays import AnyArray
from tuning.compiled import compiled


@compiled("i4[1] i4[1] b1[1] b1[1]!")
def mark_slots(slots: AnyArray, codes: AnyArray, passing: AnyArray, marked: AnyArray) -> None:
    """Mark the slots that have a passing value.

    slots: (n,) slot of each pair
    codes: (n,) code of each pair
    passing: (n_codes,)
    marked: (n_slots,) written to
    """
    for i in range(slots.shape[0]):
        marked[slots[i]] |= passing[codes[i]]


@compiled("i4[1] i4[1] b1[1] i8[1]!")
def count_values(slots: AnyArray, codes: AnyArray, matching: AnyArray, counts: AnyArray) -> None:
    """Count the matching slots of each value.

    slots: (n,) slot of each pair
    codes: (n,) code of each pair
    matching: (n_slots,)
    counts: (n_codes,) added to
    """
    for i in range(slots.shape[0]):
        counts[codes[i]] += matching[slots[i]]


@compiled("i4[1] i4[1] i4[1] b1[1] i8[1]! i4[1]!")
def count_keys(
    slots: AnyArray, codes: AnyArray, keys: AnyArray, matching: AnyArray, counts: AnyArray, last: AnyArray
) -> None:
    """Count the matching slots that have any of the values with a key.

    slots: (n,) slot of each pair, ascending
    codes: (n,) code of each pair
    keys: (n_codes,) key of each code
    matching: (n_slots,)
    counts: (n_codes,) by key, added to
    last: (n_codes,) of -1, written to: the last slot that was counted for a key
    """
    for i in range(slots.shape[0]):
        slot, key = slots[i], keys[codes[i]]
        if matching[slot] and last[key] != slot:
            counts[key] += 1
            last[key] = slot
