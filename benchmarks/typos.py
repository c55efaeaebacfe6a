"""Queries as hurried people type them: one edit in one word, always the same for a seed. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
EDITS: Final = ("insert", "delete", "substitute", "swap")


def mistyped(queries: Sequence[str], seed: int = 0) -> list[str]:
    """Edit one random word of each query: insert, delete or substitute a letter, or swap two neighbours.

    Words and edits are equally likely; letters are from a to z. A word of one letter can only gain or change one.
    """
    rng = np.random.default_rng(seed)
    return [_edit_one_word(query, rng) for query in queries]


def _edit_one_word(query: str, rng: np.random.Generator) -> str:
    words = query.split()
    if not words:
        return query
    number = int(rng.integers(len(words)))
    word, edit = words[number], EDITS[int(rng.integers(len(EDITS)))]
    letter = LETTERS[int(rng.integers(len(LETTERS)))]
    if len(word) < 2 and edit in ("delete", "swap"):
        edit = "insert"
    position = int(rng.integers({"insert": len(word) + 1, "swap": len(word) - 1}.get(edit, len(word))))
    before, after = word[:position], word[position:]
    match edit:
        case "insert":
            words[number] = before + letter + after
        case "delete":
            words[number] = before + after[1:]
        case "substitute":
            words[number] = before + letter + after[1:]
        case _:
            words[number] = before + after[1] + after[0] + after[2:]
    return " ".join(words)
