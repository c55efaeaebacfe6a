"""Which words stand side by side in titles: what tells one correction of a misspelt word from another. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import pairwise

# Stems of two words, in order.
Pairs = Collection[tuple[str, str]]
# Whether titles have a word beside one of its neighbours in the query.
Fits = Callable[[str], bool]


def word_pairs(titles: Sequence[Sequence[str]]) -> Pairs:
    """Return the pairs of words that stand side by side. titles: stems of the words of each"""
    return frozenset(pair for title in titles for pair in pairwise(title))


def fits_nowhere(word: str) -> bool:
    """Say of no word that it fits."""
    return False


def fits_beside(before: str, after: str, pairs: Pairs, stem: Callable[[str], str]) -> Fits:
    """Return what tells whether a word fits between two words of a query. before, after: stems of these; '' for none"""
    if not pairs or not (before or after):
        return fits_nowhere
    return lambda word: (before, stem(word)) in pairs or (stem(word), after) in pairs
