"""Best first, equal ones by document id, without asking Python about every document.

The first sixteen bytes of each id stand in two integer columns, which order as the ids do; what they leave equal is
settled by the ids themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from searchsvc.engines.embedded import kernels
from searchsvc.engines.embedded.ids import IdsView
from tuning.arrays import AnyArray, BoolArray, IntArray

# Up to so many are picked out in one pass.
FEW: Final = 1_000


def first(slots: AnyArray, keys: Sequence[AnyArray], ids: IdsView, k: int) -> IntArray:
    """Positions in `slots` of the first k by ascending keys, the first key first, then by id.

    slots: (n,). keys: one (n,) array or more, without nan.
    """
    n = len(slots)
    if k <= 0 or not n:
        return np.empty(0, np.int64)
    if len(keys) == 1 and k <= FEW and keys[0].dtype.kind == "f":
        best = np.empty(min(k, n), np.int64)
        if kernels.lead(slots, keys[0], ids.keys, best):
            return best
    in_play = np.arange(n)
    if k < n:
        in_play = np.flatnonzero(keys[0] <= np.partition(keys[0], k - 1)[k - 1])
    columns = [key[in_play] for key in keys]
    order = np.lexsort(columns[::-1]) if len(columns) > 1 else np.argsort(columns[0], kind="stable")
    equal = _equal_neighbours(columns, order)
    if not equal.any():
        return in_play[order[:k]]
    prefix = ids.keys[slots[in_play]]
    columns += [prefix[:, 0], prefix[:, 1]]
    order = np.lexsort(columns[::-1])
    equal = _equal_neighbours(columns, order)
    ordered: IntArray = in_play[order]
    for start in np.flatnonzero(equal & ~np.append(False, equal[:-1])).tolist():
        if start >= k:
            break
        end = start + 1
        while end < len(order) and equal[end - 1]:
            end += 1
        ordered[start:end] = sorted(ordered[start:end].tolist(), key=lambda at: ids[int(slots[at])])
    return ordered[:k]


def _equal_neighbours(columns: Sequence[AnyArray], order: IntArray) -> BoolArray:
    """(n - 1,) whether each equals the next in all columns."""
    equal = np.ones(max(len(order) - 1, 0), np.bool_)
    for column in columns:
        equal &= column[order[1:]] == column[order[:-1]]
    return equal
