"""Generated typing errors."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.oracle.lexicon import edits
from benchmarks.typos import mistyped


@given(st.lists(st.text(alphabet="abcxyz", min_size=1, max_size=8), min_size=1, max_size=4).map(" ".join))
def test_a_mistyped_query_is_at_most_one_edit_away_in_one_word(query: str) -> None:
    (typed,) = mistyped([query])
    assert edits(query, typed) <= 1
    assert len(typed.split()) in (len(query.split()), len(query.split()) - 1)


def test_typos_are_repeatable_and_of_all_four_kinds() -> None:
    queries = ["printer"] * 400
    assert mistyped(queries) == mistyped(queries)
    assert mistyped(queries) != mistyped(queries, seed=1)
    lengths = Counter(len(typed) for typed in mistyped(queries))
    assert 60 < lengths[8] < 140
    assert 60 < lengths[6] < 140
    swapped = [typed for typed in mistyped(queries) if sorted(typed) == sorted("printer") and typed != "printer"]
    assert len(swapped) > 60


def test_a_query_of_one_letter_gains_one() -> None:
    assert all(len(typed) in (1, 2) and typed for typed in mistyped(["x"] * 50))
    assert mistyped([""]) == [""]
