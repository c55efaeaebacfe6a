"""Decide whether the model can understand a query: only then it has neighbours. Pure.

A model gives every text a vector, also nonsense and other languages, and something is always nearest to it.
See docs/decisions/neighbours.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from searchsvc.analysis.query import Query, QueryTerm
from searchsvc.analysis.understanding import SENTENCE_FROM

# Single letters and ideograms are in most vocabularies, and say little.
MIN_WORD_CHARS: Final = 2
# At least this share of the words, stop words left out, must be known: to the index, as they are or corrected, or to
# the model.
MIN_KNOWN_SHARE: Final = 0.5
# In a sentence with an unknown word, the model must know at least this share: few words of a sentence are names.
MIN_SHARE_OF_SENTENCE: Final = 0.75


def has_meaning(query: Query, knows: Callable[[str], bool]) -> bool:
    """Return whether enough of a query's words are known, in a language of the index, and not all of them are numbers:
    those are meant exactly.

    knows: whether a word is in the model's vocabulary
    """
    terms = [term for term in query.terms if not term.optional]
    if query.is_foreign or all(any(map(str.isdigit, term.word)) for term in terms):
        return False
    in_model = [_is_in_model(term, knows) for term in terms]
    n_known = sum(bool(term.alternatives) or known for term, known in zip(terms, in_model, strict=True))
    if not n_known or n_known < MIN_KNOWN_SHARE * len(terms):
        return False
    if len(terms) < SENTENCE_FROM or n_known == len(terms):
        return True
    return sum(in_model) >= MIN_SHARE_OF_SENTENCE * len(terms)


def _is_in_model(term: QueryTerm, knows: Callable[[str], bool]) -> bool:
    words = term.parts or (term.correction.word if term.correction is not None else term.word,)
    return all(len(word) >= MIN_WORD_CHARS and word.isalpha() and knows(word) for word in words)
