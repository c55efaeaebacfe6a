"""Stem words: the term that the index counts a word as. Pure.

Only English endings of inflection are cut: laptops, laptop's and laptop are one term; busy and business are two words.
See docs/decisions/stems.md.
Source: steps 1 and 5 of Porter2, https://snowballstem.org/algorithms/english/stemmer.html. Its other steps cut endings
that make another word.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_VOWELS: Final = "aeiouy"
# A y at the start or behind a vowel is a consonant; it is written Y below.
_CONSONANT_Y: Final = re.compile(rf"(?:^|(?<=[{_VOWELS}]))y")
# What follows the first consonant behind a vowel.
_REGION: Final = re.compile(rf"(?:gener|commun|arsen|.*?[{_VOWELS}][^{_VOWELS}])")
_VOWEL: Final = re.compile(f"[{_VOWELS}]")
_SHORT_END: Final = re.compile(rf"(?:^[{_VOWELS}][^{_VOWELS}]|[^{_VOWELS}][{_VOWELS}][^{_VOWELS}wxY])$")
_DOUBLE_END: Final = re.compile(r"(bb|dd|ff|gg|mm|nn|pp|rr|tt)$")
_PAST_OR_PARTICIPLE: Final = re.compile(r"(eedly|eed|ingly|edly|ing|ed)$")
_MIN_CHARS: Final = 3
# Of all endings that are cut.
_LAST_LETTERS: Final = "sdgyel"
# What the rules would cut wrongly.
_KEPT: Final = """
    news howe atlas cosmos bias andes inning outing canning herring earring proceed exceed succeed
"""
_IRREGULAR: Final = {
    **{word: word for word in _KEPT.split()},
    "skis": "ski",
    "skies": "sky",
    "sky": "sky",
    "dying": "die",
    "lying": "lie",
    "tying": "tie",
}


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """Return the English stem of a folded word; the word itself if it has a digit or a letter beyond ASCII."""
    if len(word) < _MIN_CHARS or word[-1] not in _LAST_LETTERS or not word.isalpha() or not word.isascii():
        return word
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    marked = _without_plural(_CONSONANT_Y.sub("Y", word))
    if marked in _IRREGULAR:
        return marked
    return _without_last_letter(_with_i(_without_participle(marked))).lower()


def _without_plural(word: str) -> str:
    if word.endswith("sses"):
        return word[:-2]
    if word.endswith(("ied", "ies")):
        return word[:-2] if len(word) > len("ties") else word[:-1]
    is_plural = word.endswith("s") and not word.endswith(("us", "ss")) and _VOWEL.search(word[:-2])
    return word[:-1] if is_plural else word


def _without_participle(word: str) -> str:
    ending = _PAST_OR_PARTICIPLE.search(word)
    if ending is None:
        return word
    rest = word[: ending.start()]
    if ending[1].startswith("eed"):
        return f"{rest}ee" if ending.start() >= _region_start(word) else word
    if not _VOWEL.search(rest):
        return word
    if rest.endswith(("at", "bl", "iz")):
        return f"{rest}e"
    if _DOUBLE_END.search(rest):
        return rest[:-1]
    return f"{rest}e" if _region_start(rest) == len(rest) and _SHORT_END.search(rest) else rest


def _with_i(word: str) -> str:
    """Write the y of battery as in batteries."""
    is_ending = len(word) >= _MIN_CHARS and word[-1] in "yY" and word[-2] not in _VOWELS
    return f"{word[:-1]}i" if is_ending else word


def _without_last_letter(word: str) -> str:
    """Cut the e of make, and one l of ll, in words that are long enough."""
    start = _region_start(word)
    in_region = len(word) > start
    in_second_region = len(word) > start + _region_start(word[start:])
    if word.endswith("e") and (in_second_region or (in_region and not _SHORT_END.search(word[:-1]))):
        return word[:-1]
    return word[:-1] if word.endswith("ll") and in_second_region else word


def _region_start(word: str) -> int:
    """Return where what follows the first consonant behind a vowel starts."""
    region = _REGION.match(word)
    return region.end() if region is not None else len(word)
