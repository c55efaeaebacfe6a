"""The words of an index, and how many live documents have each. Counted by the service as documents come and go. Pure.

The node cannot do it: it counts deleted documents until it merges, it does not find similar words, and a search needs
both before it sends its first request.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec
import numpy as np

from searchsvc.analysis.languages import DEFAULT, Languages
from searchsvc.analysis.query import Query
from searchsvc.engines.columnar.lexicon import Lexicon
from searchsvc.engines.columnar.lexicon_view import LexiconView
from searchsvc.engines.columnar.statistics import QueryStatistics, inverse_document_frequency, statistics_of
from tuning.arrays import AnyArray


class Vocabulary:
    """The writer's side.

    n_fields: searchable fields, in the order of the settings
    languages: of the index
    """

    def __init__(self, n_fields: int, languages: Languages = DEFAULT) -> None:
        self._n_fields = n_fields
        self._lexicon = Lexicon(languages=languages)
        self._word_counts = np.zeros(0, np.int64)
        self._document_frequencies = np.zeros((n_fields, 0), np.int32)
        self._n_live = 0

    def add(self, documents: Iterable[Sequence[set[str]]]) -> None:
        """Count documents. documents: the distinct words of each field of each."""
        self._count([list(map(self._numbers, fields)) for fields in documents], 1)

    def remove(self, documents: Iterable[Sequence[set[str]]]) -> None:
        """Count documents no longer. documents: as in `add`."""
        self._count([list(map(self._numbers, fields)) for fields in documents], -1)

    def restore(self, words: Mapping[str, int], stems: Mapping[tuple[int, str], int], n_live: int) -> None:
        """Start with the counts of the node.

        words: documents with each word
        stems: documents with each stem, by field and stem
        n_live: number of documents
        """
        numbers = self._numbers(words)
        self._lexicon.commit()
        self._grow()
        self._word_counts[numbers] += np.fromiter(words.values(), np.int64, len(words))
        lexicon = self.view().lexicon
        for (field, stem), count in stems.items():
            term = lexicon.term(stem)
            if term is not None:
                self._document_frequencies[field, term] += count
        self._n_live += n_live

    def view(self) -> VocabularyView:
        """Return the reader's side."""
        frequencies = self._document_frequencies[:, : self._lexicon.n_terms].copy()
        live = self._word_counts[: len(self._lexicon.words)] > 0
        return VocabularyView(self._lexicon.view(frequencies, live), frequencies, self._n_live)

    def _numbers(self, words: Iterable[str]) -> list[int]:
        return [self._lexicon.add(word) for word in words]

    def _count(self, documents: Sequence[Sequence[list[int]]], sign: int) -> None:
        self._lexicon.commit()
        self._grow()
        for fields in documents:
            for field, numbers in enumerate(fields):
                terms = np.unique(self._lexicon.terms_of(np.array(numbers, np.int64)))
                self._document_frequencies[field, terms] += sign
            distinct = {number for numbers in fields for number in numbers}
            self._word_counts[list(distinct)] += sign
            self._n_live += sign

    def _grow(self) -> None:
        n_words, n_terms = len(self._lexicon.words), self._lexicon.n_terms
        if n_words > len(self._word_counts):
            self._word_counts = np.append(self._word_counts, np.zeros(2 * n_words - len(self._word_counts), np.int64))
        n_columns = self._document_frequencies.shape[1]
        if n_terms > n_columns:
            grown = np.zeros((self._n_fields, 2 * n_terms), np.int32)
            grown[:, :n_columns] = self._document_frequencies
            self._document_frequencies = grown


class VocabularyView(msgspec.Struct, frozen=True):
    """The reader's side after one write. document_frequencies: (n_fields, n_terms)."""

    lexicon: LexiconView
    document_frequencies: AnyArray
    n_live: int

    def statistics(self, query: Query) -> QueryStatistics:
        """Return how much each term of a query tells."""
        return statistics_of(query, self.lexicon, self.document_frequencies, self.n_live)

    def rarity(self, stem: str, field: int) -> float:
        """Return the idf of a stem in a field; 0 if no document has it there."""
        term = self.lexicon.term(stem)
        if term is None or not self.document_frequencies[field, term]:
            return 0.0
        return float(inverse_document_frequency(self.document_frequencies[field, term], self.n_live))
