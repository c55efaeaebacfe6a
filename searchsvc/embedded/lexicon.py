"""The words that an index holds, and which of them resemble what somebody typed.

A *word* is as it was written, folded; a *term* is its stem, which is what postings and frequencies count. Both are
numbered as they first come and never renumbered, so a view is the lists and how many of each it may see.
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import OSA

from searchsvc.analysis import stem
from searchsvc.arrays import AnyArray, BoolArray
from searchsvc.embedded.columns import Column
from searchsvc.lexicon import Likeness
from searchsvc.query import Query

# Words since the last sorting are looked through one by one: this bounds how many.
UNSORTED_MIN: Final = 1024
UNSORTED_SHARE: Final = 0.02
_LETTER_BITS: Final = 31


class Meaning(NamedTuple):
    """A term of the index that stands for the term at a place of a query. weight: of the alternative."""

    place: int
    term: int
    weight: float


class Lexicon:
    """The writer's side. words: what a snapshot on disk held, in the order of their numbers."""

    def __init__(self, words: Sequence[str] = ()) -> None:
        self.ids: dict[str, int] = {}
        self.words: list[str] = []
        self.term_ids: dict[str, int] = {}
        self.members: list[list[int]] = []
        self._term_of = Column(np.int32)
        self._signatures = Column(np.uint64)
        self._lengths = Column(np.uint8)
        self._sorted: list[int] = []
        self._terms: list[int] = []
        for word in words:
            self.add(word)
        self.settle()

    def add(self, word: str) -> int:
        """The number of a word, a new one where it is new."""
        known = self.ids.get(word)
        if known is not None:
            return known
        number = len(self.words)
        term = self.term_ids.setdefault(stem(word), len(self.members))
        if term == len(self.members):
            self.members.append([])
        self.members[term].append(number)
        self._terms.append(term)
        self.words.append(word)
        self.ids[word] = number
        return number

    @property
    def n_terms(self) -> int:
        return len(self.members)

    def term_of_word(self, number: int) -> int:
        return self._terms[number]

    def terms_of(self, numbers: AnyArray) -> AnyArray:
        """(n,) the terms of words that a commit has settled."""
        terms: AnyArray = self._term_of.view()[numbers]
        return terms

    def settle(self) -> None:
        """Bring the columns up to the words: once a commit."""
        new = self.words[len(self._term_of) :]
        if new:
            self._term_of.extend(np.array(self._terms[len(self._term_of) :], np.int32))
            self._signatures.extend(np.array([signature(word) for word in new], np.uint64))
            self._lengths.extend(np.array([len(word) for word in new], np.uint8))
        if len(self.words) - len(self._sorted) > max(UNSORTED_MIN, UNSORTED_SHARE * len(self.words)):
            self._sorted = sorted(range(len(self.words)), key=self.words.__getitem__)

    def view(self, document_frequencies: AnyArray, live: BoolArray) -> LexiconView:
        """document_frequencies: (n_fields, n_terms) of live documents. live: (n_words,) which words these hold."""
        return LexiconView(
            words=self.words,
            term_ids=self.term_ids,
            members=self.members,
            term_of=self._term_of.view(),
            signatures=self._signatures.view(),
            lengths=self._lengths.view(),
            in_order=self._sorted,
            document_frequencies=document_frequencies,
            live=live,
        )


class LexiconView:
    """The reader's side: a `searchsvc.lexicon.Lexicon` at one commit. Words no live document holds are not there."""

    def __init__(
        self,
        *,
        words: list[str],
        term_ids: Mapping[str, int],
        members: Sequence[Sequence[int]],
        term_of: AnyArray,
        signatures: AnyArray,
        lengths: AnyArray,
        in_order: list[int],
        document_frequencies: AnyArray,
        live: BoolArray,
    ) -> None:
        self._words = words
        self._term_ids = term_ids
        self._members = members
        self.term_of = term_of
        self._signatures = signatures
        self._lengths = lengths
        self._in_order = in_order
        self._frequencies = document_frequencies
        self._live = live
        self.n_words = len(term_of)
        self.n_terms = document_frequencies.shape[1]

    def count(self, term: str) -> int:
        number = self._term_ids.get(term, self.n_terms)
        return int(self._frequencies[:, number].max()) if number < self.n_terms else 0

    def similar(self, word: str, max_edits: int) -> list[Likeness]:
        """Words within so many edits, nearest first, then the most frequent."""
        if not self.n_words:
            return []
        differing = np.bitwise_count(self._signatures ^ np.uint64(signature(word)))
        lengths = self._lengths.view(np.int8)
        near = (differing <= 2 * max_edits) & (np.abs(lengths - len(word)) <= max_edits) & self._live
        numbers = np.flatnonzero(near).tolist()
        choices = [self._words[number] for number in numbers]
        found = process.extract(word, choices, scorer=OSA.distance, score_cutoff=max_edits, limit=None)
        alike = [Likeness(choice, int(edits), self._count(numbers[at])) for choice, edits, at in found]
        return sorted(alike, key=lambda one: (one.edits, -one.frequency, one.word))

    def completions(self, prefix: str, n: int) -> list[Likeness]:
        """The n most frequent longer words that begin with a prefix."""
        start = bisect_left(self._in_order, prefix, key=self._words.__getitem__)
        end = bisect_left(self._in_order, prefix + chr(sys.maxunicode), lo=start, key=self._words.__getitem__)
        if start < end and self._words[self._in_order[start]] == prefix:
            start += 1
        unsorted = range(len(self._in_order), self.n_words)
        later = [i for i in unsorted if self._words[i].startswith(prefix) and self._words[i] != prefix]
        numbers = np.array(self._in_order[start:end] + later, np.int64)
        numbers = numbers[numbers < self.n_words]
        numbers = numbers[self._live[numbers]]
        counts = self._counts[self.term_of[numbers]]
        if len(numbers) > n:
            often = np.flatnonzero(counts >= -np.partition(-counts, n - 1)[n - 1])
            numbers, counts = numbers[often], counts[often]
        pairs = zip(numbers.tolist(), counts.tolist(), strict=True)
        alike = [Likeness(self._words[number], 0, count) for number, count in pairs]
        return sorted(alike, key=lambda one: (-one.frequency, one.word))[:n]

    def meanings(self, query: Query) -> list[Meaning]:
        """Which terms of the index stand for which terms of a query; those that nothing ever held are left out."""
        return [
            Meaning(place, number, one.weight)
            for place, term in enumerate(query.terms)
            for one in term.alternatives
            if (number := self._term_ids.get(one.stem, self.n_terms)) < self.n_terms
        ]

    def word_ids(self, term: int) -> list[int]:
        """The numbers of the words whose stem a term is."""
        return [number for number in self._members[term] if number < self.n_words]

    @cached_property
    def _counts(self) -> AnyArray:
        """(n_terms,) live documents of each term, in the field that has it most often."""
        counts: AnyArray = self._frequencies.max(axis=0, initial=0)
        return counts

    def _count(self, number: int) -> int:
        return int(self._frequencies[:, self.term_of[number]].max())


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
