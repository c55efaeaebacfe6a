"""Read numbers as shops write them, so that one number is one word. Pure.

1.5, 1,5 and 1½ are the word 1.5; 1,000 and 1.000.000,00 the words 1000 and 1000000; ½, 1/2 and 0.50 the word 0.5.
Digits of every script are those of ASCII. Zeros in front are kept: 007 is not 7.
"""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction
from typing import Final, NamedTuple

from searchsvc.analysis.short_cache import short_cache

THOUSANDS: Final = ",'’٬"
POINTS: Final = ".,٫"
# Signs such as ½, as a part of a class of characters.
FRACTION_SIGNS: Final = "\u00bc-\u00be\u2150-\u215e"
_SEPARATOR: Final = re.compile(r"[^\d]")
_GROUP: Final = 3
# Fractions of these are written as decimals, too.
_MAX_DENOMINATOR: Final = 64


class Number(NamedTuple):
    """A number as a word.

    word: as it is counted, such as 1.5 or 3.0
    value: the same without zeros at its end, such as 3
    also: what it may be meant as instead, such as 3500 for 3.500; '' for nothing
    is_negative: whether a minus stands before it
    """

    word: str
    value: str
    also: str = ""
    is_negative: bool = False


@short_cache(20_000)
def read_number(text: str) -> Number | None:
    """Return the number that digits with separators between them are.

    Returns None if they are several numbers, such as a date, a version or a list.
    """
    groups = _SEPARATOR.split(text)
    digits = [_ascii_digits(group) for group in groups]
    separators = _SEPARATOR.findall(text)
    if not separators:
        return Number(digits[0], digits[0])
    if _are_thousands(groups, separators):
        return Number("".join(digits), "".join(digits))
    *before, last = separators
    if last not in POINTS or last in before or (before and not _are_thousands(groups[:-1], before, has_decimals=True)):
        return None
    whole, decimals = "".join(digits[:-1]) or "0", digits[-1]
    shortened = decimals.rstrip("0")
    value = f"{whole}.{shortened}" if shortened else whole
    # 3.0 is often a version; 1,000.00 is not.
    word = value if shortened or before else f"{whole}.0"
    also = f"{whole}{decimals}" if len(decimals) == _GROUP and whole[0] != "0" and len(whole) <= _GROUP else ""
    return Number(word, value, also)


@short_cache(1_000)
def read_fraction(text: str) -> Number | None:
    """Return the number that a fraction is, such as 3/4, ½, 1 1/2 or 1-1/2; None for 16/9 or 24/7."""
    normal = unicodedata.normalize("NFKC", text).replace("\u2044", "/")
    if "/" not in text and len(normal) > len(text) and text[0].isdecimal():
        # Of 1½, NFKC makes 11/2.
        normal = f"{text[:-1]} {unicodedata.normalize('NFKC', text[-1])}".replace("\u2044", "/")
    *whole, part = re.split(r"[\s-]+", normal)
    numerator, denominator = (int(number) for number in part.split("/"))
    if not 0 < numerator < denominator:
        return None
    value = Fraction(numerator, denominator)
    if denominator > _MAX_DENOMINATOR or denominator & (denominator - 1):
        word = f"{value.numerator}/{value.denominator}"
        return Number(word, word) if not whole else None
    number = format(float(value + (int(whole[0]) if whole else 0)), ".6f").rstrip("0")
    return Number(number, number)


def _are_thousands(groups: list[str], separators: list[str], *, has_decimals: bool = False) -> bool:
    """Whether groups of digits are one whole number, such as 1,000 or 1.000.000 or the 1.000 of 1.000,50."""
    first, *rest = groups
    if len(set(separators)) != 1 or len(first) > _GROUP or first.startswith("0") or not first:
        return False
    if any(len(group) != _GROUP for group in rest):
        return False
    return separators[0] in THOUSANDS or len(rest) > 1 or has_decimals


def _ascii_digits(text: str) -> str:
    return text if text.isascii() else "".join(str(unicodedata.digit(digit)) for digit in text)
