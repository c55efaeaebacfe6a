"""The words of the index that one word of a query may stand for: itself, completions and corrections. Pure."""

from __future__ import annotations

from typing import Final

from searchsvc.analysis.lexicon import Lexicon, SimilarWord
from searchsvc.analysis.query import Alternative, AlternativeKind
from searchsvc.analysis.stemming import stem

# Shorter words have too many similar words.
ONE_EDIT_FROM: Final = 3
TWO_EDITS_FROM: Final = 8
MAX_CORRECTIONS: Final = 5
TYPO_WEIGHTS: Final = {1: 0.9, 2: 0.7}
# A rare word of the index may be a misspelling of a similar word that is this many times as frequent.
SUSPICIOUS_BELOW: Final = 3
SUSPICIOUS_RATIO: Final = 30
MAX_COMPLETIONS: Final = 12
PREFIX_WEIGHT: Final = 0.8
MIN_GUESSED_PREFIX: Final = 3


def alternatives_of(
    word: str, lexicon: Lexicon, *, is_last: bool, typing: bool, typos: bool
) -> tuple[Alternative, ...]:
    """Return the alternatives of a word, highest weight first; empty if the index has none.

    is_last: whether it is the last word of the query; an unknown one is then completed
    typing: whether it may be unfinished even if the index contains it
    typos: whether it may be misspelt
    """
    alternatives: list[Alternative] = []
    count = lexicon.count(stem(word))
    if count:
        alternatives.append(exact(word))
    if typing or (is_last and not count and len(word) >= MIN_GUESSED_PREFIX):
        completions = lexicon.completions(word, MAX_COMPLETIONS)
        alternatives += [_alternative(completion, PREFIX_WEIGHT, "prefix") for completion in completions]
    if typos and not alternatives and _allowed_edits(word):
        alternatives += _corrections(word, lexicon)
    # Of those with one stem the first counts, though it stands where the last stood.
    distinct = {alternative.stem: alternative for alternative in reversed(alternatives)}
    return tuple(sorted(distinct.values(), key=lambda alternative: -alternative.weight))


def exact(word: str) -> Alternative:
    """Return the alternative that is the word itself."""
    return Alternative(stem(word), word, 1.0, "exact")


def more_frequent(word: str, lexicon: Lexicon) -> str:
    """Return a far more frequent word that a rare word may be a misspelling of, or ''.

    It is only offered: documents that have the rare word are what was asked for.
    """
    count = lexicon.count(stem(word))
    if not 0 < count < SUSPICIOUS_BELOW or not _allowed_edits(word):
        return ""
    similar = [candidate for candidate in lexicon.similar(word, 1) if candidate.word.isalpha()]
    return next((c.word for c in similar if c.edits == 1 and c.frequency >= SUSPICIOUS_RATIO * count), "")


def _corrections(word: str, lexicon: Lexicon) -> list[Alternative]:
    """Return what a word that no document contains may be a misspelling of."""
    similar = [candidate for candidate in lexicon.similar(word, _allowed_edits(word)) if candidate.word.isalpha()]
    nearest = [candidate for candidate in similar if candidate.edits == similar[0].edits]
    return [_alternative(c, TYPO_WEIGHTS[c.edits], "typo") for c in nearest[:MAX_CORRECTIONS]]


def _allowed_edits(word: str) -> int:
    if len(word) < ONE_EDIT_FROM or not word.isalpha():
        return 0
    return 1 if len(word) < TWO_EDITS_FROM else 2


def _alternative(similar: SimilarWord, weight: float, kind: AlternativeKind) -> Alternative:
    return Alternative(stem(similar.word), similar.word, weight, kind)
