"""The forward index: the words of each slot, field by field. Text features of candidates are computed from it.

It is read for candidates only, so it costs the same in a large index and a small one. Document frequencies and average
lengths count live documents only, so scores do not depend on dead slots or merges.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from searchsvc.analysis.analyzer import Analysis
from searchsvc.analysis.languages import DEFAULT, Languages
from searchsvc.engines.columnar.columns import Column
from searchsvc.engines.columnar.lexicon import Lexicon, StoredLexicon
from searchsvc.engines.columnar.statistics import K1, B, words_hash
from searchsvc.engines.embedded.forward_view import ForwardView
from searchsvc.engines.embedded.kernels.structs import Entries, ForwardArrays, LengthNorm
from searchsvc.engines.embedded.postings import MAX_FREQUENCY, MAX_LENGTH
from tuning.arrays import AnyArray

MAX_POSITION: Final = 65_535


class StoredForward(msgspec.Struct, frozen=True):
    """A forward index as plain arrays.

    arrays: an entry for each word and compound of a slot, by field and position
    word_counts: (n_words,) how often live documents contain each word
    document_frequencies: (n_fields, n_terms) how many live documents contain each term
    total_lengths: (n_fields,) words of all live documents
    n_live: number of live documents
    """

    lexicon: StoredLexicon
    arrays: ForwardArrays
    word_counts: AnyArray
    document_frequencies: AnyArray
    total_lengths: AnyArray
    n_live: int

    @staticmethod
    def empty(n_fields: int) -> StoredForward:
        return StoredForward(
            lexicon=StoredLexicon.empty(),
            arrays=ForwardArrays(
                starts=np.zeros(1, np.int64),
                words=np.empty(0, np.int32),
                fields=np.empty(0, np.uint8),
                positions=np.empty(0, np.uint16),
                lengths=np.empty((0, n_fields), np.int32),
                titles=np.empty(0, np.uint64),
            ),
            word_counts=np.zeros(0, np.int64),
            document_frequencies=np.zeros((n_fields, 0), np.int32),
            total_lengths=np.zeros(n_fields, np.int64),
            n_live=0,
        )


class ForwardIndex:
    """The writer's side. Fields are columns 0 to n_fields - 1, in the order of the index settings.

    title: column of the title
    stored: the slots of a snapshot on disk
    languages: of the index
    """

    def __init__(
        self, n_fields: int, title: int, stored: StoredForward | None = None, languages: Languages = DEFAULT
    ) -> None:
        self._n_fields = n_fields
        self._title = title
        stored = stored or StoredForward.empty(n_fields)
        self._lexicon = Lexicon(stored.lexicon, languages)
        self._starts = Column(np.int64, rows=stored.arrays.starts)
        self._words = Column(np.int32, rows=stored.arrays.words)
        self._fields = Column(np.uint8, rows=stored.arrays.fields)
        self._positions = Column(np.uint16, rows=stored.arrays.positions)
        self._lengths = Column(np.int32, n_fields, rows=stored.arrays.lengths)
        self._titles = Column(np.uint64, rows=stored.arrays.titles)
        self._word_counts = np.array(stored.word_counts)
        self._document_frequencies = np.array(stored.document_frequencies)
        self._total_lengths = np.array(stored.total_lengths)
        self._n_live = stored.n_live

    def add(self, documents: Sequence[Sequence[Analysis]]) -> tuple[AnyArray, Entries]:
        """Append documents as the next slots.

        documents: the analyzed fields of each

        Returns their postings: (n,) the term of each entry, and the entries.
        """
        rows = self._append_words(documents)
        lengths = np.array([[len(analysis.words) for analysis in fields] for fields in documents], np.int32)
        self._lengths.extend(lengths.reshape(len(documents), self._n_fields))
        self._titles.extend(np.array([words_hash(fields[self._title].words) for fields in documents], np.uint64))
        self._lexicon.commit()
        self._reserve_terms()
        terms, slots, fields, frequencies, field_lengths = np.array(rows, np.int64).reshape(-1, 5).T
        np.add.at(self._document_frequencies, (fields, terms), 1)
        self._total_lengths += lengths.sum(axis=0)
        self._n_live += len(documents)
        entries = Entries(
            slots=slots.astype(np.int32),
            fields=fields.astype(np.uint8),
            frequencies=frequencies.astype(np.uint8),
            lengths=field_lengths.astype(np.uint16),
        )
        return terms, entries

    def _append_words(self, documents: Sequence[Sequence[Analysis]]) -> list[tuple[int, int, int, int, int]]:
        """Append the words of documents; return their postings: term, slot, field, frequency, field length."""
        words: list[int] = []
        fields: list[int] = []
        positions: list[int] = []
        ends: list[int] = []
        postings: list[tuple[int, int, int, int, int]] = []
        for slot, analyses in enumerate(documents, start=len(self._lengths)):
            for field, analysis in enumerate(analyses):
                numbers = [self._lexicon.add(word) for word in analysis.words]
                numbers += [self._lexicon.add(compound.text) for compound in analysis.compounds]
                words += numbers
                positions += [*range(len(analysis.words)), *(compound.start for compound in analysis.compounds)]
                fields += [field] * len(numbers)
                length = min(len(analysis.words), MAX_LENGTH)
                for term, n in Counter(self._lexicon.term_of_word(number) for number in numbers).items():
                    postings.append((term, slot, field, min(n, MAX_FREQUENCY), length))
            ends.append(len(words))
        self._starts.extend(len(self._words) + np.array(ends, np.int64))
        self._words.extend(np.array(words, np.int32))
        self._fields.extend(np.array(fields, np.uint8))
        self._positions.extend(np.minimum(np.array(positions, np.int64), MAX_POSITION).astype(np.uint16))
        n_words = max(len(self._lexicon.words), len(self._word_counts))
        counts = np.bincount(np.array(words, np.int64), minlength=n_words)
        counts[: len(self._word_counts)] += self._word_counts
        self._word_counts = counts
        return postings

    def remove(self, slot: int) -> None:
        """Subtract a live slot from the statistics. Its rows stay."""
        start, end = self._starts.view()[slot : slot + 2]
        words = self._words.view()[start:end]
        np.subtract.at(self._word_counts, words, 1)
        terms = self._lexicon.terms_of(words)
        fields = self._fields.view()[start:end].astype(np.int64)
        distinct = np.unique(np.stack([fields, terms]), axis=1)
        self._document_frequencies[distinct[0], distinct[1]] -= 1
        self._total_lengths -= self._lengths.view()[slot]
        self._n_live -= 1

    def view(self) -> ForwardView:
        """Return what searches read."""
        frequencies = self._document_frequencies[:, : self._lexicon.n_terms].copy()
        average_lengths = self._total_lengths / max(self._n_live, 1)
        return ForwardView(
            lexicon=self._lexicon.view(frequencies, self._word_counts > 0),
            arrays=self._arrays(),
            document_frequencies=frequencies,
            norm=LengthNorm(K1 * B / np.maximum(average_lengths, 1e-9), K1 * (1.0 - B)),
            n_live=self._n_live,
        )

    def store(self) -> StoredForward:
        """Return all slots as plain arrays."""
        return StoredForward(
            lexicon=self._lexicon.store(),
            arrays=self._arrays(),
            word_counts=self._word_counts.copy(),
            document_frequencies=self._document_frequencies[:, : self._lexicon.n_terms].copy(),
            total_lengths=self._total_lengths.copy(),
            n_live=self._n_live,
        )

    def _arrays(self) -> ForwardArrays:
        return ForwardArrays(
            starts=self._starts.view(),
            words=self._words.view(),
            fields=self._fields.view(),
            positions=self._positions.view(),
            lengths=self._lengths.view(),
            titles=self._titles.view(),
        )

    def _reserve_terms(self) -> None:
        """Make room in the document frequencies for all terms of the lexicon."""
        n_columns = self._document_frequencies.shape[1]
        if self._lexicon.n_terms > n_columns:
            larger = np.zeros((self._n_fields, 2 * self._lexicon.n_terms), np.int32)
            larger[:, :n_columns] = self._document_frequencies
            self._document_frequencies = larger
