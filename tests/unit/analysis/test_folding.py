"""Folding words: what makes two spellings one word, and what does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.analysis.folding import fold


@pytest.mark.parametrize(
    ("word", "folded"),
    [
        ("SHOE", "shoe"),
        ("Café", "cafe"),
        ("Ørsted", "orsted"),
        ("straße", "strasse"),
        ("ＡＢＣ", "abc"),
        ("ﬁne", "fine"),
        ("Ge\u00adsamt\u00adkon\u00adzept", "gesamtkonzept"),
        ("word\u2060joiner", "wordjoiner"),
        ("می\u200cخواهم", "ميخواهم"),
        ("یک", "يك"),
        ("قهوة", "قهوه"),
        ("كِتَابٌ", "كتاب"),
        ("كتـــاب", "كتاب"),
        ("أحمد", "احمد"),
        ("שָׁלוֹם", "שלום"),
        ("Ελλάς", "ελλασ"),
        ("ЁЛКА", "елка"),
        ("ﾊﾞｽ", "バス"),
        ("İstanbul", "istanbul"),
    ],
)
def test_case_accents_width_and_what_is_not_seen_are_removed(word: str, folded: str) -> None:
    assert fold(word) == folded


@given(st.text(max_size=30))
def test_folding_twice_changes_nothing(word: str) -> None:
    assert fold(fold(word)) == fold(word)


@pytest.mark.parametrize("words", [("バス", "パス", "ハス"), ("ばら", "はら"), ("दिल", "दाल"), ("มา", "ม้า")])
def test_marks_that_make_another_word_stay(words: tuple[str, ...]) -> None:
    assert len({fold(word) for word in words}) == len(words)
