"""The order of slots: by keys, then by document id."""

from __future__ import annotations

import numpy as np
import pytest

from searchsvc.engines.embedded.ids import Ids, IdsView
from searchsvc.engines.embedded.order import MAX_HEAP_K, first_positions


def view(ids: list[str]) -> IdsView:
    written = Ids()
    written.append(ids)
    return written.view()


@pytest.mark.parametrize("k", [0, 1, 7, MAX_HEAP_K, MAX_HEAP_K + 1, 5000])
def test_equal_keys_order_by_id_at_any_k(k: int) -> None:
    rng = np.random.default_rng(k)
    ids = [f"the-same-sixteen-bytes-{i:04d}" for i in rng.permutation(3000)]
    slots = rng.permutation(3000)
    keys = rng.integers(0, 40, 3000).astype(np.float64)
    expected = sorted(range(3000), key=lambda position: (keys[position], ids[slots[position]]))[:k]
    assert first_positions(slots, [keys], view(ids), k).tolist() == expected


def test_a_second_key_decides_between_equal_first_keys() -> None:
    ids = view(["c", "b", "a", "d"])
    keys = [np.array([1.0, 1.0, 1.0, 0.0]), np.array([2, 1, 1, 9])]
    assert first_positions(np.arange(4), keys, ids, 4).tolist() == [3, 2, 1, 0]


def test_nothing_has_no_order() -> None:
    assert first_positions(np.empty(0, np.int64), [np.empty(0)], view([]), 5).tolist() == []
