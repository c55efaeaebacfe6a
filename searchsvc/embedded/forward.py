"""The forward index: what each slot's fields say, word by word; and what of a query is found there.

It answers for candidates only, so it costs the same in a large index and a small one. Document frequencies and average
lengths count live documents only, so scores do not depend on tombstones or merges.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from searchsvc.analysis import Analysis
from searchsvc.arrays import AnyArray, FloatArray, IntArray, ScoreArray
from searchsvc.embedded.columns import Column
from searchsvc.embedded.lexicon import Lexicon, LexiconView
from searchsvc.embedded.postings import MAX_FREQUENCY, MAX_LENGTH, Entries
from searchsvc.engine import TextFeatures
from searchsvc.query import Query

K1: Final = 1.2
B: Final = 0.75
MAX_POSITION: Final = 65_535
# Words of a query further apart than this do not belong together.
WINDOW: Final = 8


class StoredForward(msgspec.Struct, frozen=True):
    """A forward index as arrays.

    words: word number -> word. starts: (n_slots + 1,) where each slot's entries begin. entry_*: one row per word and
    compound of a slot, by field and position. lengths: (n_slots, n_fields) in words. titles: (n_slots,) hash of the
    title's words. word_counts: (n_words,) how often live documents hold each. document_frequencies: (n_fields,
    n_terms). total_lengths: (n_fields,).
    """

    words: list[str]
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
            words=[],
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
        self.lexicon = Lexicon(stored.words)
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
            average_lengths=self._total_lengths / max(self._n_live, 1),
            n_live=self._n_live,
        )

    def store(self) -> StoredForward:
        """All of it as plain arrays, for a snapshot on disk."""
        return StoredForward(
            words=self.lexicon.words,
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
    """The reader's side: immutable, at one commit. Shapes as in `StoredForward`; average_lengths: (n_fields,)."""

    lexicon: LexiconView
    starts: AnyArray
    entry_words: AnyArray
    entry_fields: AnyArray
    entry_positions: AnyArray
    lengths: AnyArray
    titles: AnyArray
    document_frequencies: AnyArray
    average_lengths: AnyArray
    n_live: int

    def statistics(self, query: Query) -> QueryStatistics:
        """How much each term of a query tells in each field.

        A term is as frequent as its most frequent alternative. Source of the idf: Robertson & Zaragoza 2009, with
        Lucene's log(1 + (N - df + .5) / (df + .5)).
        """
        n_fields = self.document_frequencies.shape[0]
        meanings = self.lexicon.meanings(query)
        places, terms = [one.place for one in meanings], [one.term for one in meanings]
        frequencies = np.zeros((len(query.terms), n_fields), np.int32)
        np.maximum.at(frequencies, places, self.document_frequencies[:, terms].T)
        most = frequencies.max(axis=1, initial=0)
        known = most > 0
        idf = np.where(frequencies, inverse_document_frequency(frequencies, self.n_live), 0.0)
        most_telling = np.where(known, inverse_document_frequency(most, self.n_live), 0.0)
        return QueryStatistics(idf, known, most_telling, (K1 + 1.0) * float(most_telling.sum()))

    def features(self, slots: IntArray, query: Query, statistics: QueryStatistics) -> TextFeatures:
        """What of a query each slot holds. slots: (n,) live. statistics: of the query."""
        n, n_fields = len(slots), self.lengths.shape[1]
        terms = query.terms
        if not n or statistics.ceiling <= 0.0:
            return TextFeatures.none(n, n_fields)
        owners, entries, places, weights = self._found(slots, query)
        n_terms = len(terms)
        fields = self.entry_fields[entries].astype(np.int64)
        lengths = self.lengths[slots]
        frequency = np.bincount(
            (owners * n_fields + fields) * n_terms + places, weights=weights, minlength=n * n_fields * n_terms
        ).reshape(n, n_fields, n_terms)
        norm = K1 * (1.0 - B + B * lengths / np.maximum(self.average_lengths, 1e-9))
        saturated = frequency / (frequency + norm[:, :, None])
        bm25 = np.einsum("nft,tf->nf", saturated, statistics.idf * ((K1 + 1.0) / statistics.ceiling))
        held = np.bincount(owners * n_terms + places, minlength=n * n_terms).reshape(n, n_terms) > 0
        needed = statistics.known & ~np.array([term.optional for term in terms])
        n_needed = int(np.count_nonzero(needed))
        telling = statistics.most_telling * ((K1 + 1.0) / statistics.ceiling)
        positions = self.entry_positions[entries].astype(np.int64)
        n_words = np.array([term.n_words for term in terms], np.int64)
        phrase, proximity = _closeness(owners, fields, positions, places, n, n_words)
        return TextFeatures(
            bm25=bm25.astype(np.float32),
            exact_title=(self.titles[slots] == np.uint64(words_hash(query.words))).astype(np.float32),
            all_terms=(np.einsum("nt,t->n", held, needed.astype(np.int64)) == max(n_needed, 1)).astype(np.float32),
            coverage=np.einsum("nt,t->n", held, telling).astype(np.float32),
            phrase=phrase,
            proximity=proximity,
        )

    def _found(self, slots: IntArray, query: Query) -> tuple[AnyArray, AnyArray, AnyArray, AnyArray]:
        """Each place where a slot holds a term of the query: owners (indices into slots), entries, places (of the term
        in the query), weights. All (n_found,), by owner, field and position."""
        wanted: dict[int, list[tuple[int, float]]] = {}
        for one in self.lexicon.meanings(query):
            for word in self.lexicon.word_ids(one.term):
                wanted.setdefault(word, []).append((one.place, one.weight))
        code_of = np.full(self.lexicon.n_words, -1, np.int16)
        codes = list(wanted.values())
        code_of[list(wanted)] = np.arange(len(codes), dtype=np.int16)
        begin, end = self.starts[slots], self.starts[slots + 1]
        parts = [self.entry_words[b:e] for b, e in zip(begin.tolist(), end.tolist(), strict=True)]
        found = code_of[np.concatenate(parts)]
        hits = np.flatnonzero(found >= 0)
        code = found[hits]
        before = np.append(0, np.cumsum(end - begin))
        owners = np.searchsorted(before, hits, side="right") - 1
        entries = hits - before[owners] + begin[owners]
        n_each = np.array([len(one) for one in codes], np.int64)
        if n_each.max(initial=1) > 1:
            # A word that stands for several terms (a compound) is found once for each.
            repeats = n_each[code]
            nth = np.arange(repeats.sum()) - np.repeat(np.cumsum(repeats) - repeats, repeats)
            owners, entries, code = np.repeat(owners, repeats), np.repeat(entries, repeats), np.repeat(code, repeats)
            flat = (np.cumsum(n_each) - n_each)[code] + nth
        else:
            flat = code
        meanings = [meaning for one in codes for meaning in one]
        places = np.array([meaning[0] for meaning in meanings], np.int64)[flat]
        weights = np.array([meaning[1] for meaning in meanings], np.float64)[flat]
        return owners, entries, places, weights


class QueryStatistics(msgspec.Struct, frozen=True):
    """idf: (n_terms, n_fields), 0 where a field never holds the term. known: (n_terms,) whether any field does.

    most_telling: (n_terms,) the idf in the field that holds it most often, 0 where none does. ceiling: the largest BM25
    that the query could earn in one field.
    """

    idf: ScoreArray
    known: AnyArray
    most_telling: ScoreArray
    ceiling: float

    @staticmethod
    def none() -> QueryStatistics:
        return QueryStatistics(np.zeros((0, 0)), np.zeros(0, np.bool_), np.zeros(0), 0.0)


def words_hash(words: Sequence[str]) -> int:
    """64 bits that tell one row of words from another; 0 for none."""
    joined = "\x1f".join(words).encode()
    return int.from_bytes(hashlib.blake2b(joined, digest_size=8).digest(), "little") if joined else 0


def inverse_document_frequency(document_frequencies: AnyArray, n_documents: int) -> AnyArray:
    """How much a term tells: log(1 + (N - df + .5) / (df + .5)), above 0. Same shape as its input."""
    idf: AnyArray = np.log1p((n_documents - document_frequencies + 0.5) / (document_frequencies + 0.5))
    return idf


def _closeness(
    owners: AnyArray, fields: AnyArray, positions: AnyArray, places: AnyArray, n: int, n_words: AnyArray
) -> tuple[FloatArray, FloatArray]:
    """(n,) phrase: share of the query's neighbouring terms that stand side by side, in order, in one field.
    (n,) proximity: the same where they stand within `WINDOW` words in any order, nearer ones counting more.

    n_words: (n_terms,) how many words each term is made of."""
    n_terms = len(n_words)
    if n_terms < 2 or len(owners) < 2:
        return np.zeros(n, np.float32), np.zeros(n, np.float32)
    # Entries are in order, so neighbours in the text are neighbours here, or nearly so where words repeat.
    pairs: list[AnyArray] = []
    for step in (1, 2):
        one, other = slice(None, -step), slice(step, None)
        ahead = places[other] - places[one]
        paired = np.flatnonzero(np.abs(ahead) == 1)
        later = paired + step
        gap = np.abs(positions[later] - positions[paired])
        same = (owners[later] == owners[paired]) & (fields[later] == fields[paired]) & (gap >= 1) & (gap <= WINDOW)
        paired, later, gap = paired[same], later[same], gap[same]
        pair = np.minimum(places[paired], places[later])
        in_order = (positions[later] - positions[paired]) * ahead[paired] == n_words[pair]
        pairs.append(np.stack([owners[paired] * (n_terms - 1) + pair, gap, in_order]))
    pair, gap, in_order = np.concatenate(pairs, axis=1)
    n_pairs = n * (n_terms - 1)
    phrase = np.bincount(pair[in_order > 0], minlength=n_pairs).reshape(n, -1) > 0
    # The nearest of several: written last, having come in the order of falling gaps.
    near = np.zeros(n_pairs)
    falling = np.argsort(-gap, kind="stable")
    near[pair[falling]] = 1.0 / gap[falling]
    share = np.full(n_terms - 1, 1.0 / (n_terms - 1))
    return (
        np.einsum("np,p->n", phrase, share).astype(np.float32),
        np.einsum("np,p->n", near.reshape(n, -1), share).astype(np.float32),
    )
