"""Fold words, so that different spellings of a word are equal. Pure."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from searchsvc.analysis.short_cache import short_cache

# Persian and Arabic keyboards have other code points for the same letters; others are often written for each other.
_SAME_LETTERS: Final = {"\u06a9": "\u0643", "\u06cc": "\u064a", "\u0649": "\u064a", "\u0629": "\u0647"}
# These are no base letter with a mark, so decomposing does not change them. The last is the Arabic stretch letter.
_LETTERS: Final = str.maketrans(
    {"ø": "o", "đ": "d", "ł": "l", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d", "ı": "i", "\u0640": "", **_SAME_LETTERS}
)
# Marks that writers may leave out: accents of Latin, Greek and Cyrillic, Hebrew points, Arabic vowels. Vowel signs of
# Indic scripts, Thai tone marks and the voicing of kana make another word.
_OPTIONAL_MARKS: Final = re.compile(
    "[\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u064b-\u065f\u0670"
    "\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
)
# Soft hyphens, joiners, direction marks and selectors of how a sign looks.
UNSEEN: Final = "\u00ad\u034f\u061c\u180b-\u180e\u200c-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f\ufeff"
# One of them, which stands for nothing: it keeps places.
FILLER: Final = "\u2060"
_UNSEEN: Final = re.compile(f"[{UNSEEN}]")


def is_unseen(text: str) -> bool:
    """Return whether a text has no character that is seen; '' has none."""
    return not text or not _UNSEEN.sub("", text)


@short_cache(20_000)
def fold(word: str) -> str:
    """Remove case, accents, width, and signs that are not seen."""
    if word.isascii():
        return word.lower()
    decomposed = unicodedata.normalize("NFKD", _UNSEEN.sub("", word)).casefold().translate(_LETTERS)
    return unicodedata.normalize("NFC", _OPTIONAL_MARKS.sub("", decomposed))
