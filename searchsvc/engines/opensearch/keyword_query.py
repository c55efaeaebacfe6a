"""The keyword query: which documents match the terms of a query, and what they score. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from searchsvc.analysis.query import Operator, Phrase, Query, QueryTerm, RequestedOperator
from searchsvc.engines.columnar.statistics import QueryStatistics
from searchsvc.engines.opensearch.clauses import EVERYTHING, NOTHING, Clause, any_of
from searchsvc.engines.opensearch.mapping import SAME_POSITION
from searchsvc.engines.opensearch.named_scores import TERMS_PER_SCORE, named_clause, pair_name, terms_name, words_name
from searchsvc.engines.opensearch.stored_documents import title_key

# Added to the score of documents that contain every required term, so that they come above all others. It is small
# enough for the rest of the score to keep three exact digits.
ALL_TERMS_LIFT: Final = 1000.0
# Two neighbours of the query count as near up to this many positions apart.
PAIR_SLOP: Final = 7


class QueryClauses(msgspec.Struct, frozen=True):
    """The clauses of a query.

    all_terms: matches documents with every required term that the index contains; None if there is no such term
    any_term: matches documents with at least one of them; None if there is none
    score: adds up BM25, fields weighted by their boosts
    named: reports how each hit matches; neither filters nor scores
    """

    all_terms: Clause | None
    any_term: Clause | None
    score: Clause
    named: Clause


def query_clauses(
    query: Query, statistics: QueryStatistics, field_boosts: Sequence[float], rarity: Callable[[str, int], float]
) -> QueryClauses:
    """Translate a query to clauses.

    statistics: of the query
    field_boosts: (n_fields,) factor of each field's BM25, at least 0
    rarity: returns the idf of a stem in a field, 0 if no document has it there
    """
    in_index = statistics.in_index.tolist()
    positions = [position for position, _ in enumerate(query.terms) if in_index[position]]
    contains = {position: _contains(query.terms[position]) for position in positions}
    by_field = [
        [
            _bm25_clause(query.terms[position], field, float(idf), rarity)
            for position in positions
            if (idf := statistics.idf[position, field]) > 0.0
        ]
        for field in range(statistics.idf.shape[1])
    ]
    required = [contains[position] for position in query.required_positions if in_index[position]]
    score = [
        {"bool": {"should": clauses, "boost": field_boosts[field]}} for field, clauses in enumerate(by_field) if clauses
    ]
    named = [named_clause(f"bm25.{field}", clauses) for field, clauses in enumerate(by_field) if clauses]
    named += _bit_clauses(contains, terms_name)
    named += _bit_clauses({position: _has_words(query.terms[position]) for position in positions}, words_name)
    for position in range(len(query.terms) - 1):
        if in_index[position] and in_index[position + 1]:
            named += _pair_clauses(query, position)
    if query.words:
        named.append({"term": {"title": {"value": title_key(query.words), "_name": "title"}}})
    return QueryClauses(
        all_terms={"bool": {"filter": required}} if required else None,
        any_term=any_of(required) if required else None,
        score={"bool": {"should": score}},
        named={"bool": {"should": [EVERYTHING, *named]}},
    )


def phrase_clause(phrase: Phrase) -> Clause:
    """Return the clause that matches documents with a phrase."""
    return {"match_phrase": {"all": " ".join(phrase.stems)}}


def phrase_clauses(query: Query) -> list[Clause]:
    """Return the clauses that every hit must match: the phrases that a query requires, and none that it excludes."""
    excluded = [phrase_clause(phrase) for phrase in query.excluded]
    required = [phrase_clause(phrase) for phrase in query.required]
    return [*required, {"bool": {"must_not": excluded}}] if excluded else required


def keyword_query(clauses: QueryClauses, operator: RequestedOperator, filters: Sequence[Clause]) -> Clause:
    """Return the query of the keyword leg.

    operator: `auto` matches documents with any term, and scores those with all terms above the others
    """
    must = clauses.all_terms if operator == "all" else clauses.any_term
    if must is None or clauses.all_terms is None:
        return {"bool": {"must": [NOTHING]}}
    should = [clauses.score]
    if operator == "auto":
        should.append({"constant_score": {"filter": clauses.all_terms, "boost": ALL_TERMS_LIFT}})
    return {"bool": {"filter": [*filters, must, clauses.named], "should": should}}


def match_clause(clauses: QueryClauses, operator: Operator) -> Clause:
    """Return the clause that matches what the keyword leg matches, without scores."""
    return (clauses.all_terms if operator == "all" else clauses.any_term) or NOTHING


def _bit_clauses(clauses: Mapping[int, Clause], name: Callable[[int], str]) -> list[Clause]:
    """Return named clauses whose scores tell which clauses a hit matches: a bit for each.

    clauses: by the position of a term
    name: returns the name of the score that begins at a position
    """
    named = []
    for first in range(0, max(clauses, default=-1) + 1, TERMS_PER_SCORE):
        bits = [
            {"constant_score": {"filter": clause, "boost": float(2 ** (position - first))}}
            for position, clause in clauses.items()
            if first <= position < first + TERMS_PER_SCORE
        ]
        if bits:
            named.append(named_clause(name(first), bits))
    return named


def _pair_clauses(query: Query, position: int) -> list[Clause]:
    """Return the named clause whose score tells how near a term and the next one come in a hit, if they can."""
    both = [p.phrase for p in query.phrase_alternatives if {position, position + 1} <= set(p.positions)]
    clauses = [phrase_clause(phrase) for phrase in both]
    words = [_alternatives(term) for term in query.terms[position : position + 2]]
    if all(words):
        clauses.append({"match_phrase": {"all": {"query": " ".join(words), "slop": PAIR_SLOP}}})
    return [named_clause(pair_name(position), clauses)] if clauses else []


def _bm25_clause(term: QueryTerm, field: int, idf: float, rarity: Callable[[str, int], float]) -> Clause:
    """Return BM25 of a term in a field: alternatives of equal weight count as one word, of other weights the best one.

    The node scores each alternative by its own idf. The boost replaces it by that of the term (idf), or a rare
    misspelling would count for more than the word that was meant.
    """
    by_weight: dict[float, dict[str, float]] = {}
    for alternative in term.alternatives:
        own_idf = rarity(alternative.stem, field)
        if own_idf > 0.0 and not alternative.is_phrase:
            by_weight.setdefault(alternative.weight, {})[alternative.stem] = own_idf
    matches = [
        # The node takes a group for as rare as its most frequent stem.
        {"query": SAME_POSITION.join(group), "boost": weight * idf / min(group.values())}
        for weight, group in by_weight.items()
    ]
    clauses: list[Clause] = [{"match": {f"text.{field}": match}} for match in matches]
    for alternative in term.alternatives:
        if alternative.is_phrase:
            # The node takes a phrase for as rare as all of its words together.
            own_idf = sum(rarity(stem, field) for stem in alternative.stem.split())
            match = {"query": alternative.stem, "boost": alternative.weight * idf / max(own_idf, 1e-9)}
            clauses.append({"match_phrase": {f"text.{field}": match}})
    return _best_of(clauses)


def _contains(term: QueryTerm) -> Clause:
    """Return the clause that matches documents with a term."""
    words: list[Clause] = [{"match": {"all": _alternatives(term)}}] if term.stems else []
    return any_of([*words, *map(phrase_clause, term.phrases)])


def _has_words(term: QueryTerm) -> Clause:
    """Return the clause that matches documents with a word or phrase of a term as it is written."""
    words = [alternative.word for alternative in term.alternatives if not alternative.is_phrase]
    return any_of([*([{"terms": {"words": words}}] if words else []), *map(phrase_clause, term.phrases)])


def _alternatives(term: QueryTerm) -> str:
    return SAME_POSITION.join(term.stems)


def _best_of(clauses: Sequence[Clause]) -> Clause:
    return clauses[0] if len(clauses) == 1 else {"dis_max": {"queries": list(clauses)}}
