"""Find the words and numbers of a text. Pure.

Words are runs of letters and marks, by the Unicode categories; words of scripts without spaces are told apart by a
dictionary. Numbers are read as such. A foot or an inch mark after a number, an emoji, and C++ or C# are words, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

import regex

from searchsvc.analysis.folding import FILLER, UNSEEN, fold
from searchsvc.analysis.numbers import FRACTION_SIGNS, Number, read_fraction, read_number
from searchsvc.analysis.segmentation import segments
from searchsvc.analysis.units import DEGREE, FOOT, INCH

MAX_WORD_CHARS: Final = 64

_LETTER: Final = r"\p{L}\p{Nl}\p{No}"
_LETTERS: Final = rf"[{_LETTER}][{_LETTER}\p{{M}}{UNSEEN}]*+"
_FLAG: Final = "[\U0001f1e6-\U0001f1ff]{2}"
_EMOJI: Final = r"(?![©®™‼⁉ℹ])\p{Extended_Pictographic}"
_JOINED_EMOJI: Final = "(?:[\U0001f3fb-\U0001f3ff\ufe0f]|\u200d\\p{Extended_Pictographic})*"

# Of one text, the first that fits: group names are kinds of tokens.
_ASCII: Final = re.compile(
    r"""(?P<sign>(?<![^\W_])[A-Za-z]{1,2}(?:\+\+|\#)(?![A-Za-z+\#]))
    |(?P<word>[A-Za-z]+)
    |(?P<fraction>(?<![\d/.,])(?:\d{1,2}-)?\d{1,2}/\d{1,2}(?![\d/]))
    |(?P<number>(?:(?<![\w.])\.(?=\d))?\d+(?:[.,]\d+|'\d{3}(?!\d)|'\d++(?!"|''))*)
    |(?P<inch>(?<=\d)-?(?:''|"))
    |(?P<foot>(?<=\d)-?'(?!\w)|(?<=\d)'(?=\d{1,2}(?:"|'')))""",
    re.VERBOSE,
)
_UNICODE: Final = regex.compile(
    rf"""(?P<degrees>(?<![\p{{L}}\p{{M}}])[°º˚]{FILLER}?[CcFf](?![\p{{L}}\p{{M}}\d])|[℃℉])
    |(?P<sign>(?<![\p{{L}}\p{{M}}\d])[A-Za-z]{{1,2}}(?:\+\+|\#)(?![\p{{L}}+\#]))
    |(?P<fraction>(?<![\d/.,])(?:\d{{1,2}}-)?\d{{1,2}}/\d{{1,2}}(?![\d/])|(?:(?<!\d)\d{{1,2}}-?)?[{FRACTION_SIGNS}])
    |(?P<word>{_LETTERS})
    |(?P<number>(?:(?<![\w.])\.(?=\d))?\d+(?:[.,٬٫]\d+|['’]\d{{3}}(?!\d)|['’]\d++(?!["”″]|''))*)
    |(?P<inch>(?<=[\d{FRACTION_SIGNS}])-?(?:''|["”″]))
    |(?P<foot>(?<=[\d{FRACTION_SIGNS}])-?['’′](?!\w)|(?<=[\d{FRACTION_SIGNS}])['’′](?=\d{{1,2}}(?:["”″]|'')))
    |(?P<square>[\u3371-\u337a\u3380-\u33df])
    |(?P<emoji>{_FLAG}|{_EMOJI}{_JOINED_EMOJI})""",
    regex.VERBOSE,
)
_UNSEEN_AT_END: Final = re.compile(f"[{UNSEEN}]+$")
# A thumb is a thumb.
_TONES: Final = re.compile("[\U0001f3fb-\U0001f3ff]")
_DIGITS: Final = re.compile(r"\d+")


class Token(NamedTuple):
    """A word in a text.

    start: position of its first code point
    end: position after its last code point
    word: folded
    number: the number that it is, if it is one
    is_segment: whether other words stand before or after it without a space, by the custom of its script
    has_degree: whether it is the C of 5 °C
    """

    start: int
    end: int
    word: str
    number: Number | None = None
    is_segment: bool = False
    has_degree: bool = False

    @property
    def unit(self) -> str:
        """The word as the unit that it may be."""
        return DEGREE + self.word if self.has_degree else self.word


def tokens(text: str) -> Iterator[Token]:
    """Yield the words of a text in order. Those of more than `MAX_WORD_CHARS` characters are left out.

    text: as `searchsvc.analysis.spacing` returns it
    """
    for match in (_ASCII if text.isascii() else _UNICODE).finditer(text):
        kind, (start, end) = match.lastgroup, match.span()
        if kind == "word":
            word = match[0]
            if end - start == len("in") and _is_inch(word, text, start):
                yield Token(start, end, INCH)
            elif not word.isascii():
                yield from _words(word, start)
            elif end - start <= MAX_WORD_CHARS:
                yield Token(start, end, word.lower())
        elif kind == "number":
            number = read_number(match[0])
            if number is None:
                yield from _several_numbers(match[0], start)
            elif len(number.word) <= MAX_WORD_CHARS:
                yield Token(start, end, number.word, number)
        elif kind in ("inch", "foot"):
            yield Token(start, end, INCH if kind == "inch" else FOOT)
        elif kind == "fraction":
            yield from _fraction(match[0], start)
        elif kind == "degrees":
            yield Token(start, end, fold(match[0])[-1], has_degree=True)
        else:
            yield Token(start, end, _TONES.sub("", fold(match[0])))


def _is_inch(word: str, text: str, start: int) -> bool:
    """Whether a word is the `in` of 17in; the one of 2in1 is not."""
    end = start + len(word)
    return word.lower() == "in" and text[start - 1 : start].isdecimal() and not text[end : end + 1].isalnum()


def _words(run: str, start: int) -> Iterator[Token]:
    # What is not seen continues a word, and does not end it.
    parts = segments(_UNSEEN_AT_END.sub("", run))
    for part in parts:
        word = fold(part)
        if 0 < len(word) <= MAX_WORD_CHARS:
            yield Token(start, start + len(part), word, is_segment=len(parts) > 1)
        start += len(part)


def _several_numbers(text: str, start: int) -> Iterator[Token]:
    for digits in _DIGITS.finditer(text):
        number = read_number(digits[0])
        if number is not None and len(number.word) <= MAX_WORD_CHARS:
            yield Token(start + digits.start(), start + digits.end(), number.word, number)


def _fraction(text: str, start: int) -> Iterator[Token]:
    number = read_fraction(text)
    if number is not None:
        yield Token(start, start + len(text), number.word, number)
        return
    yield from _several_numbers(text, start)
