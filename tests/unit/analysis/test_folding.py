"""Folding words, and splitting runs of letters and digits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.analysis.folding import MAX_WORD_CHARS, fold, words_of_run


@pytest.mark.parametrize(
    ("word", "folded"),
    [
        ("SHOE", "shoe"),
        ("Café", "cafe"),
        ("Ørsted", "orsted"),
        ("straße", "strasse"),
        ("ＡＢＣ", "abc"),
        ("ﬁne", "fine"),
    ],
)
def test_case_accents_and_width_are_removed(word: str, folded: str) -> None:
    assert fold(word) == folded


@given(st.text(max_size=30))
def test_folding_twice_changes_nothing(word: str) -> None:
    assert fold(fold(word)) == fold(word)


@pytest.mark.parametrize(
    ("run", "words"),
    [
        ("dv7", ("dv", "7")),
        ("17in", ("17", "inch")),
        ('"', ("inch",)),
        ("東京", ("東", "京")),
        ("x" * (MAX_WORD_CHARS + 1), ()),
    ],
)
def test_a_run_is_split_where_letters_and_digits_meet(run: str, words: tuple[str, ...]) -> None:
    assert words_of_run(run) == words
