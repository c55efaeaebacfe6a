"""Order slots by keys, equal keys by document id, without comparing ids in Python one by one.

The first sixteen bytes of each id are two integers that order as the ids do (`ids.id_keys`). Ids are compared only
where these are equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from searchsvc.engines.embedded.ids import IdsView
from searchsvc.engines.embedded.kernels.top_k import top_k
from tuning.arrays import AnyArray, BoolArray, IntArray

# Up to this k, a heap selects the first in one pass.
MAX_HEAP_K: Final = 1_000


def first_positions(slots: AnyArray, keys: Sequence[AnyArray], ids: IdsView, k: int) -> IntArray:
    """Return the positions in `slots` of the first k by ascending keys, then by id.

    slots: (n,)
    keys: one (n,) array or more, without nan; the first key counts first
    """
    n = len(slots)
    if k <= 0 or not n:
        return np.empty(0, np.int64)
    if len(keys) == 1 and k <= MAX_HEAP_K and keys[0].dtype.kind == "f":
        best = np.empty(min(k, n), np.int64)
        if top_k(slots, keys[0], ids.keys, best):
            return best
    candidates = np.arange(n)
    if k < n:
        candidates = np.flatnonzero(keys[0] <= np.partition(keys[0], k - 1)[k - 1])
    columns = [key[candidates] for key in keys]
    order = np.lexsort(columns[::-1]) if len(columns) > 1 else np.argsort(columns[0], kind="stable")
    if not _equal_to_next(columns, order).any():
        return candidates[order[:k]]
    prefix = ids.keys[slots[candidates]]
    columns += [prefix[:, 0], prefix[:, 1]]
    order = np.lexsort(columns[::-1])
    return _sort_equal_by_id(candidates[order], _equal_to_next(columns, order), slots, ids, k)[:k]


def _sort_equal_by_id(positions: IntArray, equal_to_next: BoolArray, slots: AnyArray, ids: IdsView, k: int) -> IntArray:
    """Sort runs of equal positions by id, as far as the first k are concerned.

    positions: (n,) in order, changed in place
    equal_to_next: (n - 1,)
    """
    run_starts = np.flatnonzero(equal_to_next & ~np.append(False, equal_to_next[:-1]))
    for start in run_starts.tolist():
        if start >= k:
            break
        end = start + 1
        while end < len(positions) and equal_to_next[end - 1]:
            end += 1
        run = positions[start:end].tolist()
        positions[start:end] = sorted(run, key=lambda position: ids[int(slots[position])])
    return positions


def _equal_to_next(columns: Sequence[AnyArray], order: IntArray) -> BoolArray:
    """Return (n - 1,) whether each row equals the next in all columns. order: (n,)."""
    equal = np.ones(max(len(order) - 1, 0), np.bool_)
    for column in columns:
        equal &= column[order[1:]] == column[order[:-1]]
    return equal
