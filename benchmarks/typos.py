"""Queries as hurried people type them: one edit in one word, always the same for a seed. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
EDITS: Final = ("insert", "delete", "substitute", "swap")


def mistyped(queries: Sequence[str], seed: int = 0) -> list[str]:
    """Each query with one insertion, deletion, substitution or swap of neighbours, each as likely, in one of its words,
    each as likely; letters are drawn from a-z. A word of one letter cannot lose or swap any: it gains one."""
    rng = np.random.default_rng(seed)
    return [_one_edit(query, rng) for query in queries]


def _one_edit(query: str, rng: np.random.Generator) -> str:
    words = query.split()
    if not words:
        return query
    at = int(rng.integers(len(words)))
    word, edit = words[at], EDITS[int(rng.integers(len(EDITS)))]
    letter = LETTERS[int(rng.integers(len(LETTERS)))]
    if len(word) < 2 and edit in ("delete", "swap"):
        edit = "insert"
    place = int(rng.integers({"insert": len(word) + 1, "swap": len(word) - 1}.get(edit, len(word))))
    match edit:
        case "insert":
            words[at] = word[:place] + letter + word[place:]
        case "delete":
            words[at] = word[:place] + word[place + 1 :]
        case "substitute":
            words[at] = word[:place] + letter + word[place + 1 :]
        case _:
            words[at] = word[:place] + word[place + 1] + word[place] + word[place + 2 :]
    return " ".join(words)
