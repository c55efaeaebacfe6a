"""The top k by key and id equal the first k of the sorted whole, on every code path."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from searchsvc.engines.embedded.ids import Ids
from searchsvc.engines.embedded.order import first_positions
from searchsvc.search.candidates import unite_legs

# Ids that agree in all or some of the bytes that are compared as numbers.
STARTS = st.sampled_from(["", "a-document-of-the-", "a-document-of-the-"])
IDS = st.builds(str.__add__, STARTS, st.text("abc", max_size=3))


@settings(deadline=None, max_examples=300)
@given(
    ids=st.lists(IDS, min_size=1, max_size=40, unique=True),
    keys=st.lists(st.sampled_from([0.5, 2.0, np.inf]), min_size=40, max_size=40),
    k=st.integers(0, 45),
    dtype=st.sampled_from([np.float32, np.float64]),
    data=st.data(),
)
def test_the_first_are_those_of_the_whole_order(
    ids: list[str], keys: list[float], k: int, dtype: type, data: st.DataObject
) -> None:
    written = Ids()
    written.append(ids)
    slots = np.array(data.draw(st.permutations(range(len(ids)))), np.int64)
    key: np.ndarray = np.array(keys[: len(ids)], dtype)
    expected = sorted(range(len(ids)), key=lambda position: (key[position], ids[slots[position]]))[:k]
    assert first_positions(slots, [key], written.view(), k).tolist() == expected
    # A second key takes another path through the code.
    assert first_positions(slots, [key, np.zeros(len(ids))], written.view(), k).tolist() == expected


@settings(deadline=None)
@given(legs=st.lists(st.lists(st.integers(0, 30), unique=True, max_size=20), min_size=4, max_size=4))
def test_legs_are_united_with_their_ranks(legs: list[list[int]]) -> None:
    keyword, nearest, *others = (np.array(leg, np.int64) for leg in legs)
    slots, keyword_ranks, vector_ranks = unite_legs(keyword, nearest, *others)
    assert slots.tolist() == sorted(set().union(*legs))
    for leg, ranks in ((legs[0], keyword_ranks), (legs[1], vector_ranks)):
        assert ranks.tolist() == [leg.index(slot) + 1 if slot in leg else 0 for slot in slots.tolist()]
