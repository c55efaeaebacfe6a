"""What named clauses report of each hit: how it matches the terms of a query. Pure.

The node reports the score of each *named* clause that a hit matches. These clauses neither filter nor score. The node
evaluates each of them for each hit, so there are as few as possible:

    bm25.<field>        BM25 of the query in one field
    terms.<position>    which terms the hit contains: a bit for the term at this position and for each after it
    words.<position>    the same, of terms that it contains as they are written and not in another inflection
    pair.<position>     how near the term at this position and the next one come
    title               matches if the title is the query
    filter.<digest>     matches if the hit passes a filter that the search will ask about
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from searchsvc.analysis.query import Query
from searchsvc.engines.filters import Filter
from searchsvc.engines.opensearch.attribute_columns import AttributeKinds
from searchsvc.engines.opensearch.clauses import Clause, filter_clause
from tuning.arrays import BoolArray, ScoreArray

# The integers up to 2 ** 20 are exact in a score.
TERMS_PER_SCORE: Final = 20
_ALMOST_ONE: Final = 0.999


class MatchedTerms(msgspec.Struct, frozen=True):
    """How n hits match a query.

    bm25: (n, n_fields)
    title: (n,) whether the title is the query
    terms: (n, n_terms) which terms each hit contains
    words: (n, n_terms) which of them as they are written
    phrases: (n,) share of the query's neighbouring terms that are neighbours in the hit
    nearness: (n,) how near they come, in [0, 1]
    """

    bm25: ScoreArray
    title: BoolArray
    terms: BoolArray
    words: BoolArray
    phrases: ScoreArray
    nearness: ScoreArray


def named_clause(name: str, clauses: Sequence[Clause]) -> Clause:
    """Return the clause that reports the sum of these clauses' scores under a name."""
    return {"bool": {"should": list(clauses), "_name": name}}


def terms_name(first: int) -> str:
    return f"terms.{first}"


def words_name(first: int) -> str:
    return f"words.{first}"


def pair_name(position: int) -> str:
    return f"pair.{position}"


def filter_name(condition: Filter) -> str:
    """Return the name by which a hit reports that it passes a filter. Another filter has another name."""
    return f"filter.{hashlib.blake2b(repr(condition).encode(), digest_size=8).hexdigest()}"


def with_test_filters(named: Clause, conditions: Sequence[Filter], kinds: AttributeKinds) -> Clause:
    """Add a named clause for each filter that the search will ask about. kinds: of the values of each attribute"""
    tests = [
        {"bool": {"filter": [filter_clause(condition, kinds)], "_name": filter_name(condition)}}
        for condition in conditions
    ]
    return {"bool": {"should": [*named["bool"]["should"], *tests]}} if tests else named


def score_names(query: Query, n_fields: int) -> list[str]:
    """Return the names of the columns that `matched_terms` reads. The score of an unmatched clause is 0."""
    return [
        *(f"bm25.{field}" for field in range(n_fields)),
        "title",
        *(terms_name(first) for first in range(0, len(query.terms), TERMS_PER_SCORE)),
        *(words_name(first) for first in range(0, len(query.terms), TERMS_PER_SCORE)),
        *(pair_name(position) for position in range(len(query.terms) - 1)),
    ]


def matched_terms(table: ScoreArray, query: Query, n_fields: int) -> MatchedTerms:
    """Read the scores of named clauses.

    table: (n, n_names) scores, columns as in `score_names`

    For a pair of neighbours the node adds up 1 / distance over every place where both stand; terms that changed places
    are one further apart. A score of at least that of a phrase counts as a phrase.
    """
    n_terms, n_pairs = len(query.terms), max(len(query.terms) - 1, 0)
    first_terms, first_pair = n_fields + 1, table.shape[1] - n_pairs
    first_words = (first_terms + first_pair) // 2
    terms = _bits(table[:, first_terms:first_words], n_terms)
    words = _bits(table[:, first_words:first_pair], n_terms)
    pairs = table[:, first_pair:]
    lengths = np.array([term.n_words for term in query.terms[:n_pairs]])
    phrases = (pairs * lengths >= _ALMOST_ONE).sum(axis=1) / max(n_pairs, 1)
    nearness = np.minimum(pairs, 1.0).sum(axis=1) / max(n_pairs, 1)
    return MatchedTerms(table[:, :n_fields], table[:, n_fields] > 0.0, terms, words, phrases, nearness)


def _bits(scores: ScoreArray, n: int) -> BoolArray:
    """Return (n_hits, n) the bits of scores, `TERMS_PER_SCORE` in each."""
    bits = scores.astype(np.int64)
    return np.array([bits[:, i // TERMS_PER_SCORE] >> i % TERMS_PER_SCORE & 1 for i in range(n)], np.bool_).T
