"""The forward index: what each slot's fields say, word by word; and what of a query is found there.

It answers for candidates only, so it costs the same in a large index and a small one. Document frequencies and average
lengths count live documents only, so scores do not depend on tombstones or merges.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from searchsvc.analysis.analyzer import Analysis
from searchsvc.analysis.query import Query
from searchsvc.engines.columnar.columns import Column
from searchsvc.engines.columnar.lexicon import Lexicon, LexiconView, StoredLexicon
from searchsvc.engines.columnar.statistics import K1, B, QueryStatistics, statistics_of, words_hash
from searchsvc.engines.embedded import kernels
from searchsvc.engines.embedded.postings import MAX_FREQUENCY, MAX_LENGTH, Entries
from searchsvc.engines.retrieval import TextFeatures
from tuning.arrays import AnyArray, IntArray, ScoreArray

MAX_POSITION: Final = 65_535
# Words of a query further apart than this do not belong together.
WINDOW: Final = 8


class StoredForward(msgspec.Struct, frozen=True):
    """A forward index as arrays.

    starts: (n_slots + 1,) where each slot's entries begin. entry_*: one row per word and
    compound of a slot, by field and position. lengths: (n_slots, n_fields) in words. titles: (n_slots,) hash of the
    title's words. word_counts: (n_words,) how often live documents hold each. document_frequencies: (n_fields,
    n_terms). total_lengths: (n_fields,).
    """

    lexicon: StoredLexicon
    starts: AnyArray
    entry_words: AnyArray
    entry_fields: AnyArray
    entry_positions: AnyArray
    lengths: AnyArray
    titles: AnyArray
    word_counts: AnyArray
    document_frequencies: AnyArray
    total_lengths: AnyArray
    n_live: int

    @staticmethod
    def empty(n_fields: int) -> StoredForward:
        return StoredForward(
            lexicon=StoredLexicon.empty(),
            starts=np.zeros(1, np.int64),
            entry_words=np.empty(0, np.int32),
            entry_fields=np.empty(0, np.uint8),
            entry_positions=np.empty(0, np.uint16),
            lengths=np.empty((0, n_fields), np.int32),
            titles=np.empty(0, np.uint64),
            word_counts=np.zeros(0, np.int64),
            document_frequencies=np.zeros((n_fields, 0), np.int32),
            total_lengths=np.zeros(n_fields, np.int64),
            n_live=0,
        )


class ForwardIndex:
    """The writer's side. Fields are columns 0 to n_fields - 1, as in the index settings; title: that of the title."""

    def __init__(self, n_fields: int, title: int, stored: StoredForward | None = None) -> None:
        self.n_fields = n_fields
        self._title = title
        if stored is None:
            stored = StoredForward.empty(n_fields)
        self.lexicon = Lexicon(stored.lexicon)
        self._starts = Column(np.int64, rows=stored.starts)
        self._words = Column(np.int32, rows=stored.entry_words)
        self._fields = Column(np.uint8, rows=stored.entry_fields)
        self._positions = Column(np.uint16, rows=stored.entry_positions)
        self._lengths = Column(np.int32, n_fields, rows=stored.lengths)
        self._titles = Column(np.uint64, rows=stored.titles)
        self._word_counts = np.array(stored.word_counts)
        self._document_frequencies = np.array(stored.document_frequencies)
        self._total_lengths = np.array(stored.total_lengths)
        self._n_live = stored.n_live

    def add(self, documents: Sequence[Sequence[Analysis]]) -> tuple[AnyArray, Entries]:
        """Append documents, each its analysed fields, as the next slots; return their postings: terms, entries."""
        first = len(self._lengths)
        words: list[int] = []
        fields: list[int] = []
        positions: list[int] = []
        ends: list[int] = []
        postings: list[tuple[int, int, int, int, int]] = []
        for slot, analyses in enumerate(documents, start=first):
            for column, analysis in enumerate(analyses):
                numbers = [self.lexicon.add(word) for word in analysis.words]
                numbers += [self.lexicon.add(compound.text) for compound in analysis.compounds]
                places = [*range(len(analysis.words)), *(compound.start for compound in analysis.compounds)]
                words += numbers
                positions += places
                fields += [column] * len(numbers)
                length = min(len(analysis.words), MAX_LENGTH)
                for term, n in Counter(self.lexicon.term_of_word(number) for number in numbers).items():
                    postings.append((term, slot, column, min(n, MAX_FREQUENCY), length))
            ends.append(len(words))
        lengths = np.array([[len(analysis.words) for analysis in analyses] for analyses in documents], np.int32)
        self._starts.extend(len(self._words) + np.array(ends, np.int64))
        self._words.extend(np.array(words, np.int32))
        counted = np.bincount(np.array(words, np.int64), minlength=max(len(self.lexicon.words), len(self._word_counts)))
        counted[: len(self._word_counts)] += self._word_counts
        self._word_counts = counted
        self._fields.extend(np.array(fields, np.uint8))
        self._positions.extend(np.minimum(np.array(positions, np.int64), MAX_POSITION).astype(np.uint16))
        self._lengths.extend(lengths.reshape(len(documents), self.n_fields))
        self._titles.extend(np.array([words_hash(fields[self._title].words) for fields in documents], np.uint64))
        self.lexicon.settle()
        self._grow()
        table = np.array(postings, np.int64).reshape(-1, 5)
        np.add.at(self._document_frequencies, (table[:, 2], table[:, 0]), 1)
        self._total_lengths += lengths.sum(axis=0)
        self._n_live += len(documents)
        entries = Entries(
            table[:, 1].astype(np.int32),
            table[:, 2].astype(np.uint8),
            table[:, 3].astype(np.uint8),
            table[:, 4].astype(np.uint16),
        )
        return table[:, 0], entries

    def remove(self, slot: int) -> None:
        """Take one live slot out of the statistics. Its rows stay, unseen."""
        start, end = self._starts.view()[slot : slot + 2]
        words = self._words.view()[start:end]
        np.subtract.at(self._word_counts, words, 1)
        terms = self.lexicon.terms_of(words)
        held = np.unique(np.stack([self._fields.view()[start:end].astype(np.int64), terms]), axis=1)
        self._document_frequencies[held[0], held[1]] -= 1
        self._total_lengths -= self._lengths.view()[slot]
        self._n_live -= 1

    def view(self) -> ForwardView:
        frequencies = self._document_frequencies[:, : self.lexicon.n_terms].copy()
        return ForwardView(
            lexicon=self.lexicon.view(frequencies, self._word_counts > 0),
            starts=self._starts.view(),
            entry_words=self._words.view(),
            entry_fields=self._fields.view(),
            entry_positions=self._positions.view(),
            lengths=self._lengths.view(),
            titles=self._titles.view(),
            document_frequencies=frequencies,
            slope=K1 * B / np.maximum(self._total_lengths / max(self._n_live, 1), 1e-9),
            n_live=self._n_live,
        )

    def store(self) -> StoredForward:
        """All of it as plain arrays, for a snapshot on disk."""
        return StoredForward(
            lexicon=self.lexicon.store(),
            starts=self._starts.view(),
            entry_words=self._words.view(),
            entry_fields=self._fields.view(),
            entry_positions=self._positions.view(),
            lengths=self._lengths.view(),
            titles=self._titles.view(),
            word_counts=self._word_counts.copy(),
            document_frequencies=self._document_frequencies[:, : self.lexicon.n_terms].copy(),
            total_lengths=self._total_lengths.copy(),
            n_live=self._n_live,
        )

    def _grow(self) -> None:
        n_columns = self._document_frequencies.shape[1]
        if self.lexicon.n_terms > n_columns:
            grown = np.zeros((self.n_fields, 2 * self.lexicon.n_terms), np.int32)
            grown[:, :n_columns] = self._document_frequencies
            self._document_frequencies = grown


class ForwardView(msgspec.Struct, frozen=True):
    """The reader's side: immutable, at one commit. Shapes as in `StoredForward`. slope: (n_fields,) how fast a
    longer text counts for less: see `kernels.add_scores`."""

    lexicon: LexiconView
    starts: AnyArray
    entry_words: AnyArray
    entry_fields: AnyArray
    entry_positions: AnyArray
    lengths: AnyArray
    titles: AnyArray
    document_frequencies: AnyArray
    slope: ScoreArray
    n_live: int

    def statistics(self, query: Query) -> QueryStatistics:
        """How much each term of a query tells in each field."""
        return statistics_of(query, self.lexicon, self.document_frequencies, self.n_live)

    def wanted(self, query: Query, statistics: QueryStatistics) -> Wanted | None:
        """statistics: of the query. None where no document holds anything of it."""
        if statistics.ceiling <= 0.0:
            return None
        meanings = statistics.meanings
        found = sorted((word, one.place, one.weight) for one in meanings for word in self.lexicon.word_ids(one.term))
        first = [at for at, (word, _, _) in enumerate(found) if not at or word != found[at - 1][0]]
        known, share = statistics.known.tolist(), (K1 + 1.0) / statistics.ceiling
        needed = [known[place] and not term.optional for place, term in enumerate(query.terms)]
        return Wanted(
            words=np.array([found[at][0] for at in first], np.int32),
            meanings=np.array([*first, len(found)], np.int64),
            places=np.array([place for _, place, _ in found], np.int64),
            weights=np.array([weight for _, _, weight in found], np.float64),
            title=words_hash(query.words),
            factors=statistics.idf * share,
            telling=statistics.most_telling * share,
            needed=np.array(needed, np.int64),
            n_words=np.array([term.n_words for term in query.terms], np.int64),
        )

    def features(self, slots: IntArray, wanted: Wanted | None) -> TextFeatures:
        """What of a query each slot holds. slots: (n,) live."""
        n, n_fields = len(slots), self.lengths.shape[1]
        if not n or wanted is None:
            return TextFeatures.zeros(n, n_fields)
        text = np.empty((n, n_fields + 5), np.float32)
        kernels.describe(
            slots,
            self.starts,
            self.entry_words,
            self.entry_fields,
            self.entry_positions,
            wanted.words,
            wanted.meanings,
            wanted.places,
            wanted.weights,
            self.lengths,
            self.titles,
            wanted.title,
            self.slope,
            K1 * (1.0 - B),
            wanted.factors,
            wanted.telling,
            wanted.needed,
            wanted.n_words,
            WINDOW,
            text,
        )
        return TextFeatures(text[:, :n_fields], *text[:, n_fields:].T)


class Wanted(msgspec.Struct, frozen=True):
    """What documents are looked through for, for a query: as `kernels.describe` takes it. words: wanted there. places,
    weights: of their meanings."""

    words: AnyArray
    meanings: AnyArray
    places: AnyArray
    weights: ScoreArray
    title: int
    factors: ScoreArray
    telling: ScoreArray
    needed: AnyArray
    n_words: AnyArray
