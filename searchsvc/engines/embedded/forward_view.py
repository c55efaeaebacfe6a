"""What searches read of the forward index: how a query's terms are distributed, and the text features of candidates."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec
import numpy as np

from searchsvc.analysis.query import Query
from searchsvc.analysis.title_heads import MAX_TITLE_WORDS, SearchedThing
from searchsvc.engines.columnar.lexicon_view import LexiconView
from searchsvc.engines.columnar.statistics import INFLECTED_COVERAGE, K1, QueryStatistics, statistics_of, words_hash
from searchsvc.engines.embedded.kernels import features, titles
from searchsvc.engines.embedded.kernels.structs import ForwardArrays, LengthNorm, PhraseArrays, QueryPlan
from searchsvc.engines.retrieval import TextFeatures
from tuning.arrays import AnyArray, BoolArray, IntArray

# Words that are further apart than this do not count as near.
PROXIMITY_WINDOW: Final = 8


class ThingTerms(NamedTuple):
    """What is searched for, as terms of the index: three ascending arrays. See `SearchedThing`."""

    thing: AnyArray
    heads: AnyArray
    purposes: AnyArray


class ForwardView(msgspec.Struct, frozen=True):
    """The reader's side: the slots of one snapshot.

    document_frequencies: (n_fields, n_terms) of live documents
    title: column of the title
    norm: how BM25 normalizes by length
    n_live: number of live documents
    """

    lexicon: LexiconView
    arrays: ForwardArrays
    document_frequencies: AnyArray
    title: int
    norm: LengthNorm
    n_live: int

    def statistics(self, query: Query) -> QueryStatistics:
        return statistics_of(query, self.lexicon, self.document_frequencies, self.n_live)

    def plan(self, query: Query, statistics: QueryStatistics, phrases: PhraseArrays) -> QueryPlan | None:
        """Return what text features of a query look for, or None if no document contains any of its terms.

        statistics: of the query
        phrases: that stand for its terms
        """
        if statistics.ceiling <= 0.0:
            return None
        rows = sorted(
            (word, alternative.position, alternative.weight)
            for alternative in statistics.alternatives
            for word in self.lexicon.word_numbers(alternative.term)
        )
        meant = {
            (self.lexicon.word_number(alternative.word), position)
            for position, term in enumerate(query.terms)
            for alternative in term.alternatives
        }
        first = [i for i, (word, _, _) in enumerate(rows) if not i or word != rows[i - 1][0]]
        in_index, share = statistics.in_index.tolist(), (K1 + 1.0) / statistics.ceiling
        required = [in_index[position] and not term.optional for position, term in enumerate(query.terms)]
        return QueryPlan(
            words=np.array([rows[i][0] for i in first], np.int32),
            starts=np.array([*first, len(rows)], np.int64),
            terms=np.array([position for _, position, _ in rows], np.int64),
            weights=np.array([weight for _, _, weight in rows], np.float64),
            coverages=np.array([1.0 if row[:2] in meant else INFLECTED_COVERAGE for row in rows], np.float64),
            title=words_hash(query.words),
            factors=statistics.idf * share,
            idf_shares=statistics.term_idf * share,
            required=np.array(required, np.int64),
            widths=np.array([term.n_words for term in query.terms], np.int64),
            phrases=phrases,
        )

    def features(self, slots: IntArray, plan: QueryPlan | None) -> TextFeatures:
        """Compute the text features of live slots. plan: of the query, None for a query that nothing matches."""
        n, n_fields = len(slots), self.arrays.lengths.shape[1]
        if not n or plan is None:
            return TextFeatures.zeros(n, n_fields)
        text = np.empty((n, n_fields + features.N_QUERY_FEATURES), np.float32)
        features.text_features(slots, self.arrays, plan, self.norm, PROXIMITY_WINDOW, text)
        return TextFeatures(text[:, :n_fields], *text[:, n_fields:].T)

    def thing_terms(self, thing: SearchedThing) -> ThingTerms:
        """Return the terms of a thing, of its heads, and of words like "for"."""
        return ThingTerms(*map(self.lexicon.term_numbers, (thing.stems, thing.heads, thing.purposes)))

    def goes_with(self, slots: IntArray, terms: ThingTerms) -> BoolArray:
        """Return (n,) which live slots go with what is searched for. terms: of the thing"""
        result = np.empty(len(slots), np.bool_)
        titles.goes_with(
            slots,
            self.arrays,
            self.lexicon.term_of,
            self.title,
            *terms,
            MAX_TITLE_WORDS,
            result,
        )
        return result

    def stems_of_titles(self, slots: IntArray) -> list[list[str]]:
        """Return the stems of each title, as far as it is read."""
        arrays, languages, stem_of = self.arrays, self.lexicon.languages, dict[int, str]()
        result = []
        for slot in slots.tolist():
            start, end = arrays.starts[slot : slot + 2].tolist()
            words = arrays.words[start:end][arrays.fields[start:end] == self.title]
            numbers = words[: min(arrays.lengths.item(slot, self.title), MAX_TITLE_WORDS)].tolist()
            for number in numbers:
                if number not in stem_of:
                    stem_of[number] = languages.stem(self.lexicon.word(number))
            result.append([stem_of[number] for number in numbers])
        return result
