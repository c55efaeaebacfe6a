"""Which words stand side by side in the titles of a catalogue: they tell one correction of a misspelt word from
another, and which words are also written as two. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Final

import msgspec

from searchsvc.analysis.lexicon import Lexicon

# A word is also written as two if at least so many titles write it so, and at least this share of the number of
# documents that write it as one. One title with "prince ss" says nothing about princess.
MIN_OPEN_TITLES: Final = 2
MIN_OPEN_SHARE: Final = 1 / 3

# Whether titles have a word beside one of its adjacent words in the query.
Fits = Callable[[str], bool]


class AdjacentWords(msgspec.Struct, frozen=True):
    """Words side by side in titles.

    pairs: stems of two words, in order
    open_compounds: words that are also written as two, such as "tshirt" as "t shirt": by stem, the length of the first
    """

    pairs: frozenset[tuple[str, str]] = frozenset()
    open_compounds: Mapping[str, int] = msgspec.field(default_factory=dict[str, int])


NO_ADJACENT_WORDS: Final = AdjacentWords()


def adjacent_words(titles: Sequence[Sequence[str]], lexicon: Lexicon, share_read: float = 1.0) -> AdjacentWords:
    """Return the words that stand side by side in titles.

    titles: stems of the words of each
    share_read: share of the index's documents whose titles these are
    """
    counts = Counter(pair for title in titles for pair in set(pairwise(title)))
    stop_words = {lexicon.languages.stem(word) for word in lexicon.languages.stop_words}
    open_pairs = [
        (n, pair)
        for pair, n in counts.items()
        if n >= MIN_OPEN_TITLES and "".join(pair).isalpha() and stop_words.isdisjoint(pair)
        if _is_also_one_word(*pair, n, share_read, lexicon)
    ]
    # Of two that make the same word, the one that more titles have comes last and stays.
    compounds = {first + second: len(first) for _, (first, second) in sorted(open_pairs)}
    return AdjacentWords(frozenset(counts), compounds)


def _is_also_one_word(first: str, second: str, n_open: int, share_read: float, lexicon: Lexicon) -> bool:
    """Whether two words are written as one at times: by documents, or by people if the first is a letter.

    A letter that is doubled is a slip: ccable is no c cable.

    n_open: titles that have the two
    """
    n_closed = lexicon.count(first + second)
    is_letter = len(first) == 1 and not second.startswith(first)
    return n_open >= MIN_OPEN_SHARE * share_read * n_closed and (n_closed > 0 or is_letter)


def fits_nowhere(word: str) -> bool:
    """Say of no word that it fits."""
    return False


def fits_beside(before: str, after: str, adjacent: AdjacentWords, stem: Callable[[str], str]) -> Fits:
    """Return a function: does a word fit between two words of a query? before, after: their stems; '' for none"""
    pairs = adjacent.pairs
    if not pairs or not (before or after):
        return fits_nowhere
    return lambda word: (before, stem(word)) in pairs or (stem(word), after) in pairs
