"""The forward index: for each slot its terms, fields, frequencies and lengths; and BM25 per field from it.

Document frequencies and average lengths count live documents only, so scores do not depend on tombstones or merges.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from searchsvc.arrays import AnyArray, FloatArray, IntArray
from searchsvc.embedded.columns import Column

K1: Final = 1.2
B: Final = 0.75
MAX_FREQUENCY: Final = 65_535


class ForwardIndex:
    """The writer's side. Fields are columns 0 to n_fields - 1, as in the index settings."""

    def __init__(self, n_fields: int, stored: StoredForward | None = None) -> None:
        self.n_fields = n_fields
        if stored is None:
            stored = StoredForward.empty(n_fields)
        self._vocabulary: dict[str, int] = {term: i for i, term in enumerate(stored.terms)}
        self._starts = Column(np.int64, rows=stored.starts)
        self._terms = Column(np.int32, rows=stored.entry_terms)
        self._fields = Column(np.uint8, rows=stored.entry_fields)
        self._frequencies = Column(np.uint16, rows=stored.entry_frequencies)
        self._lengths = Column(np.int32, n_fields, rows=stored.lengths)
        self._document_frequencies = np.array(stored.document_frequencies)
        self._total_lengths = np.array(stored.total_lengths)
        self._n_live = stored.n_live

    def add(self, fields: Sequence[Sequence[str]]) -> int:
        """Append one document, its analysed terms by field, and return its slot."""
        terms: list[int] = []
        columns: list[int] = []
        frequencies: list[int] = []
        for column, words in enumerate(fields):
            for word, frequency in Counter(words).items():
                terms.append(self._vocabulary.setdefault(word, len(self._vocabulary)))
                columns.append(column)
                frequencies.append(min(frequency, MAX_FREQUENCY))
        if len(self._vocabulary) > self._document_frequencies.shape[1]:
            grown = np.zeros((self.n_fields, 2 * len(self._vocabulary)), np.int32)
            grown[:, : self._document_frequencies.shape[1]] = self._document_frequencies
            self._document_frequencies = grown
        lengths = np.array([[len(words) for words in fields]], np.int32)
        self._terms.extend(np.array(terms, np.int32))
        self._fields.extend(np.array(columns, np.uint8))
        self._frequencies.extend(np.array(frequencies, np.uint16))
        self._lengths.extend(lengths)
        self._starts.extend(np.array([len(self._terms)], np.int64))
        self._document_frequencies[columns, terms] += 1
        self._total_lengths += lengths[0]
        self._n_live += 1
        return len(self._lengths) - 1

    def remove(self, slot: int) -> None:
        """Take one live slot out of the statistics. Its rows stay, unseen."""
        start, end = self._starts.view()[slot : slot + 2]
        self._document_frequencies[self._fields.view()[start:end], self._terms.view()[start:end]] -= 1
        self._total_lengths -= self._lengths.view()[slot]
        self._n_live -= 1

    def view(self) -> ForwardView:
        n_terms = len(self._vocabulary)
        return ForwardView(
            vocabulary=self._vocabulary,
            starts=self._starts.view(),
            entry_terms=self._terms.view(),
            entry_fields=self._fields.view(),
            entry_frequencies=self._frequencies.view(),
            lengths=self._lengths.view(),
            document_frequencies=self._document_frequencies[:, :n_terms].copy(),
            average_lengths=self._total_lengths / max(self._n_live, 1),
            n_live=self._n_live,
        )

    def store(self) -> StoredForward:
        """All of it as plain arrays, for a snapshot on disk."""
        n_terms = len(self._vocabulary)
        return StoredForward(
            terms=list(self._vocabulary),
            starts=self._starts.view(),
            entry_terms=self._terms.view(),
            entry_fields=self._fields.view(),
            entry_frequencies=self._frequencies.view(),
            lengths=self._lengths.view(),
            document_frequencies=self._document_frequencies[:, :n_terms].copy(),
            total_lengths=self._total_lengths.copy(),
            n_live=self._n_live,
        )


class StoredForward(msgspec.Struct, frozen=True):
    """A forward index as arrays.

    terms: term id -> term. starts: (n_slots + 1,) where each slot's entries begin. entry_*: one row per (slot, field,
    term). lengths: (n_slots, n_fields). document_frequencies: (n_fields, n_terms). total_lengths: (n_fields,).
    """

    terms: list[str]
    starts: AnyArray
    entry_terms: AnyArray
    entry_fields: AnyArray
    entry_frequencies: AnyArray
    lengths: AnyArray
    document_frequencies: AnyArray
    total_lengths: AnyArray
    n_live: int

    @staticmethod
    def empty(n_fields: int) -> StoredForward:
        return StoredForward(
            terms=[],
            starts=np.zeros(1, np.int64),
            entry_terms=np.empty(0, np.int32),
            entry_fields=np.empty(0, np.uint8),
            entry_frequencies=np.empty(0, np.uint16),
            lengths=np.empty((0, n_fields), np.int32),
            document_frequencies=np.zeros((n_fields, 0), np.int32),
            total_lengths=np.zeros(n_fields, np.int64),
            n_live=0,
        )


class ForwardView(msgspec.Struct, frozen=True):
    """The reader's side: immutable, at one commit. Shapes as in `StoredForward`; average_lengths: (n_fields,)."""

    vocabulary: Mapping[str, int]
    starts: AnyArray
    entry_terms: AnyArray
    entry_fields: AnyArray
    entry_frequencies: AnyArray
    lengths: AnyArray
    document_frequencies: AnyArray
    average_lengths: AnyArray
    n_live: int

    def held(self, terms: Sequence[str]) -> list[tuple[str, int]]:
        """Each (term, field) that a live document holds: the others cost a search time and find nothing."""
        n_terms = self.document_frequencies.shape[1]
        known = {word: term for word in terms if (term := self.vocabulary.get(word, n_terms)) < n_terms}
        frequencies = self.document_frequencies[:, list(known.values())].T.tolist()
        return [(word, i) for word, row in zip(known, frequencies, strict=True) for i, n in enumerate(row) if n]

    def bm25(self, slots: IntArray, terms: Sequence[str]) -> FloatArray:
        """BM25 of each slot and field as a share of the query's ceiling; see `tuning.features`.

        slots: (n,) live slots. terms: distinct analysed query terms; unknown ones earn nothing and cost nothing.
        Returns (n, n_fields), at least 0.
        Source: Robertson & Zaragoza 2009, eq. 3.15, with Lucene's idf log(1 + (N - df + .5) / (df + .5)).
        """
        n_fields = self.lengths.shape[1]
        scores = np.zeros((len(slots), n_fields), np.float32)
        n_terms = self.document_frequencies.shape[1]
        known = [term for word in terms if (term := self.vocabulary.get(word, n_terms)) < n_terms]
        if not known or not len(slots):
            return scores
        frequencies = self.document_frequencies[:, known]
        idf = inverse_document_frequency(frequencies, self.n_live)
        most = frequencies.max(axis=0)
        ceiling = (K1 + 1.0) * inverse_document_frequency(most[most > 0], self.n_live).sum()
        if ceiling <= 0.0:
            return scores

        position = np.full(n_terms, -1, np.int8)
        position[known] = np.arange(len(known), dtype=np.int8)
        entries, owners = _entries_of(slots, self.starts)
        asked = position[self.entry_terms[entries]]
        hit = np.flatnonzero(asked >= 0)
        entries, owners, asked = entries[hit], owners[hit], asked[hit]

        fields = self.entry_fields[entries]
        frequency = self.entry_frequencies[entries].astype(np.float64)
        relative_length = self.lengths[slots[owners], fields] / np.maximum(self.average_lengths, 1e-9)[fields]
        saturated = frequency * (K1 + 1.0) / (frequency + K1 * (1.0 - B + B * relative_length))
        earned = idf[fields, asked] * saturated / ceiling
        sums = np.bincount(owners * n_fields + fields, weights=earned, minlength=scores.size)
        return sums.reshape(scores.shape).astype(np.float32)


def inverse_document_frequency(document_frequencies: AnyArray, n_documents: int) -> AnyArray:
    """How much a term tells: log(1 + (N - df + .5) / (df + .5)), above 0. Same shape as its input."""
    idf: AnyArray = np.log1p((n_documents - document_frequencies + 0.5) / (document_frequencies + 0.5))
    return idf


def _entries_of(slots: IntArray, starts: AnyArray) -> tuple[AnyArray, AnyArray]:
    """Positions of all entries of the slots, and for each the index into `slots` that owns it."""
    begin = starts[slots]
    counts = starts[slots + 1] - begin
    owners = np.repeat(np.arange(len(slots)), counts)
    before = np.cumsum(counts) - counts
    return np.arange(counts.sum()) + np.repeat(begin - before, counts), owners
