"""The forward index: the words of each slot, field by field. Text features of candidates are computed from it.

A search reads the rows of its candidates only, so the cost does not grow with the index. Document frequencies and
average lengths count live documents only, so scores do not depend on dead slots or merges.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

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


class _SlotEntries(NamedTuple):
    """The entries of one slot, field by field: its words, then its compounds.

    words, fields, positions: (n,) of the entries
    lengths: words of each field
    title: see `words_hash`
    """

    words: AnyArray
    fields: AnyArray
    positions: AnyArray
    lengths: Sequence[int]
    title: int


class _Postings(NamedTuple):
    """How often each field of each document contains each of its terms. Four arrays of (n,)

    documents: positions of the documents in the batch
    """

    documents: AnyArray
    fields: AnyArray
    terms: AnyArray
    frequencies: AnyArray


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

    def add(self, documents: Sequence[Sequence[Analysis] | int]) -> tuple[AnyArray, Entries]:
        """Append documents as the next slots.

        documents: the analyzed fields of each, or the slot whose words are copied

        Returns their postings: the terms (n,), and in the same order the entries.
        """
        rows = [self._stored_entries(d) if isinstance(d, int) else self._new_entries(d) for d in documents]
        first_slot = len(self._lengths)
        self._lexicon.commit()
        words = _joined([row.words for row in rows], np.int32)
        lengths = np.array([row.lengths for row in rows], np.int32).reshape(len(rows), self._n_fields)
        self._starts.extend(len(self._words) + np.cumsum([len(row.words) for row in rows], dtype=np.int64))
        self._words.extend(words)
        self._fields.extend(_joined([row.fields for row in rows], np.uint8))
        self._positions.extend(_joined([row.positions for row in rows], np.uint16))
        self._lengths.extend(lengths)
        self._titles.extend(np.array([row.title for row in rows], np.uint64))
        self._count(words, 1)
        self._reserve_terms()
        postings = self._postings_of(rows, words)
        np.add.at(self._document_frequencies, (postings.fields, postings.terms), 1)
        self._total_lengths += lengths.sum(axis=0)
        self._n_live += len(rows)
        entries = Entries(
            slots=(first_slot + postings.documents).astype(np.int32),
            fields=postings.fields.astype(np.uint8),
            frequencies=np.minimum(postings.frequencies, MAX_FREQUENCY).astype(np.uint8),
            lengths=np.minimum(lengths[postings.documents, postings.fields], MAX_LENGTH).astype(np.uint16),
        )
        return postings.terms, entries

    def _new_entries(self, analyses: Sequence[Analysis]) -> _SlotEntries:
        """Return the entries of a document, and add its words to the lexicon."""
        words: list[int] = []
        fields: list[int] = []
        positions: list[int] = []
        for field, analysis in enumerate(analyses):
            words += [self._lexicon.add(word) for word in analysis.words]
            words += [self._lexicon.add(compound.text) for compound in analysis.compounds]
            positions += [*range(len(analysis.words)), *(compound.start for compound in analysis.compounds)]
            fields += [field] * (len(words) - len(fields))
        return _SlotEntries(
            words=np.array(words, np.int32),
            fields=np.array(fields, np.uint8),
            positions=np.minimum(np.array(positions, np.int64), MAX_POSITION).astype(np.uint16),
            lengths=[len(analysis.words) for analysis in analyses],
            title=words_hash(analyses[self._title].words),
        )

    def _stored_entries(self, slot: int) -> _SlotEntries:
        start, end = self._starts.view()[slot : slot + 2]
        return _SlotEntries(
            words=self._words.view()[start:end],
            fields=self._fields.view()[start:end],
            positions=self._positions.view()[start:end],
            lengths=self._lengths.view()[slot].tolist(),
            title=self._titles.view().item(slot),
        )

    def _postings_of(self, rows: Sequence[_SlotEntries], words: AnyArray) -> _Postings:
        """Return the postings of some rows. words: (n,) of all of them, one after another"""
        shape = len(rows), self._n_fields, max(self._lexicon.n_terms, 1)
        row_of = np.repeat(np.arange(len(rows)), [len(row.words) for row in rows])
        field_of = _joined([row.fields for row in rows], np.uint8)
        places = np.ravel_multi_index((row_of, field_of, self._lexicon.terms_of(words)), shape)
        distinct, frequencies = np.unique(places, return_counts=True)
        documents, fields, terms = np.unravel_index(distinct, shape)
        return _Postings(documents, fields, terms, frequencies)

    def _count(self, words: AnyArray, change: int) -> None:
        """Add to the count of each word. change: 1 or -1"""
        counts = np.zeros(max(len(self._lexicon.words), len(self._word_counts)), np.int64)
        counts[: len(self._word_counts)] = self._word_counts
        np.add.at(counts, words, change)
        self._word_counts = counts

    def remove(self, slots: Sequence[int]) -> None:
        """Subtract live slots from the statistics. Their rows stay."""
        rows = [self._stored_entries(slot) for slot in slots]
        words = _joined([row.words for row in rows], np.int32)
        self._count(words, -1)
        postings = self._postings_of(rows, words)
        np.subtract.at(self._document_frequencies, (postings.fields, postings.terms), 1)
        self._total_lengths -= self._lengths.view()[np.array(slots, np.int64)].sum(axis=0)
        self._n_live -= len(rows)

    def view(self) -> ForwardView:
        """Return what searches read."""
        frequencies = self._document_frequencies[:, : self._lexicon.n_terms].copy()
        average_lengths = self._total_lengths / max(self._n_live, 1)
        return ForwardView(
            lexicon=self._lexicon.view(frequencies, self._word_counts > 0),
            arrays=self._arrays(),
            document_frequencies=frequencies,
            title=self._title,
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


def _joined(rows: Sequence[AnyArray], kind: type[np.generic]) -> AnyArray:
    return np.concatenate([np.empty(0, kind), *rows])
