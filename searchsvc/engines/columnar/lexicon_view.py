"""Look up words and terms of one snapshot: by stem, by likeness and by beginning."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Final, NamedTuple

import msgspec
import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import OSA

from searchsvc.analysis.languages import DEFAULT, Languages
from searchsvc.analysis.lexicon import MAX_ENDING, MIN_PART, SimilarWord, ends_with, nearest_first
from searchsvc.analysis.query import Query
from searchsvc.engines.columnar import kernels
from searchsvc.engines.columnar.texts import Texts
from searchsvc.engines.columnar.word_keys import BEGINNING_BYTES, beginning, signature
from tuning.arrays import AnyArray, BoolArray

# Stems whose terms a view remembers.
MAX_CACHED_STEMS: Final = 20_000


class IndexedAlternative(NamedTuple):
    """A term of the index that stands for a term of the query.

    position: of the query term
    term: number of the term in the index
    weight: of the alternative, (0, 1]
    """

    position: int
    term: int
    weight: float


class WordsByTerm(msgspec.Struct, frozen=True):
    """Word numbers grouped by term: those of a term are words[starts[term] : starts[term + 1]]."""

    words: AnyArray
    starts: AnyArray

    @staticmethod
    def from_terms(term_of: AnyArray) -> WordsByTerm:
        """Group the words 0 to n - 1. term_of: (n,)."""
        counts = np.bincount(term_of) if len(term_of) else np.zeros(0, np.int64)
        return WordsByTerm(np.argsort(term_of, kind="stable").astype(np.int32), np.append(0, np.cumsum(counts)))


class LexiconColumns(msgspec.Struct, frozen=True):
    """What a view reads: see `lexicon.StoredLexicon`. The writer may be ahead in what is not an array.

    by_term: words up to the last sorting, by term
    added_by_term: words added since, by term
    """

    words: Texts
    stems: Mapping[str, int]
    by_term: WordsByTerm
    added_by_term: Mapping[int, Sequence[int]]
    term_of: AnyArray
    signatures: AnyArray
    beginnings: AnyArray
    lengths: AnyArray
    in_order: AnyArray


class LexiconView:
    """The reader's side: a `searchsvc.analysis.lexicon.Lexicon` of one snapshot. It contains only live words.

    document_frequencies: (n_fields, n_terms) of live documents
    live: (n_words,) which words live documents contain
    languages: of the index
    """

    def __init__(
        self, columns: LexiconColumns, document_frequencies: AnyArray, live: BoolArray, languages: Languages = DEFAULT
    ) -> None:
        self.languages = languages
        self._columns = columns
        self._frequencies = document_frequencies
        self._live = live
        self._cached_terms: dict[str, int | None] = {}
        self._cached_counts: dict[str, int] = {}
        self._n_words = len(columns.term_of)
        self._n_terms = document_frequencies.shape[1]

    def count(self, term: str) -> int:
        """Return how many live documents contain a stem, in the field that contains it most often."""
        count = self._cached_counts.get(term)
        if count is None:
            number = self.term(term)
            count = int(self._frequencies[:, number].max()) if number is not None else 0
            self._cached_counts[term] = count
        return count

    def similar(self, word: str, max_edits: int) -> list[SimilarWord]:
        """Return the words within a number of edits, nearest first, then the most frequent.

        Words are also compared by their stems: labtop is one edit from laptops.
        """
        if not self._n_words:
            return []
        stemmed = self.languages.stem(word)
        direct = self._similar(word, max_edits, is_stem=stemmed == word)
        if any(similar.edits <= 1 for similar in direct):
            return nearest_first(direct, ())
        by_stem = self._of_similar_stems(stemmed, max_edits)
        if stemmed != word:
            by_stem += self._similar(stemmed, max_edits, is_stem=True)
        return nearest_first(direct, by_stem)

    def _similar(self, word: str, max_edits: int, *, is_stem: bool) -> list[SimilarWord]:
        """Return the words within a number of edits. is_stem: also those of a stem that no document has as a word"""
        columns = self._columns
        mask = self._counts[columns.term_of] > 0 if is_stem else self._live
        n_different = np.bitwise_count(columns.signatures ^ np.uint64(signature(word)))
        lengths = columns.lengths.view(np.int8)
        near = (n_different <= 2 * max_edits) & (np.abs(lengths - len(word)) <= max_edits) & mask
        numbers = np.flatnonzero(near).tolist()
        choices = [columns.words[number] for number in numbers]
        matches = process.extract(word, choices, scorer=OSA.distance, score_cutoff=max_edits, limit=None)
        similar: list[SimilarWord] = []
        for choice, edits, i in matches:
            if self._live[numbers[i]]:
                similar.append(SimilarWord(choice, int(edits), self._count(numbers[i])))
            elif self.languages.stem(choice) == choice:
                similar += self._of_term(int(columns.term_of[numbers[i]]), int(edits))
        return similar

    def _of_similar_stems(self, stemmed: str, max_edits: int) -> list[SimilarWord]:
        """Return the words of stems that are within a number of edits of another, and are no words themselves."""
        stems = self._columns.stems
        matches = process.extract(stemmed, list(stems), scorer=OSA.distance, score_cutoff=max_edits, limit=None)
        return [
            similar
            for stem, edits, _ in matches
            if not self._is_word(stem)
            for similar in self._of_term(stems[stem], int(edits))
        ]

    def _of_term(self, term: int, edits: int) -> list[SimilarWord]:
        numbers = self.word_numbers(term) if term < self._n_terms else []
        return [SimilarWord(self._columns.words[n], edits, self._count(n)) for n in numbers if self._live[n]]

    def _is_word(self, text: str) -> bool:
        number = self._columns.words.number(text)
        return number is not None and number < self._n_words and bool(self._live[number])

    def completions(self, prefix: str, n: int) -> list[SimilarWord]:
        """Return the n most frequent longer words that begin with a prefix."""
        columns = self._columns
        low, high = beginning(prefix), beginning(prefix, last=True)
        n_sorted = len(columns.in_order)
        start = bisect_left(columns.in_order, low, key=columns.beginnings.item)
        end = bisect_right(columns.in_order, high, key=columns.beginnings.item)
        added = columns.beginnings[n_sorted:]
        unsorted = np.flatnonzero((added >= np.uint64(low)) & (added <= np.uint64(high))) + n_sorted
        numbers = np.concatenate([columns.in_order[start:end], unsorted])
        numbers = numbers[self._live[numbers] & (numbers != columns.words.number(prefix))]
        if len(prefix.encode()) > BEGINNING_BYTES:
            longer = [number for number in numbers.tolist() if columns.words[number].startswith(prefix)]
            numbers = np.array(longer, np.int64)
        counts = self._counts[columns.term_of[numbers]]
        if len(numbers) > n:
            frequent = np.flatnonzero(counts >= -np.partition(-counts, n - 1)[n - 1])
            numbers, counts = numbers[frequent], counts[frequent]
        pairs = zip(numbers.tolist(), counts.tolist(), strict=True)
        completions = [SimilarWord(columns.words[number], 0, count) for number, count in pairs]
        return sorted(completions, key=lambda word: (-word.frequency, word.word))[:n]

    def compounds(self, word: str, n: int) -> list[SimilarWord]:
        """Return the n most frequent words that begin or end with a word, by their stems, and are `MIN_PART` longer."""
        stemmed, columns = self.languages.stem(word), self._columns
        letters, ends = self._letters
        may_be = np.zeros(self._n_words, np.bool_)
        beginning, ending = (np.frombuffer(text.encode(), np.uint8) for text in (word, stemmed))
        kernels.affixed(letters, ends, beginning, ending, MAX_ENDING, may_be)
        words = []
        for number in np.flatnonzero(may_be & self._live).tolist():
            candidate = columns.words[number]
            begins = candidate.startswith(word) and len(candidate) >= len(word) + MIN_PART
            if begins or ends_with(candidate, stemmed, self.languages):
                words.append(SimilarWord(candidate, 0, self._count(number)))
        return sorted(words, key=lambda word: (-word.frequency, word.word))[:n]

    @cached_property
    def _letters(self) -> tuple[AnyArray, AnyArray]:
        """(n_bytes,) all words one after another, and (n_words,) where each ends."""
        stored = self._columns.words.store()
        return stored.letters, stored.ends[: self._n_words]

    def alternatives(self, query: Query) -> list[IndexedAlternative]:
        """Return the alternatives of a query's terms that are terms of the index, in the order of the query's terms."""
        return [
            IndexedAlternative(position, number, alternative.weight)
            for position, term in enumerate(query.terms)
            for alternative in term.alternatives
            if (number := self.term(alternative.stem)) is not None
        ]

    def term(self, stemmed: str) -> int | None:
        """Return the number of a stem, or None if no word has it."""
        # A local name: another search may replace the cache meanwhile.
        cache = self._cached_terms
        if stemmed in cache:
            return cache[stemmed]
        term = self._columns.stems.get(stemmed, self._n_terms)
        result = term if term < self._n_terms else None
        if result is None:
            word = self.word_number(stemmed)
            if word is not None and self.languages.stem(stemmed) == stemmed:
                result = int(self._columns.term_of[word])
        if len(cache) > MAX_CACHED_STEMS:
            self._cached_terms, self._cached_counts = {}, {}
        self._cached_terms[stemmed] = result
        return result

    @property
    def term_of(self) -> AnyArray:
        """(n_words,) the number of each word's stem."""
        return self._columns.term_of

    def term_numbers(self, stems: Iterable[str]) -> AnyArray:
        """Return the numbers of those of some stems that words have, ascending."""
        return np.array(sorted({term for stem in stems if (term := self.term(stem)) is not None}), np.int32)

    def word(self, number: int) -> str:
        """Return a word by its number."""
        word: str = self._columns.words[number]
        return word

    def word_number(self, word: str) -> int | None:
        """Return the number of a word, or None if no document ever had it."""
        number = self._columns.words.number(word)
        return number if number is not None and number < self._n_words else None

    def word_numbers(self, term: int) -> list[int]:
        """Return the numbers of the words of a term."""
        words, starts = self._columns.by_term.words, self._columns.by_term.starts
        grouped = words[starts[term] : starts[term + 1]].tolist() if term + 1 < len(starts) else []
        added = self._columns.added_by_term.get(term, ())
        return [*grouped, *(number for number in added if number < self._n_words)]

    @cached_property
    def _counts(self) -> AnyArray:
        """(n_terms,) live documents of each term, in the field that contains it most often."""
        counts: AnyArray = self._frequencies.max(axis=0, initial=0)
        return counts

    def _count(self, number: int) -> int:
        return int(self._frequencies[:, self._columns.term_of[number]].max())
