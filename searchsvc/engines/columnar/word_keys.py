"""Numbers made from a word, by which thousands of words are compared at once."""

from __future__ import annotations

from typing import Final

BEGINNING_BYTES: Final = 8
_LETTER_BITS: Final = 31


def beginning(word: str, *, last: bool = False) -> int:
    """Return the first eight bytes of a word as an integer that orders as they do.

    last: return the largest beginning of all words that start with this one
    """
    data = word.encode()[:BEGINNING_BYTES]
    return int.from_bytes(data.ljust(BEGINNING_BYTES, b"\xff" if last else b"\0"), "big")


def signature(word: str) -> int:
    """Return 64 bits that say which characters a word contains, and which of them twice.

    One edit changes at most two bits, so words whose signatures differ in more than 2 d bits are more than d edits
    apart.
    """
    once = twice = 0
    for character in word:
        bit = 1 << (ord(character) % _LETTER_BITS)
        twice |= once & bit
        once |= bit
    return once | twice << (_LETTER_BITS + 1)
