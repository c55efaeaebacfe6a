"""The words that an index holds, and which of them resemble what somebody typed.

A *word* is as it was written, folded; a *term* is its stem, which is what postings and frequencies count. Both are
numbered as they first come and never renumbered, so a view is the lists and how many of each it may see.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Final, NamedTuple

import msgspec
import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import OSA

from searchsvc.analysis.lexicon import SimilarWord
from searchsvc.analysis.query import Query
from searchsvc.analysis.stemming import stem
from searchsvc.engines.columnar.columns import Column
from searchsvc.engines.columnar.texts import StoredTexts, Texts
from tuning.arrays import AnyArray, BoolArray

# Words since the last sorting are looked through one by one: this bounds how many.
UNSORTED_MIN: Final = 1024
UNSORTED_SHARE: Final = 0.02
MAX_REMEMBERED: Final = 20_000
_LETTER_BITS: Final = 31
_BEGINNING_BYTES: Final = 8


class Meaning(NamedTuple):
    """A term of the index that stands for the term at a place of a query. weight: of the alternative."""

    place: int
    term: int
    weight: float


class StoredLexicon(msgspec.Struct, frozen=True):
    """stems: the terms that were no words when they first came.

    term_of, signatures, beginnings, lengths: (n_words,) the term of each word, its `signature`, its `beginning`, how
    many characters it has. in_order: the first so many words in the order of their beginnings.
    """

    words: StoredTexts
    stems: dict[str, int]
    term_of: AnyArray
    signatures: AnyArray
    beginnings: AnyArray
    lengths: AnyArray
    in_order: AnyArray

    @staticmethod
    def empty() -> StoredLexicon:
        columns = (np.empty(0, kind) for kind in (np.int32, np.uint64, np.uint64, np.uint8, np.int32))
        return StoredLexicon(StoredTexts.empty(), {}, *columns)


class Lexicon:
    """The writer's side. stored: what a snapshot on disk held."""

    def __init__(self, stored: StoredLexicon | None = None) -> None:
        stored = stored or StoredLexicon.empty()
        self.words = Texts(stored.words)
        # Most words are their own stem, article numbers above all: only the others are kept a second time.
        self._stems = stored.stems
        self.n_terms = int(stored.term_of.max(initial=-1)) + 1
        self._term_of = Column(np.int32, rows=stored.term_of)
        self._signatures = Column(np.uint64, rows=stored.signatures)
        self._beginnings = Column(np.uint64, rows=stored.beginnings)
        self._lengths = Column(np.uint8, rows=stored.lengths)
        self._new_terms: list[int] = []
        # The words of each term: of the first `_n_grouped` words in the order of their terms, of later ones in a list.
        self._grouped = _Grouped.of(self._term_of.view())
        self._later: dict[int, list[int]] = {}
        self._in_order = stored.in_order

    def add(self, word: str) -> int:
        """The number of a word, a new one where it is new."""
        n_before = len(self.words)
        number = self.words.add(word)
        if number < n_before:
            return number
        stemmed = stem(word)
        term = self._stems.get(stemmed, -1)
        if term < 0 and stemmed != word:
            whole = self.words.number(stemmed)
            term = self.term_of_word(whole) if whole is not None and stem(stemmed) == stemmed else -1
        if term < 0:
            term = self.n_terms
            self.n_terms += 1
            if stemmed != word:
                self._stems[stemmed] = term
        self._later.setdefault(term, []).append(number)
        self._new_terms.append(term)
        return number

    def term_of_word(self, number: int) -> int:
        n_settled = len(self._term_of)
        return int(self._term_of.view()[number]) if number < n_settled else self._new_terms[number - n_settled]

    def terms_of(self, numbers: AnyArray) -> AnyArray:
        """(n,) the terms of words that a commit has settled."""
        terms: AnyArray = self._term_of.view()[numbers]
        return terms

    def settle(self) -> None:
        """Bring the columns up to the words: once a commit."""
        new = self.words[len(self._term_of) :]
        if new:
            self._term_of.extend(np.array(self._new_terms, np.int32))
            self._signatures.extend(np.array([signature(word) for word in new], np.uint64))
            self._beginnings.extend(np.array([beginning(word) for word in new], np.uint64))
            self._lengths.extend(np.array([len(word) for word in new], np.uint8))
            self._new_terms.clear()
        n = len(self.words)
        if n - len(self._in_order) > max(UNSORTED_MIN, UNSORTED_SHARE * n):
            self._in_order = np.argsort(self._beginnings.view(), kind="stable").astype(np.int32)
            self._grouped, self._later = _Grouped.of(self._term_of.view()), {}

    def view(self, document_frequencies: AnyArray, live: BoolArray) -> LexiconView:
        """document_frequencies: (n_fields, n_terms) of live documents. live: (n_words,) which words these hold."""
        return LexiconView(
            words=self.words,
            stems=self._stems,
            grouped=self._grouped,
            later=self._later,
            term_of=self._term_of.view(),
            signatures=self._signatures.view(),
            beginnings=self._beginnings.view(),
            lengths=self._lengths.view(),
            in_order=self._in_order,
            document_frequencies=document_frequencies,
            live=live,
        )

    def store(self) -> StoredLexicon:
        columns = self._term_of.view(), self._signatures.view(), self._beginnings.view(), self._lengths.view()
        return StoredLexicon(self.words.store(), self._stems, *columns, self._in_order)


class _Grouped(msgspec.Struct, frozen=True):
    """The numbers of words by their term: words[starts[term] : starts[term + 1]]."""

    words: AnyArray
    starts: AnyArray

    @staticmethod
    def of(term_of: AnyArray) -> _Grouped:
        counts = np.bincount(term_of) if len(term_of) else np.zeros(0, np.int64)
        return _Grouped(np.argsort(term_of, kind="stable").astype(np.int32), np.append(0, np.cumsum(counts)))


class LexiconView:
    """The reader's side: a `searchsvc.analysis.lexicon.Lexicon` at one commit.

    Words no live document holds are not there."""

    def __init__(
        self,
        *,
        words: Texts,
        stems: Mapping[str, int],
        grouped: _Grouped,
        later: Mapping[int, Sequence[int]],
        term_of: AnyArray,
        signatures: AnyArray,
        beginnings: AnyArray,
        lengths: AnyArray,
        in_order: AnyArray,
        document_frequencies: AnyArray,
        live: BoolArray,
    ) -> None:
        self._words = words
        self._stems = stems
        self._grouped = grouped
        self._later = later
        self.term_of = term_of
        self._signatures = signatures
        self._beginnings = beginnings
        self._lengths = lengths
        self._in_order = in_order
        self._frequencies = document_frequencies
        self._live = live
        # What searches ask again and again, of this commit.
        self._numbered: dict[str, int | None] = {}
        self._counted: dict[str, int] = {}
        self.n_words = len(term_of)
        self.n_terms = document_frequencies.shape[1]

    def count(self, term: str) -> int:
        known = self._counted.get(term)
        if known is None:
            number = self.term(term)
            known = int(self._frequencies[:, number].max()) if number is not None else 0
            self._counted[term] = known
        return known

    def similar(self, word: str, max_edits: int) -> list[SimilarWord]:
        """Words within so many edits, nearest first, then the most frequent."""
        if not self.n_words:
            return []
        differing = np.bitwise_count(self._signatures ^ np.uint64(signature(word)))
        lengths = self._lengths.view(np.int8)
        near = (differing <= 2 * max_edits) & (np.abs(lengths - len(word)) <= max_edits) & self._live
        numbers = np.flatnonzero(near).tolist()
        choices = [self._words[number] for number in numbers]
        found = process.extract(word, choices, scorer=OSA.distance, score_cutoff=max_edits, limit=None)
        alike = [SimilarWord(choice, int(edits), self._count(numbers[at])) for choice, edits, at in found]
        return sorted(alike, key=lambda one: (one.edits, -one.frequency, one.word))

    def completions(self, prefix: str, n: int) -> list[SimilarWord]:
        """The n most frequent longer words that begin with a prefix."""
        low, high = beginning(prefix), beginning(prefix, last=True)
        n_sorted = len(self._in_order)
        start = bisect_left(self._in_order, low, key=self._beginnings.item)
        end = bisect_right(self._in_order, high, key=self._beginnings.item)
        later = self._beginnings[n_sorted:]
        unsorted = np.flatnonzero((later >= np.uint64(low)) & (later <= np.uint64(high))) + n_sorted
        numbers = np.concatenate([self._in_order[start:end], unsorted])
        numbers = numbers[self._live[numbers] & (numbers != self._words.number(prefix))]
        if len(prefix.encode()) > _BEGINNING_BYTES:
            kept = [number for number in numbers.tolist() if self._words[number].startswith(prefix)]
            numbers = np.array(kept, np.int64)
        counts = self._counts[self.term_of[numbers]]
        if len(numbers) > n:
            often = np.flatnonzero(counts >= -np.partition(-counts, n - 1)[n - 1])
            numbers, counts = numbers[often], counts[often]
        pairs = zip(numbers.tolist(), counts.tolist(), strict=True)
        alike = [SimilarWord(self._words[number], 0, count) for number, count in pairs]
        return sorted(alike, key=lambda one: (-one.frequency, one.word))[:n]

    def meanings(self, query: Query) -> list[Meaning]:
        """Which terms of the index stand for which terms of a query; those that nothing ever held are left out."""
        return [
            Meaning(place, number, one.weight)
            for place, term in enumerate(query.terms)
            for one in term.alternatives
            if (number := self.term(one.stem)) is not None
        ]

    def term(self, stemmed: str) -> int | None:
        """The number of a stem; None where no word has it."""
        # Held on to: another search may begin with empty ones meanwhile.
        numbered = self._numbered
        if stemmed in numbered:
            return numbered[stemmed]
        term = self._stems.get(stemmed, self.n_terms)
        found = term if term < self.n_terms else None
        if found is None:
            whole = self._words.number(stemmed)
            if whole is not None and whole < self.n_words and stem(stemmed) == stemmed:
                found = int(self.term_of[whole])
        if len(numbered) > MAX_REMEMBERED:
            self._numbered, self._counted = {}, {}
        self._numbered[stemmed] = found
        return found

    def word_ids(self, term: int) -> list[int]:
        """The numbers of the words whose stem a term is."""
        words, starts = self._grouped.words, self._grouped.starts
        first = words[starts[term] : starts[term + 1]].tolist() if term + 1 < len(starts) else []
        return [*first, *(number for number in self._later.get(term, ()) if number < self.n_words)]

    @cached_property
    def _counts(self) -> AnyArray:
        """(n_terms,) live documents of each term, in the field that has it most often."""
        counts: AnyArray = self._frequencies.max(axis=0, initial=0)
        return counts

    def _count(self, number: int) -> int:
        return int(self._frequencies[:, self.term_of[number]].max())


def beginning(word: str, *, last: bool = False) -> int:
    """The first eight bytes of a word as a number that orders as they do. last: the largest of all that begin so."""
    data = word.encode()[:_BEGINNING_BYTES]
    return int.from_bytes(data.ljust(_BEGINNING_BYTES, b"\xff" if last else b"\0"), "big")


def signature(word: str) -> int:
    """64 bits of which characters a word holds, once and twice. One edit flips at most two of them.

    So words whose signatures differ in more than 2 d bits are more than d edits apart.
    """
    once = twice = 0
    for character in word:
        bit = 1 << (ord(character) % _LETTER_BITS)
        twice |= once & bit
        once |= bit
    return once | twice << (_LETTER_BITS + 1)
