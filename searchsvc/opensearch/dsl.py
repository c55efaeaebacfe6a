"""A retrieval as the node is asked for it. Pure.

What a document has to hold, and what it scores, is one query; what of the query each hit holds is told by *named*
clauses that stand where they neither filter nor score: `<place>.<field>` BM25 of a term in a field, `phrase.<place>`
and `near.<place>` of a term and the next, `title` where the title is the query.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from searchsvc.arrays import FloatArray
from searchsvc.embedded.forward import QueryStatistics
from searchsvc.engine import FacetRequest, SortKey
from searchsvc.filters import AllOf, AnyOf, Filter, Has, Is, Not, Within
from searchsvc.members import as_number
from searchsvc.opensearch.mapping import BESIDE, VECTOR, member_path, words_hash
from searchsvc.query import Query, QueryTerm

Clause = dict[str, Any]
# What documents that hold every term are lifted by, above all others; a score stays exact enough beside it.
LIFT: Final = 1000.0
NEAR_SLOP: Final = 7
# The node counts distinct values exactly up to so many.
PRECISION: Final = 40_000
EVERYTHING: Final[Clause] = {"match_all": {}}
NOTHING: Final[Clause] = {"match_none": {}}
LIVE: Final[Clause] = {"term": {"live": True}}
# Seconds that a day has, for signals that age: see `searchsvc.signals`.
_BROWSE: Final = """
double sum = 0;
for (int i = 0; i < params.weights.length; i++) {
  def values = doc[params.fields[i]];
  if (values.size() == 0) { continue; }
  double value = values.value;
  if (params.scales[i] > 0) { value = Math.pow(2, -Math.max(params.day - value, 0) / params.scales[i]); }
  sum += params.weights[i] * value;
}
return sum;
"""


class Asked(msgspec.Struct, frozen=True):
    """A query in clauses. all, some: what documents match that hold every term that is wanted, or any; None where none
    is. scored: adds up BM25 as the fields are boosted. named: neither filters nor scores."""

    all: Clause | None
    some: Clause | None
    scored: Clause
    named: Clause


def asked_of(query: Query, statistics: QueryStatistics, boosts: Sequence[float]) -> Asked:
    """boosts: (n_fields,), 0 or more."""
    known = statistics.known.tolist()
    places = [place for place, _ in enumerate(query.terms) if known[place]]
    fields = {place: [f for f, idf in enumerate(statistics.idf[place].tolist()) if idf > 0.0] for place in places}
    terms = {place: any_of([_term(query.terms[place], f) for f in fields[place]]) for place in places}
    wanted = [place for place in query.required if known[place]]
    scored = [
        {"bool": {"must": [_term(query.terms[place], field)], "boost": boosts[field]}}
        for place in places
        for field in fields[place]
    ]
    named = [_named(f"{place}.{f}", _term(query.terms[place], f)) for place in places for f in fields[place]]
    for place in range(len(query.terms) - 1):
        if known[place] and known[place + 1]:
            named += _pair(query, place, sorted({*fields[place]} & {*fields[place + 1]}))
    if query.words:
        named.append({"term": {"title": {"value": words_hash(query.words), "_name": "title"}}})
    return Asked(
        all={"bool": {"filter": [terms[place] for place in wanted]}} if wanted else None,
        some=any_of([terms[place] for place in wanted]) if wanted else None,
        scored={"bool": {"should": scored}},
        named={"bool": {"should": [EVERYTHING, *named]}},
    )


def keyword_query(asked: Asked, operator: str, filters: Sequence[Clause]) -> Clause:
    """operator: all, some, or auto: some, with those first that hold all."""
    must = asked.all if operator == "all" else asked.some
    if must is None or asked.all is None:
        return {"bool": {"must": [NOTHING]}}
    scored = [asked.scored]
    if operator == "auto":
        scored.append({"constant_score": {"filter": asked.all, "boost": LIFT}})
    return {"bool": {"filter": [*filters, must, asked.named], "should": scored}}


def matching(asked: Asked, operator: str) -> Clause:
    """What matches, unscored."""
    return (asked.all if operator == "all" else asked.some) or NOTHING


def nearest_query(vector: FloatArray, k: int, filters: Sequence[Clause], named: Clause) -> Clause:
    """The k nearest of what passes the filters."""
    within = {"bool": {"filter": list(filters)}}
    knn = {"knn": {VECTOR: {"vector": [float(value) for value in vector], "k": k, "filter": within}}}
    return {"bool": {"must": [knn], "filter": [named]}}


def filter_clauses(given: Filter | None, leave_out: str | None) -> list[Clause]:
    """What every search has to pass."""
    clauses = [LIVE] if given is None else [LIVE, filter_clause(given)]
    if leave_out is not None:
        clauses.append({"bool": {"must_not": [{"term": {"id": leave_out}}]}})
    return clauses


def filter_clause(given: Filter) -> Clause:
    match given:
        case Not(of=of):
            return {"bool": {"must_not": [filter_clause(of)]}}
        case AllOf(of=parts):
            return {"bool": {"filter": [filter_clause(part) for part in parts]}}
        case AnyOf(of=parts):
            return any_of([filter_clause(part) for part in parts])
        case Is(field="id", values=values):
            return {"terms": {"id": list(values)}}
        case Has(field=field):
            return {"exists": {"field": member_path(field, "v")}}
        case Is(field=field, values=values):
            numbers = [n for value in values if (n := as_number(value)) is not None and math.isfinite(n)]
            texts: Clause = {"terms": {member_path(field, "f"): [value.casefold() for value in values]}}
            return any_of([texts, {"terms": {member_path(field, "n"): numbers}}]) if numbers else texts
        case Within():
            bounds: dict[str, float] = {}
            if math.isfinite(given.low):
                bounds["gte" if given.low_included else "gt"] = given.low
            if math.isfinite(given.high):
                bounds["lte" if given.high_included else "lt"] = given.high
            path = member_path(given.field, "d" if given.dates else "n")
            return {"range": {path: bounds}} if bounds else {"exists": {"field": path}}


def sort_clauses(keys: Sequence[SortKey], kinds: Mapping[str, frozenset[str]]) -> list[Clause]:
    """Numbers where a member has any, else dates, else texts; of several the one that comes first; then by id."""
    clauses: list[Clause] = []
    for key in keys:
        held = kinds.get(key.field, frozenset())
        kind = next((kind for kind in ("n", "d", "s") if kind in held), "s")
        of = "keyword" if kind == "s" else "double"
        order, mode = ("desc", "max") if key.descending else ("asc", "min")
        clauses.append(
            {member_path(key.field, kind): {"order": order, "mode": mode, "missing": "_last", "unmapped_type": of}}
        )
    return [*clauses, {"id": "asc"}]


def browse_sort(weights: Sequence[float], scales: Sequence[float], at_s: float) -> list[Clause]:
    """By the weighted sum of the signals, then by id. scales: in days, of those that age; 0 for others."""
    fields = [f"signals.{column}" for column, _ in enumerate(weights)]
    script = {
        "source": _BROWSE,
        "params": {"weights": list(weights), "scales": list(scales), "fields": fields, "day": at_s / 86_400.0},
    }
    return [{"_script": {"type": "number", "script": script, "order": "desc"}}, {"id": "asc"}]


def facet_aggregation(asked: FacetRequest, n_more: int, within: Clause, *, numbers: bool) -> Clause:
    """What is counted of a member. n_more: values beyond those that are wanted. within: of what matches."""
    path = member_path(asked.field, "v")
    size = max(asked.max_values + n_more, 1)
    order = [{"_count": "desc"}, {"_key": "asc"}]
    counted: Clause = {
        "values": {"terms": {"field": path, "size": size, "order": order}},
        "n_values": {"cardinality": {"field": path, "precision_threshold": PRECISION}},
    }
    if numbers:
        counted["stats"] = {"stats": {"field": member_path(asked.field, "n")}}
    return {"filter": within, "aggs": counted}


def _pair(query: Query, place: int, fields: Sequence[int]) -> list[Clause]:
    """Two neighbours of the query, as a phrase, and how near they come in either order."""
    one, other = query.terms[place], query.terms[place + 1]
    apart = one.n_words - 1
    phrases = [_phrase(one, other, f"text.{field}", apart) for field in fields]
    near = [
        _phrase(*pair, f"text.{field}.near", NEAR_SLOP) for field in fields for pair in ((one, other), (other, one))
    ]
    return [_named(f"phrase.{place}", _best(phrases)), _named(f"near.{place}", _best(near))] if fields else []


def _phrase(one: QueryTerm, other: QueryTerm, field: str, slop: int) -> Clause:
    return {"match_phrase": {field: {"query": f"{_alternatives(one)} {_alternatives(other)}", "slop": slop}}}


def _term(term: QueryTerm, field: int) -> Clause:
    """BM25 of a term in a field: alternatives of equal weight are one word there, others the best of them."""
    by_weight: dict[float, list[str]] = {}
    for one in term.alternatives:
        by_weight.setdefault(one.weight, []).append(one.stem)
    path = f"text.{field}"
    return _best(
        [{"match": {path: {"query": BESIDE.join(dict.fromkeys(of)), "boost": w}}} for w, of in by_weight.items()]
    )


def _alternatives(term: QueryTerm) -> str:
    return BESIDE.join(dict.fromkeys(one.stem for one in term.alternatives))


def _best(clauses: Sequence[Clause]) -> Clause:
    return clauses[0] if len(clauses) == 1 else {"dis_max": {"queries": list(clauses)}}


def _named(name: str, clause: Clause) -> Clause:
    return {"bool": {"must": [clause], "_name": name}}


def any_of(clauses: Sequence[Clause]) -> Clause:
    return clauses[0] if len(clauses) == 1 else {"bool": {"should": list(clauses), "minimum_should_match": 1}}
