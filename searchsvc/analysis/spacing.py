"""Make spaces in a text say what belongs together, without moving a character. Pure."""

from __future__ import annotations

import re
from typing import Final

from searchsvc.analysis.folding import FILLER
from searchsvc.analysis.numbers import FRACTION_SIGNS

# What has the same meaning as a character of ASCII in numbers and dimensions: full-width forms, and the signs for
# fractions and products.
_PLAIN: Final = {0xFF01 + n: chr(0x21 + n) for n in range(94)} | {0x2044: "/", 0xD7: "x"}
# 2 x 4 is 2x4. The first looks for an x, which is faster than to look at each space.
_SIDES: Final = re.compile(r"[xX](?<=\d\s[xX])(?=\s\d)")
_DIMENSION: Final = re.compile(r"(?<=\d)\s([xX])\s(?=\d)")
# 5 ° C is 5 °C.
_DEGREES: Final = re.compile(r"(?<=[°º˚])\s(?=[CcFf]\b)")
# Marks that quote, and those of them that may end a quotation: a pair ends what one of the same pair began.
_QUOTES: Final = ((re.compile('["“”„«»]'), '"”“»'), (re.compile("['‘’‚]"), "'’‘"))
# 1 1/2, 1 ½ and 17 " with a space before the last part.
_FRACTION: Final = re.compile(rf"\d/\d|[{FRACTION_SIGNS}]")
_MIXED: Final = re.compile(rf"(?<![\d/.,-])(\d{{1,2}})\s(?=\d{{1,2}}/\d{{1,2}}(?![\d/])|[{FRACTION_SIGNS}])")
_MARK: Final = re.compile("[\"”“»″']")
_MARKED_NUMBER: Final = re.compile(rf"[\d{FRACTION_SIGNS}]\s?[\"”“»″\']")
_SPACED_MARK: Final = re.compile(r"(?<=\d)\s(?=(?:\'\'|[\"”″\'′])(?!\w))")
# Thousands with spaces at which no line breaks.
_SPACED_THOUSANDS: Final = re.compile(r"(?<![\d.,])\d{1,3}(?:[\u00a0\u2009\u202f]\d{3})+(?!\d)")
# Between Hebrew letters a quotation mark is the sign of an abbreviation.
_HEBREW_MARK: Final = re.compile("(?<=[\u05d0-\u05ea\u05b0-\u05c7])[\"'](?=[\u05d0-\u05ea])")
_FIXED_SPACE: Final = re.compile(r"[\u00a0\u2009\u202f]")


def spaced(text: str) -> str:
    """Return a text of the same length in which what is one number has no space, and a closing quote is one.

    So 1 1/2 is 1-1/2, and the mark behind "iphone 15" does not look like an inch mark.
    """
    is_ascii = text.isascii()
    if not is_ascii:
        text = _HEBREW_MARK.sub(lambda match: "\u05f4" if match[0] == '"' else "\u05f3", text.translate(_PLAIN))
    if ("x" in text or "X" in text) and _SIDES.search(text):
        text = _DIMENSION.sub(rf"{FILLER}\1{FILLER}", text)
    if _MARK.search(text) and _MARKED_NUMBER.search(text):
        text = _SPACED_MARK.sub("-", _without_closing_quotes(text))
    if not is_ascii:
        if _FIXED_SPACE.search(text):
            text = _SPACED_THOUSANDS.sub(lambda match: _FIXED_SPACE.sub("’", match[0]), text)
        text = _DEGREES.sub(FILLER, text)
    return _MIXED.sub(r"\1-", text) if ("/" in text or not is_ascii) and _FRACTION.search(text) else text


def _without_closing_quotes(text: str) -> str:
    """Put a space in place of each mark that closes what a mark before it opened."""
    closing: list[int] = []
    for quotes, ends in _QUOTES:
        is_open = False
        for quote in quotes.finditer(text):
            position = quote.start()
            before, after = text[position - 1 : position], text[position + 1 : position + 2]
            if is_open and quote[0] in ends and before and not before.isspace() and not after.isalnum():
                closing.append(position)
                is_open = False
            elif (not before or not before.isalnum()) and after and not after.isspace():
                is_open = True
    characters = list(text)
    for position in closing:
        characters[position] = " "
    return "".join(characters)
