"""Text from outside, made safe to show: no control character reaches a terminal or a log. Pure.

A control character can move the cursor, change the window's title or answer to the program that reads the keyboard; a
line break makes a line that nobody wrote; a mark of direction shows a text in another order than it has.
"""

from __future__ import annotations

import re
from typing import Final

# Controls (C0, DEL, C1), line and paragraph separators, marks and overrides of direction.
_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


def printable(text: str) -> str:
    """Return a text on one line, with unsafe characters as escapes such as `\\x1b`."""
    return _UNSAFE.sub(_escape, text)


def printable_json(text: str) -> str:
    """Return JSON in which unsafe characters are escaped as JSON does: it means the same."""
    return _UNSAFE.sub(lambda match: match[0] if match[0] == "\n" else f"\\u{ord(match[0]):04x}", text)


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()
