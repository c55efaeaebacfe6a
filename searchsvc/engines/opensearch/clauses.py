"""Clauses of OpenSearch's query language: filters, and queries that do not depend on words. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from searchsvc.engines.filters import AllOf, AnyOf, Exists, Filter, Is, Not, Range
from searchsvc.engines.opensearch.attribute_columns import (
    KINDS,
    NUMBER,
    TEXT,
    AttributeKinds,
    after_prefix,
    column,
    kinds_of_attribute,
    prefix,
)
from searchsvc.engines.opensearch.mapping import VECTOR
from searchsvc.engines.values import Reading, equal_keys, number_key
from tuning.arrays import FloatArray

Clause = dict[str, Any]
EVERYTHING: Final[Clause] = {"match_all": {}}
NOTHING: Final[Clause] = {"match_none": {}}
LIVE: Final[Clause] = {"term": {"live": True}}
REFUSED: Final[Clause] = {"exists": {"field": "refused"}}


def any_of(clauses: Sequence[Clause]) -> Clause:
    """Return the clause that matches what any of these match."""
    return clauses[0] if len(clauses) == 1 else {"bool": {"should": list(clauses), "minimum_should_match": 1}}


def ids_clause(ids: Sequence[str]) -> Clause:
    """Return the clause that matches the documents with these ids."""
    return {"terms": {"id": list(ids)}}


def scope_clauses(scope: Filter | None, kinds: AttributeKinds, excluded_id: str | None) -> list[Clause]:
    """Return the clauses that every document of a scope matches.

    kinds: of the values of each attribute
    excluded_id: id of a document to leave out
    """
    clauses = [LIVE, *([filter_clause(scope, kinds)] if scope is not None else [])]
    if excluded_id is not None:
        clauses.append({"bool": {"must_not": [{"term": {"id": excluded_id}}]}})
    return clauses


def filter_clause(condition: Filter, kinds: AttributeKinds) -> Clause:
    """Return the clause of a filter. kinds: of the values of each attribute"""
    match condition:
        case Not(part=part):
            return {"bool": {"must_not": [filter_clause(part, kinds)]}}
        case AllOf(parts=parts):
            return {"bool": {"filter": [filter_clause(part, kinds) for part in parts]}}
        case AnyOf(parts=parts):
            return any_of([filter_clause(part, kinds) for part in parts])
        case Is(field="id", values=values):
            return ids_clause(values)
        case Exists(field=field):
            return {"terms": {KINDS: [prefix(field) + kind for kind in ("number", "text")]}}
        case Is(field=field, values=values):
            of_field = kinds_of_attribute(kinds, field)
            keys = [key for value in values for key in equal_keys(value, of_field)]
            return {"terms": {column("v", field): [prefix(field) + key for key in dict.fromkeys(keys)]}}
        case Range():
            return _range_clause(condition, kinds_of_attribute(kinds, condition.field))


def nearest_query(vector: FloatArray, k: int, filters: Sequence[Clause], named: Clause) -> Clause:
    """Return the query for the k documents nearest to a vector, of those that pass the filters.

    named: clauses whose scores each hit reports, see `searchsvc.engines.opensearch.named_scores`
    """
    within = {"bool": {"filter": list(filters)}}
    knn = {"knn": {VECTOR: {"vector": [float(value) for value in vector], "k": k, "filter": within}}}
    return {"bool": {"must": [knn], "filter": [named]}}


def among_query(ids: Sequence[str], filters: Sequence[Clause], named: Clause) -> Clause:
    """Return the query for those of some documents that pass the filters. named: as in `nearest_query`."""
    return {"bool": {"filter": [*filters, ids_clause(ids), named]}}


def _range_clause(condition: Range, kinds: frozenset[str]) -> Clause:
    """Return the clause of a range. kinds: of the values of its attribute"""
    name = condition.field
    if condition.dates and "no date" in kinds:
        return NOTHING
    if condition.dates or Reading.of_kinds(kinds).amounts:
        path, start, end = column("d" if condition.dates else "n", name), prefix(name), after_prefix(name)
    else:
        path, start, end = column("o", name), prefix(name) + NUMBER, prefix(name) + TEXT
    bounds = {"gte": start, "lt": end}
    if math.isfinite(condition.low):
        del bounds["gte"]
        bounds["gte" if condition.low_included else "gt"] = start + number_key(condition.low)
    if math.isfinite(condition.high):
        del bounds["lt"]
        bounds["lte" if condition.high_included else "lt"] = start + number_key(condition.high)
    return {"range": {path: bounds}}
