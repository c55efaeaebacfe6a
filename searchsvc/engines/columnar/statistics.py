"""How much each term of a query tells, counted over live documents only. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from searchsvc.analysis.query import Query
from searchsvc.engines.columnar.lexicon import LexiconView, Meaning
from tuning.arrays import AnyArray, ScoreArray

K1: Final = 1.2
B: Final = 0.75


class QueryStatistics(msgspec.Struct, frozen=True):
    """meanings: what the index has for the query's terms. idf: (n_terms, n_fields), 0 where a field never holds the
    term. known: (n_terms,) whether any field does. most_telling: (n_terms,) the idf in the field that holds it most
    often, 0 where none does. ceiling: the largest BM25 that the query could earn in one field.
    """

    meanings: Sequence[Meaning]
    idf: ScoreArray
    known: AnyArray
    most_telling: ScoreArray
    ceiling: float

    @staticmethod
    def none() -> QueryStatistics:
        return QueryStatistics((), np.zeros((0, 0)), np.zeros(0, np.bool_), np.zeros(0), 0.0)


def statistics_of(
    query: Query, lexicon: LexiconView, document_frequencies: AnyArray, n_documents: int
) -> QueryStatistics:
    """How much each term of a query tells in each field. document_frequencies: (n_fields, n_terms).

    A term is as frequent as its most frequent alternative. Source of the idf: Robertson & Zaragoza 2009, with Lucene's
    log(1 + (N - df + .5) / (df + .5)).
    """
    n_fields = document_frequencies.shape[0]
    meanings = lexicon.meanings(query)
    frequencies = np.zeros((len(query.terms), n_fields + 1), np.int32)
    if meanings:
        # Meanings come by place, so those of one place are neighbours.
        places = [one.place for one in meanings]
        first = [at for at, place in enumerate(places) if not at or place != places[at - 1]]
        found = document_frequencies[:, [one.term for one in meanings]]
        if len(first) < len(places):
            found = np.maximum.reduceat(found, first, axis=1)
        frequencies[[places[at] for at in first], :-1] = found.T
        frequencies[:, -1] = frequencies.max(axis=1)
    idf = np.where(frequencies, inverse_document_frequency(frequencies, n_documents), 0.0)
    most_telling = idf[:, -1]
    ceiling = (K1 + 1.0) * float(most_telling.sum())
    return QueryStatistics(meanings, idf[:, :-1], frequencies[:, -1] > 0, most_telling, ceiling)


def words_hash(words: Sequence[str]) -> int:
    """64 bits that tell one row of words from another; 0 for none."""
    joined = "\x1f".join(words).encode()
    return int.from_bytes(hashlib.blake2b(joined, digest_size=8).digest(), "little") if joined else 0


def inverse_document_frequency(document_frequencies: AnyArray, n_documents: int) -> AnyArray:
    """How much a term tells: log(1 + (N - df + .5) / (df + .5)), above 0. Same shape as its input."""
    idf: AnyArray = np.log1p((n_documents - document_frequencies + 0.5) / (document_frequencies + 0.5))
    return idf
