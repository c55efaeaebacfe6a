"""Bends: features made of others, so that a score that is a sum can bend, and still be read. Pure.

`bm25.title>1/3` is 0 up to a third of what `bm25.title` can be and grows from there; its weight says how much steeper,
or flatter, the curve goes on. A bend that is not named has weight 0.
"""

from __future__ import annotations

from typing import Final

BENDS: Final = {">1/3": 1 / 3, ">2/3": 2 / 3}
MARK_CHARS: Final = 4


def feature_of(name: str) -> str:
    """The feature that a bend is of; of a feature, itself."""
    return name[:-MARK_CHARS] if name[-MARK_CHARS:] in BENDS else name


def is_bend(name: str) -> bool:
    return feature_of(name) != name
