"""Find the words of scripts that write no spaces between them, by the dictionaries of ICU. Pure."""

from __future__ import annotations

import re
import threading
import unicodedata
from itertools import accumulate, pairwise
from typing import Final

# Kana, ideograms, Thai, Lao, Myanmar, Khmer, and the ideograms beyond the first plane.
SEGMENTED: Final = (
    "\u3005-\u3007\u3031-\u3035\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
    "\u0e00-\u0e7f\u0e80-\u0eff\u1000-\u109f\uaa60-\uaa7f\ua9e0-\ua9ff\u1780-\u17ff"
    "\U00020000-\U0003ffff"
)
_KATAKANA: Final = "\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"
# Katakana apart: a dictionary has names such as 東京タワー as one word, which 東京 would not find.
_RUN: Final = re.compile(rf"[{_KATAKANA}]+|(?:(?![{_KATAKANA}])[{SEGMENTED}])+|[^{SEGMENTED}]+")
_SEGMENTED: Final = re.compile(rf"[{SEGMENTED}]")
# The marks of kana, such as that of ガ, where they are written apart.
_VOICING: Final = re.compile("[\u3099\u309a]")
_UTF16: Final = "utf-16-le"


class _ThreadLocalBreaks(threading.local):
    """One iterator a thread: it holds the text that it reads."""

    def __init__(self) -> None:
        # Most processes never meet such a script.
        import icu

        self.words = icu.BreakIterator.createWordInstance(icu.Locale.getRoot())


_local = _ThreadLocalBreaks()


def segments(word: str) -> list[str]:
    """Return the words that a run of letters is made of: itself, if its script has spaces."""
    if word.isascii() or not _SEGMENTED.search(word):
        return [word]
    letters = _letters(word)
    composed = "".join(unicodedata.normalize("NFC", letter) if len(letter) > 1 else letter for letter in letters)
    parts: list[str] = []
    for run in _RUN.findall(composed):
        parts += _words(run) if _SEGMENTED.match(run) else [run]
    if composed == word:
        return parts
    ends = [0, *accumulate(map(len, parts))]
    return ["".join(letters[start:end]) for start, end in pairwise(ends)]


def _letters(text: str) -> list[str]:
    """Return the code points of a text, kana with the marks that make other kana of them."""
    if not _VOICING.search(text):
        return list(text)
    letters: list[str] = []
    for character in text:
        if letters and _VOICING.match(character) and len(unicodedata.normalize("NFC", letters[-1] + character)) == 1:
            letters[-1] += character
        else:
            letters.append(character)
    return letters


def _words(run: str) -> list[str]:
    # ICU counts in units of UTF-16.
    units = run.encode(_UTF16)
    _local.words.setText(run)
    ends = [2 * end for end in _local.words]
    return [units[start:end].decode(_UTF16) for start, end in zip([0, *ends], ends, strict=False)]
