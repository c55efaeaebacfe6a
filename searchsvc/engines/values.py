"""Values of attributes: which are equal, how they are ordered, and what texts can be read as. Pure.

A value is a number or a text; true and false are texts. An attribute may have values of several kinds:

- **Equal** are texts that differ only in case or in how their accents are encoded, and a number and the text that it is
  written as. So 007 is not 7.
- **In order**, numbers come before texts, texts in the order of the root collation, without regard to case.
- Where **every** text of an attribute can be read by itself as an amount, a date, or as yes or no, it is read so: see
  `Reading`.
"""

from __future__ import annotations

import math
import re
import struct
import threading
import unicodedata
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

import regex

from searchsvc.analysis.analyzer import analyze
from searchsvc.analysis.numbers import read_number
from searchsvc.analysis.short_cache import short_cache
from searchsvc.engines.dates import epoch_seconds

Number = int | float
AttributeValue = str | Number

# Beyond it not every integer is a float.
LARGEST_EXACT: Final = 2**53
# From here on a number is written with an exponent.
_MAX_WRITTEN: Final = 1e21

_CURRENCIES: Final = (
    "AED ARS AUD BGN BRL CAD CHF CLP CNY COP CZK DKK EGP EUR GBP HKD HUF IDR ILS INR ISK JPY KRW MAD MXN MYR NOK NZD "
    "PEN PHP PKR PLN QAR RON RSD RUB SAR SEK SGD THB TRY TWD UAH USD VND ZAR kr Kč zł Ft lei Fr."
)
_CURRENCY: Final = r"(?:[A-Z]{0,3}\p{Sc}|" + "|".join(map(re.escape, _CURRENCIES.split())) + ")"
_SPACES: Final = " \u00a0\u2009\u202f"
_AMOUNT: Final = regex.compile(
    rf"(?:{_CURRENCY}[{_SPACES}]?)?(?P<sign>[-+\u2212])?(?:{_CURRENCY}[{_SPACES}]?)?"
    rf"(?P<number>[0-9](?:[0-9.,'’{_SPACES}]*[0-9])?)(?:[.,][-\u2013\u2014])?(?:[{_SPACES}]?{_CURRENCY})?"
)
_SPACED_GROUP: Final = re.compile(rf"[{_SPACES}](?=\d{{3}}(?!\d))")
_WHOLE: Final = re.compile(r"[-+]?[0-9]+")
_TRUTHS: Final = {
    **dict.fromkeys(("true", "yes", "y", "ja", "oui", "sí"), True),
    **dict.fromkeys(("false", "no", "n", "nein", "non"), False),
}


class TextReadings(NamedTuple):
    """What a text can be read as by itself; None for what it cannot.

    amount: a number, perhaps with a currency: 1299.0 for `1,299.00 €`
    moment: a date, in seconds since 1970
    truth: yes or no
    """

    amount: float | None
    moment: float | None
    truth: bool | None


@short_cache(20_000)
def read_text(text: str) -> TextReadings:
    """Read a text by itself."""
    truth = _TRUTHS.get(text.casefold()) if len(text) <= len("false") else None
    if not any(map(str.isdigit, text[:8])):
        return TextReadings(None, None, truth)
    return TextReadings(_amount(text), epoch_seconds(text), truth)


def words_of_truth(truth: bool) -> list[str]:
    """Return how yes or no is written, in keys."""
    return [word for word, of_word in _TRUTHS.items() if of_word == truth]


def canonical_number(number: Number) -> Number:
    """Return a number as the one value that stands for all ways to write it: an integer if it is whole."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


def number_text(number: Number) -> str:
    """Return a number as people write it: 3, not 3.0."""
    if float(number).is_integer():
        return str(int(number)) if abs(number) < _MAX_WRITTEN else repr(float(number))
    return repr(number)


def parse_number(text: str) -> Number | None:
    """Return the finite number that a text spells as programs do, exact if it is whole, or None."""
    try:
        number = int(text) if _WHOLE.fullmatch(text) else float(text)
        return number if math.isfinite(number) else None
    except (ValueError, OverflowError):
        # A whole number may be larger than any float.
        return None


def is_number_text(text: str) -> bool:
    """Return whether a text is how a number is written."""
    number = parse_number(text) if text[-1:].isdigit() else None
    return number is not None and number_text(number) == text


def normal(text: str) -> str:
    """Return a text with its accents encoded in one way."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def value_key(value: AttributeValue) -> str:
    """Return the text that equal values have in common."""
    return normal(normal(value).casefold()) if isinstance(value, str) else number_text(value)


def equal_keys(value: str, kinds: Collection[str]) -> list[str]:
    """Return the keys of the values that equal what a filter names.

    It names a number also in another way, such as 7.0, unless the attribute has texts; and yes or no in any way.

    kinds: `kinds_of` all values of the attribute
    """
    truth = read_text(value).truth
    if truth is not None and Reading.of_kinds(kinds).truths:
        return words_of_truth(truth)
    number = parse_number(value) if "text" not in kinds else None
    return [value_key(value), *([number_text(number)] if number is not None else [])]


def beginnings_of(query: str) -> tuple[str, ...]:
    """Return the words of a query, folded, with a space before each; then with words as one that are written as one.

    So `O'Neill` is ` o neill` and ` oneill`. A query without words has none.
    """
    analysis = analyze(query)
    apart = [f" {word}" for word in analysis.words]
    joined = list(apart)
    compounds = (c for c in analysis.compounds if c.end - c.start > 1 and not c.is_measure)
    for compound in sorted(compounds, key=lambda c: (c.start - c.end, c.start)):
        if all(joined[compound.start : compound.end]):
            joined[compound.start : compound.end] = [f" {compound.text}", *[""] * (compound.end - compound.start - 1)]
    return tuple(dict.fromkeys("".join(words) for words in (apart, joined) if words))


@short_cache(100_000)
def words_of(text: str) -> str:
    """Return the words of a value as `beginnings_of` does, with a space between both spellings; '' if it has none."""
    return " ".join(beginnings_of(text))


def has_words_beginning_with(text: str, beginnings: Sequence[str]) -> bool:
    """Return whether neighbouring words of a value begin with some words. beginnings: see `beginnings_of`"""
    words = words_of(text)
    return any(beginning in words for beginning in beginnings)


def number_key(number: Number) -> str:
    """Return letters that order as numbers do, whole ones exactly as far as `number_text` writes all their digits."""
    as_float = float(number)
    (bits,) = struct.unpack(">Q", struct.pack(">d", as_float + 0.0))
    bits = bits ^ 0xFFFF_FFFF_FFFF_FFFF if bits >> 63 else bits | 1 << 63
    # Beyond, numbers are equal if their floats are.
    rest = int(number) - int(as_float) if isinstance(number, int) and abs(number) < _MAX_WRITTEN else 0
    return f"{bits:016x}{rest + 2**31:08x}"


def collation_key(text: str) -> bytes:
    """Return bytes that order as texts do: by the root collation, without regard to case."""
    key: bytes = _local.collator.getSortKey(text)
    return key


class Reading(NamedTuple):
    """As what the texts of an attribute are read; at most one of these."""

    amounts: bool = False
    dates: bool = False
    truths: bool = False

    @staticmethod
    def of_kinds(kinds: Collection[str]) -> Reading:
        """Return the reading of an attribute. kinds: `kinds_of` all of its values"""
        if "text" not in kinds:
            return Reading()
        if "number" not in kinds and "no truth" not in kinds:
            return Reading(truths=True)
        amounts = "no amount" not in kinds
        return Reading(amounts=amounts, dates=not amounts and "no date" not in kinds)


def kinds_of(value: AttributeValue) -> tuple[str, ...]:
    """Return what of a value decides about the reading of its attribute."""
    if not isinstance(value, str):
        return ("number",)
    readings = read_text(value)
    names = zip(("amount", "date", "truth"), readings, strict=True)
    return ("text", *(name if reading is not None else f"no {name}" for name, reading in names))


class _ThreadLocalCollator(threading.local):
    """One collator a thread: it is not safe for several."""

    def __init__(self) -> None:
        import icu

        self.collator = icu.Collator.createInstance(icu.Locale.getRoot())
        self.collator.setStrength(icu.Collator.SECONDARY)


_local = _ThreadLocalCollator()


def _amount(text: str) -> float | None:
    match = _AMOUNT.fullmatch(text.strip())
    if match is None:
        return None
    digits = _SPACED_GROUP.sub("’", match["number"])
    has_currency = any(character.isalpha() or unicodedata.category(character) == "Sc" for character in text)
    starts_with_zero = len(digits) > 1 and digits[0] == "0" and digits[1].isdigit()
    number = read_number(digits) if not starts_with_zero and not any(space in digits for space in _SPACES) else None
    if number is None or (number.also and not has_currency):
        return None
    # Money has no three decimals: 1.299 € are thousands.
    value = float(number.also or number.value)
    if not math.isfinite(value):
        return None
    return -value if match["sign"] in ("-", "\u2212") else value
