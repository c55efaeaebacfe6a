"""Stem words: the term that the index counts a word as. Pure.

Source: the English stemmer of Snowball (Porter2), https://snowballstem.org/algorithms/english/stemmer.html.
"""

from __future__ import annotations

import threading
from functools import lru_cache

import Stemmer


class _ThreadLocalStemmer(threading.local):
    """One stemmer a thread: a stemmer changes its own buffers, so threads cannot share one."""

    def __init__(self) -> None:
        self.stemmer = Stemmer.Stemmer("english")


_local = _ThreadLocalStemmer()


def stem(word: str) -> str:
    """Return the English stem of a folded word; the word itself if it has a digit or a letter beyond ASCII."""
    return _stem(word)


@lru_cache(maxsize=20_000)
def _stem(word: str) -> str:
    if not word.isalpha() or not word.isascii():
        return word
    stemmed: str = _local.stemmer.stemWord(word)
    return stemmed
