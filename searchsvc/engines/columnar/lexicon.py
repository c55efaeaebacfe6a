"""The words of an index, and the terms that they stand for.

A *word* is as it was written, folded. A *term* is its stem, which postings and frequencies count. Both are numbered in
the order in which they are added and never renumbered, so a view is the columns and how much of each it may read.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from searchsvc.analysis.languages import DEFAULT, Languages
from searchsvc.engines.columnar.columns import Column
from searchsvc.engines.columnar.lexicon_view import LexiconColumns, LexiconView, WordsByTerm
from searchsvc.engines.columnar.texts import StoredTexts, Texts
from searchsvc.engines.columnar.word_keys import beginning, signature
from tuning.arrays import AnyArray, BoolArray

# Words added since the last sorting are searched one by one. They are sorted in once they are more than this number,
# and than this share of all.
UNSORTED_MIN: Final = 1024
UNSORTED_SHARE: Final = 0.02


class StoredLexicon(msgspec.Struct, frozen=True):
    """A lexicon as plain arrays.

    words: the words
    stems: the terms that were not words when they were added
    term_of: (n_words,) the term of each word
    signatures: (n_words,) see `word_keys.signature`
    beginnings: (n_words,) see `word_keys.beginning`
    lengths: (n_words,) in characters
    in_order: the first words, in the order of their beginnings; later words are not sorted yet
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
    """The writer's side.

    stored: the words of a snapshot on disk
    languages: of the index
    """

    def __init__(self, stored: StoredLexicon | None = None, languages: Languages = DEFAULT) -> None:
        stored = stored or StoredLexicon.empty()
        self._languages = languages
        self.words = Texts(stored.words)
        # Most words are their own stem, above all article numbers. Only other stems are kept here.
        self._stems = stored.stems
        self._n_terms = int(stored.term_of.max(initial=-1)) + 1
        self._term_of = Column(np.int32, rows=stored.term_of)
        self._signatures = Column(np.uint64, rows=stored.signatures)
        self._beginnings = Column(np.uint64, rows=stored.beginnings)
        self._lengths = Column(np.uint8, rows=stored.lengths)
        self._new_terms: list[int] = []
        # The words of each term: those up to the last sorting, and a list of those added since.
        self._by_term = WordsByTerm.from_terms(self._term_of.view())
        self._added_by_term: dict[int, list[int]] = {}
        self._in_order = stored.in_order

    @property
    def n_terms(self) -> int:
        return self._n_terms

    def add(self, word: str) -> int:
        """Return the number of a word; add it if it is new."""
        n_before = len(self.words)
        number = self.words.add(word)
        if number < n_before:
            return number
        stemmed = self._languages.stem(word)
        term = self._stems.get(stemmed, -1)
        if term < 0 and stemmed != word:
            stem_as_word = self.words.number(stemmed)
            is_term = stem_as_word is not None and self._languages.stem(stemmed) == stemmed
            term = self.term_of_word(stem_as_word) if stem_as_word is not None and is_term else -1
        if term < 0:
            term = self._n_terms
            self._n_terms += 1
            if stemmed != word:
                self._stems[stemmed] = term
        self._added_by_term.setdefault(term, []).append(number)
        self._new_terms.append(term)
        return number

    def term_of_word(self, number: int) -> int:
        """Return the term of a word, also of one added since the last commit."""
        n_committed = len(self._term_of)
        return int(self._term_of.view()[number]) if number < n_committed else self._new_terms[number - n_committed]

    def terms_of(self, numbers: AnyArray) -> AnyArray:
        """Return (n,) the terms of words added before the last commit."""
        terms: AnyArray = self._term_of.view()[numbers]
        return terms

    def commit(self) -> None:
        """Extend the columns by the words added since the last commit."""
        words = self.words[len(self._term_of) :]
        if words:
            self._term_of.extend(np.array(self._new_terms, np.int32))
            self._signatures.extend(np.array([signature(word) for word in words], np.uint64))
            self._beginnings.extend(np.array([beginning(word) for word in words], np.uint64))
            self._lengths.extend(np.array([len(word) for word in words], np.uint8))
            self._new_terms.clear()
        n = len(self.words)
        if n - len(self._in_order) > max(UNSORTED_MIN, UNSORTED_SHARE * n):
            self._in_order = np.argsort(self._beginnings.view(), kind="stable").astype(np.int32)
            self._by_term, self._added_by_term = WordsByTerm.from_terms(self._term_of.view()), {}

    def view(self, document_frequencies: AnyArray, live: BoolArray) -> LexiconView:
        """Return what searches read.

        document_frequencies: (n_fields, n_terms) of live documents
        live: (n_words,) which words live documents contain
        """
        columns = LexiconColumns(
            words=self.words,
            stems=self._stems,
            by_term=self._by_term,
            added_by_term=self._added_by_term,
            term_of=self._term_of.view(),
            signatures=self._signatures.view(),
            beginnings=self._beginnings.view(),
            lengths=self._lengths.view(),
            in_order=self._in_order,
        )
        return LexiconView(columns, document_frequencies, live, self._languages)

    def store(self) -> StoredLexicon:
        """Return all words as plain arrays."""
        return StoredLexicon(
            words=self.words.store(),
            stems=self._stems,
            term_of=self._term_of.view(),
            signatures=self._signatures.view(),
            beginnings=self._beginnings.view(),
            lengths=self._lengths.view(),
            in_order=self._in_order,
        )
