"""Text to words: folding, parts and wholes, stems, and where words stand."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.analysis.analyzer import analyze, spans
from searchsvc.analysis.stemming import stem


@pytest.mark.parametrize(
    ("text", "words", "wholes"),
    [
        ("Café CAFÉ cafe\u0301 ﬁne", ["cafe", "cafe", "cafe", "fine"], []),
        ("Ørsted straße ＡＢＣ", ["orsted", "strasse", "abc"], []),
        ("dv7-1211ea", ["dv", "7", "1211", "ea"], ["dv7", "1211ea", "dv71211ea"]),
        ("006R90321", ["006", "r", "90321"], ["006r90321"]),
        ('17" screen', ["17", "inch", "screen"], ["17inch"]),
        ("17″, 17'' and 17in", ["17", "inch", "17", "inch", "and", "17", "inch"], ["17inch"] * 3),
        ("17 inch", ["17", "inch"], ["17inch"]),
        ("2 in 1", ["2", "in", "1"], []),
        ("1 TB 1tb", ["1", "tb", "1", "tb"], ["1tb", "1tb"]),
        ("43.2 cm", ["43", "2", "cm"], ["2cm", "43.2"]),
        ("wi-fi", ["wi", "fi"], ["wifi"]),
        ("Ocean's", ["ocean", "s"], ["oceans"]),
        ("www.a.b.c.d.e", ["www", "a", "b", "c", "d", "e"], []),
        ("東京タワー", ["東", "京", "タ", "ワ", "ー"], ["東京タワー"]),
        ("!!! --- ''", [], []),
    ],
)
def test_words_and_what_they_make_together(text: str, words: list[str], wholes: list[str]) -> None:
    analysis = analyze(text)
    assert analysis.words == words
    assert sorted(one.text for one in analysis.compounds) == sorted(wholes)
    for one in analysis.compounds:
        assert 0 <= one.start < one.end <= len(words)


def test_english_endings_share_a_stem_and_model_numbers_have_none() -> None:
    assert stem("shoes") == stem("shoe")
    assert stem("running") == stem("runs")
    assert stem("1211s") == "1211s"
    assert stem("東") == "東"


@given(st.text(max_size=60))
def test_spans_hold_the_words_in_order_and_never_overlap(text: str) -> None:
    found = list(spans(text))
    assert all(0 <= one.start < one.end <= len(text) for one in found)
    assert all(one.end <= other.start for one, other in pairwise(found))
    words, at = analyze(text).words, 0
    for one in found:
        n = next(n for n in range(len(one.words), 0, -1) if tuple(words[at : at + n]) == one.words[:n])
        # Behind the words: as a whole, and as a part of what is written as one.
        assert len(one.words) - n <= 2
        at += n
    assert at == len(words)


@given(st.text(max_size=60))
def test_case_changes_no_word(text: str) -> None:
    if text.lower().upper().lower() == text.lower() and text.isascii():
        assert analyze(text.upper()).words == analyze(text.lower()).words
