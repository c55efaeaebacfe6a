"""Text to words: parts, compounds and spans."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.analysis.analyzer import MAX_QUERY_KEY_CHARS, analyze, normalized, query_key, spans


@pytest.mark.parametrize(
    ("text", "words", "compounds"),
    [
        ("Café CAFÉ cafe\u0301 ﬁne", ["cafe", "cafe", "cafe", "fine"], []),
        ("Ørsted straße ＡＢＣ", ["orsted", "strasse", "abc"], []),
        ("dv7-1211ea", ["dv", "7", "1211", "ea"], ["dv7", "1211ea", "dv71211ea"]),
        ("006R90321", ["006", "r", "90321"], ["006r90321"]),
        ('17" screen', ["17", "inch", "screen"], ["17inch"]),
        ("17″, 17'' and 17in", ["17", "inch", "17", "inch", "and", "17", "inch"], ["17inch"] * 3),
        ("17 inch", ["17", "inch"], ["17inch"]),
        ("6' pole", ["6", "ft", "pole"], ["6ft"]),
        ("6 feet, 6′ and 6 '", ["6", "feet", "6", "ft", "and", "6", "ft"], ["6ft"] * 3),
        *((text, ["6", "ft", "2", "inch"], ["6ft", "2inch"]) for text in ("6'2\"", "6' 2\"", "6’2”", "6′ 2″", "6'2''")),
        ("1'000 and 1'234'567.50", ["1000", "and", "1234567.5"], []),
        ("'iphone 6' case", ["iphone", "6", "case"], []),
        ("rock 'n' roll 12'", ["rock", "n", "roll", "12", "ft"], ["12ft"]),
        ("the '90s, 501's, 5'10", ["the", "90", "s", "501", "s", "5", "10"], ["90s", "501s", "5'10"]),
        ("5-10 °C, -5", ["5", "10", "c", "5"], ["5-10", "10°c"]),
        *((text, ["18", "c"], ["-18°c"]) for text in ("-18 °C", "−18°C", "(-18 ℃)", "-18º C", "-18° c")),
        ("2°-8°C", ["2", "8", "c"], ["8°c"]),
        ("-18..-22 °C", ["18", "22", "c"], ["-22°c"]),
        ("18°C/-5°F", ["18", "c", "5", "f"], ["18°c", "-5°f"]),
        ("-5 celsius, -5 m", ["5", "celsius", "5", "m"], ["-5°c", "5m"]),
        ("USB C 5 C, nº 5", ["usb", "c", "5", "c", "no", "5"], []),
        ("2 in 1", ["2", "in", "1"], []),
        ("1 TB 1tb", ["1", "tb", "1", "tb"], ["1tb", "1tb"]),
        ("43.2 cm", ["43.2", "cm"], ["43.2cm"]),
        ("1.5TB 1,5 TB", ["1.5", "tb", "1.5", "tb"], ["1.5tb", "1.5tb"]),
        ("10,000mAh", ["10000", "mah"], ["10000mah"]),
        ("1 500 g", ["1", "500", "g"], ["1500", "1500g"]),
        ("1.500 ml", ["1.5", "ml"], ["1500", "1.5ml", "1500ml"]),
        ("30\u00a0\u2060\u2060cm", ["30", "cm"], ["30cm"]),
        ("2x4 2 x 4 2×4", ["2", "x", "4"] * 3, ["2x4"] * 3),
        ("M8 x 40", ["m", "8", "x", "40"], ["m8", "m8x40"]),
        ("6x330ml", ["6", "x", "330", "ml"], ["6x330ml", "6x330", "330ml"]),
        ("5x10 cm", ["5", "x", "10", "cm"], ["5x10", "10cm", "5x10cm"]),
        ("20 m2", ["20", "m", "2"], ["m2", "20m2"]),
        ("20m²", ["20", "m2"], ["20m2"]),
        ("20 ㎡", ["20", "m2"], ["20m2"]),
        ("3㎏", ["3", "kg"], ["3kg"]),
        ("1 299,00 €", ["1", "299.0"], ["299", "1299"]),
        ("1 000 000", ["1", "000", "000"], ["1000", "1000000"]),
        ("6 feet", ["6", "feet"], ["6ft"]),
        ('צה"ל', ["צה", "ל"], ["צהל"]),
        ("3 a day, 9 watt", ["3", "a", "day", "9", "watt"], ["9w"]),
        ("１．５ＴＢ ３／４″", ["1.5", "tb", "0.75", "inch"], ["1.5tb", "0.75inch"]),
        ("USB 3.0", ["usb", "3.0"], ["3"]),
        ("2.0-inch", ["2.0", "inch"], ["2", "2inch"]),
        ("3/4 inch, 3.4", ["0.75", "inch", "3.4"], ["0.75inch"]),
        ('1 1/2"', ["1.5", "inch"], ["1.5inch"]),
        ('"iphone 15"', ["iphone", "15"], []),
        ("42-315 42.315", ["42", "315", "42.315"], ["42-315", "42315"]),
        ("Wi\u2011Fi Wi–Fi", ["wi", "fi", "wi", "fi"], ["wifi", "wifi"]),
        ("wi-fi", ["wi", "fi"], ["wifi"]),
        ("Ocean's", ["ocean", "s"], ["oceans"]),
        ("www.a.b.c.d.e", ["www", "a", "b", "c", "d", "e"], []),
        ("東京タワー", ["東京", "タワー"], ["東京タワー"]),
        ("!!! --- ''", [], []),
    ],
)
def test_a_text_is_its_words_and_their_compounds(text: str, words: list[str], compounds: list[str]) -> None:
    analysis = analyze(text)
    assert analysis.words == words
    assert sorted(compound.text for compound in analysis.compounds) == sorted(compounds)
    assert all(0 <= compound.start < compound.end <= len(words) for compound in analysis.compounds)


def test_queries_with_the_same_words_have_the_same_key() -> None:
    assert normalized("  Wi-Fi  ROUTER! ") == normalized("wi fi router") == "wi fi router"
    assert query_key("Wi-Fi router") == "wi fi router"
    assert len(query_key("word " * 100)) == MAX_QUERY_KEY_CHARS


@given(st.text(max_size=60))
def test_spans_contain_the_words_in_order_and_never_overlap(text: str) -> None:
    all_spans = list(spans(text))
    assert all(0 <= span.start < span.end <= len(text) for span in all_spans)
    assert all(span.end <= after.start for span, after in pairwise(all_spans))
    words, position = analyze(text).words, 0
    for span in all_spans:
        n = next(n for n in range(len(span.words), 0, -1) if tuple(words[position : position + n]) == span.words[:n])
        # After its words: their compound, that of the chain, and what else a number is found by.
        assert len(span.words) - n <= 4
        position += n
    assert position == len(words)


@given(st.text(max_size=60))
def test_case_does_not_change_words(text: str) -> None:
    if text.lower().upper().lower() == text.lower() and text.isascii():
        assert analyze(text.upper()).words == analyze(text.lower()).words
