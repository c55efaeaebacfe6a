"""The texts of the oracle's documents: BM25 per field and the other text features.

Source of BM25: Robertson & Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, 2009, equation 3.15.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from benchmarks.oracle.lexicon import OracleLexicon
from events.settings import IndexSettings
from searchsvc.analysis.analyzer import Analysis, analyze
from searchsvc.analysis.document_text import field_text
from searchsvc.analysis.languages import Languages
from searchsvc.analysis.query import Phrase, Query, QueryTerm
from searchsvc.engines.protocol import Upsert
from searchsvc.engines.retrieval import TextFeatures
from tuning.arrays import IntArray

K1, B = 1.2, 0.75
MAX_GAP = 8
INFLECTED_COVERAGE = 0.95


class OracleTexts:
    """The analysed searchable fields of all documents."""

    def __init__(self, documents: Sequence[Upsert], settings: IndexSettings) -> None:
        self.settings, self.languages = settings, Languages.of_index(settings)
        self.n_documents, self.n_fields = len(documents), len(settings.searchable)
        self.analyses = [[analyze(field_text(d.members, field)) for field in settings.searchable] for d in documents]
        self.tokens = [[_tokens(analysis) for analysis in fields] for fields in self.analyses]

    @cached_property
    def _frequencies(self) -> list[Counter[str]]:
        """Per field: stem -> number of documents that contain it."""
        return [
            Counter(s for fields in self.tokens for s in {self.languages.stem(word) for word, _ in fields[i]})
            for i in range(self.n_fields)
        ]

    @cached_property
    def _mean_lengths(self) -> list[float]:
        """Per field: mean number of words."""
        return [
            sum(len(fields[i].words) for fields in self.analyses) / max(self.n_documents, 1)
            for i in range(self.n_fields)
        ]

    @cached_property
    def lexicon(self) -> OracleLexicon:
        words = {word for fields in self.tokens for field in fields for word, _ in field}
        frequencies = {s: max(f[s] for f in self._frequencies) for f in self._frequencies for s in f}
        return OracleLexicon(words, frequencies, self.languages)

    def features(self, slots: IntArray, query: Query) -> TextFeatures:
        fields = range(self.n_fields)
        title = [field.name for field in self.settings.searchable].index(self.settings.title)
        idfs = [self._idf(max(self.df(term, i) for i in fields)) for term in query.terms]
        is_known = [any(self.df(term, i) for i in fields) for term in query.terms]
        total = sum(idf for idf, is_known_term in zip(idfs, is_known, strict=True) if is_known_term)
        rows = []
        for slot in slots.tolist():
            bm25 = [self._bm25(slot, i, query, total) for i in fields]
            holds = [any(self.tf(slot, i, term) for i in fields) for term in query.terms]
            required = [
                holds_term
                for holds_term, is_known_term, term in zip(holds, is_known, query.terms, strict=True)
                if is_known_term and not term.optional
            ]
            covered = [
                (1.0 if self._has_word(slot, term) else INFLECTED_COVERAGE) if holds_term else 0.0
                for holds_term, term in zip(holds, query.terms, strict=True)
            ]
            coverage = sum(idf * share for idf, share in zip(idfs, covered, strict=True)) / total if total else 0.0
            words = tuple(self.analyses[slot][title].words)
            exact = bool(total) and words == query.words and bool(words)
            pairs = [self._pair(slot, query, first) for first in range(len(query.terms) - 1)]
            phrase = float(np.mean([phrase for phrase, _ in pairs])) if pairs else 0.0
            proximity = float(np.mean([proximity for _, proximity in pairs])) if pairs else 0.0
            rows.append([*bm25, exact, bool(required) and all(required), coverage, phrase, proximity])
        table = np.array(rows, np.float32).reshape(len(slots), self.n_fields + 5)
        return TextFeatures(table[:, : self.n_fields], *(table[:, self.n_fields + i] for i in range(5)))

    def title(self, slot: int) -> list[str]:
        """Return the stems of a title's words."""
        title = [field.name for field in self.settings.searchable].index(self.settings.title)
        return [self.languages.stem(word) for word in self.analyses[slot][title].words]

    def _idf(self, df: int) -> float:
        return math.log(1 + (self.n_documents - df + 0.5) / (df + 0.5))

    def df(self, term: QueryTerm, field: int) -> int:
        """Return how many documents contain a term in a field: those of its most frequent alternative."""
        return max(
            (min(self._frequencies[field][stem] for stem in a.stem.split()) for a in term.alternatives), default=0
        )

    def tf(self, slot: int, field: int, term: QueryTerm) -> float:
        """Return how often a term is in a field of a document, its alternatives by their weight."""
        tokens = self.tokens[slot][field]
        phrases = [(a.weight, Phrase(tuple(a.stem.split()))) for a in term.alternatives]
        return sum(weight * len(_starts(phrase, tokens, self.languages)) for weight, phrase in phrases)

    def contains(self, slot: int, phrase: Phrase) -> bool:
        return any(_starts(phrase, tokens, self.languages) for tokens in self.tokens[slot])

    def _has_word(self, slot: int, term: QueryTerm) -> bool:
        """Whether a document has a word or a phrase of a term as it is written, in any field."""
        words = {word for tokens in self.tokens[slot] for word, _ in tokens}
        return any(a.word in words for a in term.alternatives) or any(self.contains(slot, p) for p in term.phrases)

    def _bm25(self, slot: int, field: int, query: Query, total: float) -> float:
        """Return BM25 of one field, over what a field with every term could reach. total: sum of the terms' idf."""
        norm = K1 * (1 - B + B * len(self.analyses[slot][field].words) / max(self._mean_lengths[field], 1e-9))
        score = 0.0
        for term in query.terms:
            tf = self.tf(slot, field, term)
            if tf:
                score += self._idf(self.df(term, field)) * tf * (K1 + 1) / (tf + norm)
        return score / ((K1 + 1) * total) if total else 0.0

    def _pair(self, slot: int, query: Query, first: int) -> tuple[float, float]:
        """Return (phrase, proximity) of terms `first` and `first` + 1.

        phrase: 1 if they stand side by side, in order, in a field
        proximity: 1 / the smallest gap between them in a field, 0 if it is larger than `MAX_GAP`

        Compares only occurrences of query terms with at most one other occurrence between them.
        """
        phrase, proximity = 0.0, 0.0
        for field in self.tokens[slot]:
            occurrences = [
                (position, number)
                for word, position in field
                for number, term in enumerate(query.terms)
                if _contains(term, word, self.languages)
            ]
            for step in (1, 2):
                for (position, term), (later, other) in zip(occurrences, occurrences[step:], strict=False):
                    if {term, other} == {first, first + 1} and 1 <= abs(later - position) <= MAX_GAP:
                        proximity = max(proximity, 1 / abs(later - position))
                        distance_in_order = (later - position) * (other - term)
                        phrase = max(phrase, float(distance_in_order == query.terms[first].n_words))
        for alternative in query.phrase_alternatives:
            if {first, first + 1} <= set(alternative.positions) and self.contains(slot, alternative.phrase):
                phrase, proximity = 1.0, 1.0
        return phrase, proximity


def _tokens(analysis: Analysis) -> list[tuple[str, int]]:
    """Return (word, position) of all words, compounds at the position of their first word."""
    words = [(word, position) for position, word in enumerate(analysis.words)]
    return words + [(compound.text, compound.start) for compound in analysis.compounds]


def _starts(phrase: Phrase, tokens: list[tuple[str, int]], languages: Languages) -> list[int]:
    """Return the positions at which a phrase begins, once for each token that it can begin with."""
    stems = {(languages.stem(word), position) for word, position in tokens}
    return [
        position
        for word, position in tokens
        if languages.stem(word) == phrase.stems[0]
        and all((stemmed, position + i) in stems for i, stemmed in enumerate(phrase.stems))
    ]


def _contains(term: QueryTerm, word: str, languages: Languages) -> bool:
    return any(alternative.stem == languages.stem(word) for alternative in term.alternatives)
