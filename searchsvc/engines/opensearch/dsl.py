"""A retrieval as the node is asked for it. Pure.

What a document has to hold, and what it scores, is one query; what of the query each hit holds is told by *named*
clauses that stand where they neither filter nor score, as few as can be, because the node looks at each for each hit:
`bm25.<field>`; `held.<place>`, a bit for that term and each after it; `near.<place>` of a term and the next, which
tells a phrase as well; `title` where the title is the query.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np

from searchsvc.analysis.query import Query, QueryTerm
from searchsvc.engines.attributes import parse_number
from searchsvc.engines.columnar.statistics import QueryStatistics
from searchsvc.engines.dates import DAY_S
from searchsvc.engines.filters import AllOf, AnyOf, Exists, Filter, Is, Not, Range
from searchsvc.engines.opensearch.mapping import BESIDE, VECTOR, member_path, title_key
from searchsvc.engines.retrieval import FacetRequest, SortKey
from tuning.arrays import BoolArray, FloatArray, ScoreArray

Clause = dict[str, Any]
# What documents that hold every term are lifted by, above all others; a score stays exact enough beside it.
LIFT: Final = 1000.0
NEAR_SLOP: Final = 7
ALMOST_ONE: Final = 0.999
# So many a score holds exactly.
HELD_BITS: Final = 20
# The node counts distinct values exactly up to so many.
PRECISION: Final = 40_000
SHARD_FACTOR: Final = 10
MIN_SHARD_SIZE: Final = 1000
EVERYTHING: Final[Clause] = {"match_all": {}}
NOTHING: Final[Clause] = {"match_none": {}}
LIVE: Final[Clause] = {"term": {"live": True}}
REFUSED: Final[Clause] = {"exists": {"field": "refused"}}
# As `searchsvc.engines.signals.values`, added up by their weights.
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


def asked_of(
    query: Query, statistics: QueryStatistics, boosts: Sequence[float], rarity: Callable[[str, int], float]
) -> Asked:
    """boosts: (n_fields,), 0 or more. rarity: the idf of a stem in a field, 0 where that never holds it."""
    known = statistics.known.tolist()
    places = [place for place, _ in enumerate(query.terms) if known[place]]
    held = {place: {"match": {"all": _alternatives(query.terms[place])}} for place in places}
    fields = [
        [
            _term(query.terms[place], field, float(idf), rarity)
            for place in places
            if (idf := statistics.idf[place, field]) > 0.0
        ]
        for field in range(statistics.idf.shape[1])
    ]
    wanted = [place for place in query.required_positions if known[place]]
    scored = [{"bool": {"should": clauses, "boost": boosts[field]}} for field, clauses in enumerate(fields) if clauses]
    named = [_named(f"bm25.{field}", *clauses) for field, clauses in enumerate(fields) if clauses]
    for first in range(0, len(query.terms), HELD_BITS):
        bits = [
            {"constant_score": {"filter": held[place], "boost": float(2 ** (place - first))}}
            for place in places
            if first <= place < first + HELD_BITS
        ]
        named += [_named(f"held.{first}", *bits)] if bits else []
    for place in range(len(query.terms) - 1):
        if known[place] and known[place + 1]:
            named.append(_pair(query, place))
    if query.words:
        named.append({"term": {"title": {"value": title_key(query.words), "_name": "title"}}})
    return Asked(
        all={"bool": {"filter": [held[place] for place in wanted]}} if wanted else None,
        some=any_of([held[place] for place in wanted]) if wanted else None,
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


def clause_names(query: Query, n_fields: int) -> list[str]:
    """The columns of the table that `told` reads: a clause that a hit does not match has the score 0."""
    return [
        *(f"bm25.{field}" for field in range(n_fields)),
        "title",
        *(f"held.{first}" for first in range(0, len(query.terms), HELD_BITS)),
        *(f"near.{place}" for place in range(len(query.terms) - 1)),
    ]


class Told(msgspec.Struct, frozen=True):
    """What named clauses tell of n hits. bm25: (n, n_fields). title: (n,) whether it is the query. held: (n, n_terms)
    which terms each has. phrases, nearness: (n,) how many of the query's neighbours are neighbours there, and how near
    they come, as shares of all."""

    bm25: ScoreArray
    title: BoolArray
    held: BoolArray
    phrases: ScoreArray
    nearness: ScoreArray


def told(table: ScoreArray, query: Query, n_fields: int) -> Told:
    """table: (n, n_names) scores, as `clause_names` has them.

    The node adds up one over the distance of every place where two neighbours stand, one more for two that changed
    places. What is at least a phrase's score is taken for one.
    """
    n_terms, n_pairs = len(query.terms), max(len(query.terms) - 1, 0)
    first_held, first_near = n_fields + 1, table.shape[1] - n_pairs
    bits = table[:, first_held:first_near].astype(np.int64)
    held = np.array([bits[:, place // HELD_BITS] >> place % HELD_BITS & 1 for place in range(n_terms)], np.bool_).T
    near = table[:, first_near:]
    lengths = np.array([term.n_words for term in query.terms[:n_pairs]])
    phrases = (near * lengths >= ALMOST_ONE).sum(axis=1) / max(n_pairs, 1)
    nearness = np.minimum(near, 1.0).sum(axis=1) / max(n_pairs, 1)
    return Told(table[:, :n_fields], table[:, n_fields] > 0.0, held, phrases, nearness)


def mark_name(at: int) -> str:
    return f"mark.{at}"


def with_marks(named: Clause, marked: Sequence[Filter]) -> Clause:
    """Named clauses, and one for each filter of which it will be asked what passes it."""
    marks = [{"bool": {"filter": [filter_clause(one)], "_name": mark_name(at)}} for at, one in enumerate(marked)]
    return {"bool": {"should": [*named["bool"]["should"], *marks]}} if marks else named


def matching(asked: Asked, operator: str) -> Clause:
    """What matches, unscored."""
    return (asked.all if operator == "all" else asked.some) or NOTHING


def nearest_query(vector: FloatArray, k: int, filters: Sequence[Clause], named: Clause) -> Clause:
    """The k nearest of what passes the filters."""
    within = {"bool": {"filter": list(filters)}}
    knn = {"knn": {VECTOR: {"vector": [float(value) for value in vector], "k": k, "filter": within}}}
    return {"bool": {"must": [knn], "filter": [named]}}


def among_query(ids: Sequence[str], filters: Sequence[Clause], named: Clause) -> Clause:
    """What passes the filters, of some documents."""
    return {"bool": {"filter": [*filters, {"terms": {"id": list(ids)}}, named]}}


def filter_clauses(given: Sequence[Filter | None], leave_out: str | None) -> list[Clause]:
    """What every search has to pass."""
    clauses = [LIVE, *(filter_clause(one) for one in given if one is not None)]
    if leave_out is not None:
        clauses.append({"bool": {"must_not": [{"term": {"id": leave_out}}]}})
    return clauses


def filter_clause(given: Filter) -> Clause:
    match given:
        case Not(part=part):
            return {"bool": {"must_not": [filter_clause(part)]}}
        case AllOf(parts=parts):
            return {"bool": {"filter": [filter_clause(part) for part in parts]}}
        case AnyOf(parts=parts):
            return any_of([filter_clause(part) for part in parts])
        case Is(field="id", values=values):
            return {"terms": {"id": list(values)}}
        case Exists(field=field):
            return {"exists": {"field": member_path(field, "v")}}
        case Is(field=field, values=values):
            numbers = [n for value in values if (n := parse_number(value)) is not None and math.isfinite(n)]
            texts: Clause = {"terms": {member_path(field, "f"): [value.casefold() for value in values]}}
            return any_of([texts, {"terms": {member_path(field, "n"): numbers}}]) if numbers else texts
        case Range():
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
        "params": {"weights": list(weights), "scales": list(scales), "fields": fields, "day": at_s / DAY_S},
    }
    return [{"_script": {"type": "number", "script": script, "order": "desc"}}, {"id": "asc"}]


def facet_aggregation(asked: FacetRequest, n_more: int, within: Clause, *, numbers: bool, n_shards: int = 1) -> Clause:
    """What is counted of a member. n_more: values beyond those that are wanted. within: of what matches. n_shards: of
    several, each names more of its own, so that what is frequent in all is known of each."""
    path = member_path(asked.field, "v")
    size = max(asked.max_values + n_more, 1)
    order = [{"_count": "desc"}, {"_key": "asc"}]
    each = {"shard_size": max(SHARD_FACTOR * size, MIN_SHARD_SIZE)} if n_shards > 1 else {}
    counted: Clause = {
        "values": {"terms": {"field": path, "size": size, "order": order, **each}},
        "n_values": {"cardinality": {"field": path, "precision_threshold": PRECISION}},
    }
    if numbers:
        counted["stats"] = {"stats": {"field": member_path(asked.field, "n")}}
    return {"filter": within, "aggs": counted}


def _pair(query: Query, place: int) -> Clause:
    """How near two neighbours of the query come: see `nearness`."""
    words = f"{_alternatives(query.terms[place])} {_alternatives(query.terms[place + 1])}"
    return _named(f"near.{place}", {"match_phrase": {"all": {"query": words, "slop": NEAR_SLOP}}})


def _term(term: QueryTerm, field: int, idf: float, rarity: Callable[[str, int], float]) -> Clause:
    """BM25 of a term in a field: alternatives of equal weight are one word there, others the best of them.

    The node takes each for as rare as it is itself; here all are as rare as the term (idf), or what is hardly ever
    spelt so would count for more than what was meant.
    """
    by_weight: dict[float, dict[str, float]] = {}
    for one in term.alternatives:
        own = rarity(one.stem, field)
        if own > 0.0:
            by_weight.setdefault(one.weight, {})[one.stem] = own
    matches = [
        # The most frequent of a group says how rare it is.
        {"query": BESIDE.join(group), "boost": weight * idf / min(group.values())}
        for weight, group in by_weight.items()
    ]
    return _best([{"match": {f"text.{field}": one}} for one in matches])


def _alternatives(term: QueryTerm) -> str:
    return BESIDE.join(dict.fromkeys(one.stem for one in term.alternatives))


def _best(clauses: Sequence[Clause]) -> Clause:
    return clauses[0] if len(clauses) == 1 else {"dis_max": {"queries": list(clauses)}}


def _named(name: str, *clauses: Clause) -> Clause:
    return {"bool": {"should": list(clauses), "_name": name}}


def any_of(clauses: Sequence[Clause]) -> Clause:
    return clauses[0] if len(clauses) == 1 else {"bool": {"should": list(clauses), "minimum_should_match": 1}}
