"""Statistics of a query's terms, counted over live documents only. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from searchsvc.analysis.query import Query
from searchsvc.engines.columnar.lexicon_view import IndexedAlternative, LexiconView
from tuning.arrays import AnyArray, ScoreArray

K1: Final = 1.2
B: Final = 0.75
# What a term counts for in coverage where a document has only another word of its stem: shoe for shoes.
INFLECTED_COVERAGE: Final = 0.95


class QueryStatistics(msgspec.Struct, frozen=True):
    """How rare the terms of a query are.

    alternatives: the alternatives that are terms of the index, in the order of the query's terms
    idf: (n_terms, n_fields), 0 where no document has the term in the field
    in_index: (n_terms,) whether any document contains the term
    term_idf: (n_terms,) idf in the field that contains the term most often, 0 for a term that is not in the index
    ceiling: the largest BM25 that the query could earn in one field
    """

    alternatives: Sequence[IndexedAlternative]
    idf: ScoreArray
    in_index: AnyArray
    term_idf: ScoreArray
    ceiling: float

    @staticmethod
    def none() -> QueryStatistics:
        """Return the statistics of a query without terms."""
        return QueryStatistics((), np.zeros((0, 0)), np.zeros(0, np.bool_), np.zeros(0), 0.0)


def statistics_of(
    query: Query, lexicon: LexiconView, document_frequencies: AnyArray, n_documents: int
) -> QueryStatistics:
    """Compute the statistics of a query. A term is as frequent as its most frequent alternative.

    A phrase is taken to be as frequent as its rarest word, the most it can be.

    document_frequencies: (n_fields, n_terms of the index)
    """
    n_fields = document_frequencies.shape[0]
    alternatives = lexicon.alternatives(query)
    frequencies = np.zeros((len(query.terms), n_fields + 1), np.int32)
    if alternatives:
        # Alternatives of one query term follow one another.
        positions = [alternative.position for alternative in alternatives]
        first = [i for i, position in enumerate(positions) if not i or position != positions[i - 1]]
        largest = document_frequencies[:, [alternative.term for alternative in alternatives]]
        if len(first) < len(positions):
            largest = np.maximum.reduceat(largest, first, axis=1)
        frequencies[[positions[i] for i in first], :-1] = largest.T
    for phrase in query.phrase_alternatives:
        terms = [lexicon.term(stem) for stem in phrase.phrase.stems]
        existing = [term for term in terms if term is not None]
        if len(existing) == len(terms):
            of_phrase = document_frequencies[:, existing].min(axis=1)
            for position in phrase.positions:
                frequencies[position, :-1] = np.maximum(frequencies[position, :-1], of_phrase)
    frequencies[:, -1] = frequencies.max(axis=1, initial=0)
    idf = np.where(frequencies, inverse_document_frequency(frequencies, n_documents), 0.0)
    term_idf = idf[:, -1]
    ceiling = (K1 + 1.0) * float(term_idf.sum())
    return QueryStatistics(alternatives, idf[:, :-1], frequencies[:, -1] > 0, term_idf, ceiling)


def words_hash(words: Sequence[str]) -> int:
    """Return a 64-bit hash of a sequence of words; 0 for none."""
    joined = "\x1f".join(words).encode()
    return int.from_bytes(hashlib.blake2b(joined, digest_size=8).digest(), "little") if joined else 0


def inverse_document_frequency(document_frequencies: AnyArray, n_documents: int) -> AnyArray:
    """Return log(1 + (N - df + .5) / (df + .5)), above 0, in the shape of its input.

    Source: Robertson & Zaragoza 2009, as in Lucene.
    """
    idf: AnyArray = np.log1p((n_documents - document_frequencies + 0.5) / (document_frequencies + 0.5))
    return idf
