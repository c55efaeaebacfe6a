"""Which words stand side by side in the titles of a catalogue: they tell one correction of a misspelt word from
another, and which words are also written as two. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Final

import msgspec

from searchsvc.analysis.lexicon import Lexicon

# A word is also written as two if so many titles write it so, and as many as this share of the documents that write it
# as one. One title with "prince ss" says nothing about princess.
MIN_OPEN_TITLES: Final = 2
MIN_OPEN_SHARE: Final = 1 / 3

# Whether titles have a word beside one of its neighbours in the query.
Fits = Callable[[str], bool]


class AdjacentWords(msgspec.Struct, frozen=True):
    """Words side by side in titles.

    pairs: stems of two words, in order
    open_compounds: words that are also written as two, such as "tshirt" as "t shirt": by stem, the length of the first
    """

    pairs: frozenset[tuple[str, str]] = frozenset()
    open_compounds: Mapping[str, int] = msgspec.field(default_factory=dict[str, int])


NO_ADJACENT_WORDS: Final = AdjacentWords()


def adjacent_words(titles: Sequence[Sequence[str]], lexicon: Lexicon) -> AdjacentWords:
    """Return the words that stand side by side in titles. titles: stems of the words of each"""
    counts = Counter(pair for title in titles for pair in set(pairwise(title)))
    stop_words = {lexicon.languages.stem(word) for word in lexicon.languages.stop_words}
    compounds = {
        first + second: len(first)
        for (first, second), n in counts.items()
        if n >= MIN_OPEN_TITLES and first.isalpha() and second.isalpha() and stop_words.isdisjoint((first, second))
        if _is_written_as_one(first, second, n, lexicon)
    }
    return AdjacentWords(frozenset(counts), compounds)


def _is_written_as_one(first: str, second: str, n_open: int, lexicon: Lexicon) -> bool:
    """Whether documents write two words as one now and then; also if people do who type a letter before a word.

    n_open: titles that have the two
    """
    n_closed = lexicon.count(first + second)
    return n_open >= MIN_OPEN_SHARE * n_closed and (n_closed > 0 or len(first) == 1)


def fits_nowhere(word: str) -> bool:
    """Say of no word that it fits."""
    return False


def fits_beside(before: str, after: str, adjacent: AdjacentWords, stem: Callable[[str], str]) -> Fits:
    """Return what tells whether a word fits between two words of a query. before, after: stems of these; '' for none"""
    pairs = adjacent.pairs
    if not pairs or not (before or after):
        return fits_nowhere
    return lambda word: (before, stem(word)) in pairs or (stem(word), after) in pairs
