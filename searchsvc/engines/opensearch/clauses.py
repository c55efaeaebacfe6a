"""Clauses of OpenSearch's query language: filters, and queries that do not depend on words. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from searchsvc.engines.attributes import parse_number
from searchsvc.engines.filters import AllOf, AnyOf, Exists, Filter, Is, Not, Range
from searchsvc.engines.opensearch.mapping import VECTOR, attribute_path
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


def scope_clauses(scope: Filter | None, excluded_id: str | None) -> list[Clause]:
    """Return the clauses that every document of a scope matches. excluded_id: id of a document to leave out"""
    clauses = [LIVE, *([filter_clause(scope)] if scope is not None else [])]
    if excluded_id is not None:
        clauses.append({"bool": {"must_not": [{"term": {"id": excluded_id}}]}})
    return clauses


def filter_clause(condition: Filter) -> Clause:
    """Return the clause of a filter."""
    match condition:
        case Not(part=part):
            return {"bool": {"must_not": [filter_clause(part)]}}
        case AllOf(parts=parts):
            return {"bool": {"filter": [filter_clause(part) for part in parts]}}
        case AnyOf(parts=parts):
            return any_of([filter_clause(part) for part in parts])
        case Is(field="id", values=values):
            return ids_clause(values)
        case Exists(field=field):
            return {"exists": {"field": attribute_path(field, "v")}}
        case Is(field=field, values=values):
            numbers = [n for value in values if (n := parse_number(value)) is not None and math.isfinite(n)]
            texts: Clause = {"terms": {attribute_path(field, "f"): [value.casefold() for value in values]}}
            return any_of([texts, {"terms": {attribute_path(field, "n"): numbers}}]) if numbers else texts
        case Range():
            return _range_clause(condition)


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


def _range_clause(condition: Range) -> Clause:
    bounds: dict[str, float] = {}
    if math.isfinite(condition.low):
        bounds["gte" if condition.low_included else "gt"] = condition.low
    if math.isfinite(condition.high):
        bounds["lte" if condition.high_included else "lt"] = condition.high
    path = attribute_path(condition.field, "d" if condition.dates else "n")
    return {"range": {path: bounds}} if bounds else {"exists": {"field": path}}
