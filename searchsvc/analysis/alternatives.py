"""The words of the index that one word of a query may stand for: itself, completions and corrections. Pure."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from searchsvc.analysis.adjacent_words import Fits, fits_nowhere
from searchsvc.analysis.lexicon import Lexicon, SimilarWord
from searchsvc.analysis.query import Alternative, AlternativeKind

MAX_CORRECTIONS: Final = 5
_DOUBLED: Final = re.compile(r"(.)\1+")
TYPO_WEIGHTS: Final = {1: 0.9, 2: 0.7}
# A rare word of the index may be a misspelling of a similar word that is this many times as frequent.
SUSPICIOUS_BELOW: Final = 3
SUSPICIOUS_RATIO: Final = 30
MAX_COMPLETIONS: Final = 12
# Completions among which those are looked for that titles have beside an adjacent word of the query.
MAX_COMPARED_COMPLETIONS: Final = 500
PREFIX_WEIGHT: Final = 0.8
MIN_GUESSED_PREFIX: Final = 3
# Shorter words are parts of too many.
MIN_COMPOUNDED: Final = 5
MAX_COMPOUNDS: Final = 100
COMPOUND_WEIGHT: Final = 0.8


class Tolerance(msgspec.Struct, frozen=True):
    """Which words may be misspelt. Shorter ones have too many similar words.

    one_from: letters from which there may be one error
    two_from: letters from which there may be two
    exact: folded words that are meant as they are
    """

    one_from: int = 3
    two_from: int = 8
    exact: frozenset[str] = frozenset()

    def allowed_edits(self, word: str) -> int:
        """Return how many errors a word may have."""
        if len(word) < self.one_from or not word.isalpha() or word in self.exact:
            return 0
        return 1 if len(word) < self.two_from else 2


def alternatives_of(
    word: str,
    lexicon: Lexicon,
    *,
    is_last: bool,
    typing: bool,
    tolerance: Tolerance | None,
    fits: Fits = fits_nowhere,
) -> tuple[Alternative, ...]:
    """Return the alternatives of a word, highest weight first; empty if the index has none.

    is_last: whether it is the last word of the query; an unknown one is then completed
    typing: whether it may be unfinished even if the index contains it
    tolerance: how far it may be misspelt; None if it may not
    fits: whether a word fits between its adjacent words in the query
    """
    alternatives: list[Alternative] = []
    count = lexicon.count(lexicon.languages.stem(word))
    if count:
        alternatives.append(exact(word, lexicon))
    if lexicon.languages.has_compounds and len(word) >= MIN_COMPOUNDED and word.isalpha():
        compounds = lexicon.compounds(word, MAX_COMPOUNDS)
        alternatives += [_alternative(compound, COMPOUND_WEIGHT, "compound", lexicon) for compound in compounds]
    if typing or (is_last and not count and len(word) >= MIN_GUESSED_PREFIX):
        completions = _completions(word, lexicon, fits)
        alternatives += [_alternative(completion, PREFIX_WEIGHT, "prefix", lexicon) for completion in completions]
    if tolerance is not None and not alternatives and tolerance.allowed_edits(word):
        alternatives += _corrections(word, lexicon, tolerance, fits)
    distinct: dict[str, Alternative] = {}
    for alternative in alternatives:
        distinct.setdefault(alternative.stem, alternative)
    return tuple(sorted(distinct.values(), key=lambda alternative: -alternative.weight))


def exact(word: str, lexicon: Lexicon) -> Alternative:
    """Return the alternative that is the word itself."""
    return Alternative(lexicon.languages.stem(word), word, 1.0, "exact")


def more_frequent(word: str, lexicon: Lexicon, tolerance: Tolerance) -> str:
    """Return a far more frequent word that a rare word may be a misspelling of, or ''.

    It is only offered: documents that have the rare word are what was asked for.
    """
    count = lexicon.count(lexicon.languages.stem(word))
    if not 0 < count < SUSPICIOUS_BELOW or not tolerance.allowed_edits(word):
        return ""
    stop_words = lexicon.languages.stop_words
    similar = [c for c in lexicon.similar(word, 1) if c.word.isalpha() and c.word not in stop_words]
    return next((c.word for c in similar if c.edits == 1 and c.frequency >= SUSPICIOUS_RATIO * count), "")


def _completions(word: str, lexicon: Lexicon, fits: Fits) -> list[SimilarWord]:
    """Return what an unfinished word may become: what titles have beside an adjacent word, then what is frequent.

    So `watering c` is a watering can, however many words begin with c.
    """
    if fits is fits_nowhere:
        return lexicon.completions(word, MAX_COMPLETIONS)
    frequent = lexicon.completions(word, MAX_COMPARED_COMPLETIONS)
    return sorted(frequent, key=lambda completion: not fits(completion.word))[:MAX_COMPLETIONS]


def _corrections(word: str, lexicon: Lexicon, tolerance: Tolerance, fits: Fits) -> list[Alternative]:
    """Return what a word that no document contains may be a misspelling of, likeliest first.

    A word that titles have beside an adjacent word of the query is likeliest, also with one error more: sient hill is
    Silent Hill. Of others no error is as common as one letter for two, or two for one: poter is Potter rather than
    Peter, whom more documents have.
    """
    similar = [c for c in lexicon.similar(word, tolerance.allowed_edits(word)) if c.word.isalpha()]
    fitting = {candidate.word for candidate in similar if fits(candidate.word)}
    nearest = [candidate for candidate in similar if candidate.edits == similar[0].edits or candidate.word in fitting]
    nearest.sort(key=lambda candidate: (candidate.word not in fitting, _undoubled(candidate.word) != _undoubled(word)))
    corrections: dict[str, Alternative] = {}
    for candidate in nearest:
        correction = _alternative(candidate, TYPO_WEIGHTS[candidate.edits], "typo", lexicon)
        corrections.setdefault(correction.stem, correction)
    return list(corrections.values())[:MAX_CORRECTIONS]


def _undoubled(word: str) -> str:
    """Return a word with one letter for each run of the same."""
    return _DOUBLED.sub(r"\1", word)


def _alternative(similar: SimilarWord, weight: float, kind: AlternativeKind, lexicon: Lexicon) -> Alternative:
    return Alternative(lexicon.languages.stem(similar.word), similar.word, weight, kind)
