"""Fold words and split them where letters and digits meet. Pure."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

MAX_WORD_CHARS: Final = 64
INCH: Final = "inch"

IDEOGRAMS: Final = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_PARTS: Final = re.compile(rf"\d+|[{IDEOGRAMS}]|[^\d{IDEOGRAMS}]+")
# These are no base letter with a mark, so decomposing does not change them.
_LETTERS: Final = str.maketrans({"ø": "o", "đ": "d", "ł": "l", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d", "ı": "i"})


def fold(word: str) -> str:
    """Remove case, accents and width, so that different spellings of a word are equal."""
    if word.isascii():
        return word.lower()
    decomposed = unicodedata.normalize("NFKD", word).casefold().translate(_LETTERS)
    return "".join(character for character in decomposed if character.isalnum())


@lru_cache(maxsize=20_000)
def words_of_run(run: str) -> tuple[str, ...]:
    """Return the folded words of a run of letters and digits, or of an inch mark.

    Letters, numbers and ideograms are words of their own: 17inch is 17 and inch. An inch mark, and `in` right after a
    number, are the word inch. Words of more than `MAX_WORD_CHARS` characters are dropped.
    """
    if not run[-1].isalnum() and unicodedata.category(run[-1]) != "Mn":
        return (INCH,)
    words = tuple(part for part in _PARTS.findall(fold(run)) if len(part) <= MAX_WORD_CHARS)
    if len(words) == 2 and words[1] == "in" and words[0].isdecimal():
        return (words[0], INCH)
    return words
