"""The words of a text, script by script."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.analysis.spacing import spaced
from searchsvc.analysis.tokens import MAX_WORD_CHARS, tokens


def words(text: str) -> list[str]:
    return [token.word for token in tokens(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dv7", ["dv", "7"]),
        ("17in", ["17", "inch"]),
        ("2in1", ["2", "in", "1"]),
        ('17"', ["17", "inch"]),
        ("C++ C# C c++17", ["c++", "c#", "c", "c++", "17"]),
        ("notepad++ #1", ["notepad", "1"]),
        ("Pizza \U0001f355", ["pizza", "\U0001f355"]),
        ("❤\ufe0f ❤ \U0001f44d\U0001f3fd", ["❤", "❤", "\U0001f44d"]),
        ("\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7", ["\U0001f1e9\U0001f1ea", "\U0001f1eb\U0001f1f7"]),
        ("© ™ ‼", []),
        ("किताब", ["किताब"]),
        ("বাংলা", ["বাংলা"]),
        ("தமிழ்", ["தமிழ்"]),
        ("東京都の黒猫カフェ", ["東京", "都", "の", "黒", "猫", "カフェ"]),
        # Voicing marks apart from their kana, alone, and accents apart from theirs.
        ("カ\u3099ラス", ["ガラス"]),
        ("フ\u309aリンターとヘ\u3099ット\u3099", ["プリンター", "と", "ベッド"]),
        ("あ\u3099", ["あ\u3099"]),
        ("cafe\u0301店", ["cafe", "店"]),
        ("手机壳", ["手机", "壳"]),
        ("โทรศัพท์มือถือ", ["โทรศัพท์", "มือ", "ถือ"]),
        ("iPhoneケース", ["iphone", "ケース"]),
        ("휴대폰 케이스", ["휴대폰", "케이스"]),
        ("x" * (MAX_WORD_CHARS + 1), []),
    ],
)
def test_words_are_found_in_every_script(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@given(st.text(max_size=80))
def test_tokens_lie_in_the_text_in_order(text: str) -> None:
    end = 0
    for token in tokens(spaced(text)):
        assert end <= token.start < token.end <= len(text)
        assert 0 < len(token.word) <= MAX_WORD_CHARS
        end = token.end


@given(st.text(alphabet=st.characters(max_codepoint=127), max_size=60))
def test_a_text_has_the_same_words_beside_one_that_is_not_ascii(text: str) -> None:
    assert words(f"{text} é")[:-1] == words(f"{text} e")[:-1]
