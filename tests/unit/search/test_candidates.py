"""The candidates of a search, and the order of those that have no score."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from searchsvc.search.candidates import first_of_each, unite_legs
from tests.searching import answer, hit_ids, shoe_shop


def test_legs_are_united_with_their_ranks() -> None:
    legs = (np.array(slots, np.int64) for slots in ([7, 3], [3, 9], [1], [7]))
    slots, keyword_ranks, vector_ranks = unite_legs(*legs)
    assert slots.tolist() == [1, 3, 7, 9]
    assert keyword_ranks.tolist() == [0, 2, 1, 0]
    assert vector_ranks.tolist() == [0, 1, 0, 2]


def test_the_first_of_each_group_is_found_in_order() -> None:
    assert first_of_each(np.array([5, 2, 5, 9, 2])).tolist() == [0, 1, 3]


def test_a_page_beyond_the_ranked_candidates_continues_in_keyword_order(tmp_path: Path) -> None:
    state = shoe_shop(tmp_path)
    assert hit_ids(answer(state, n_candidates=2)) == ["a", "b", "c", "d"]
    assert hit_ids(answer(state, n_candidates=2, limit=2, offset=2)) == ["c", "d"]


def test_groups_are_counted_over_all_candidates(tmp_path: Path) -> None:
    grouped = answer(shoe_shop(tmp_path), n_candidates=1, distinct="brand", limit=2)
    assert hit_ids(grouped) == ["a", "b"]
    assert grouped.groups == 3


def test_a_sorted_search_keeps_the_retrieved_order(tmp_path: Path) -> None:
    assert hit_ids(answer(shoe_shop(tmp_path), sort=["votes:desc"])) == ["b", "c", "d", "a"]
