"""Count the values of an attribute on the node. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from searchsvc.engines.opensearch import replies
from searchsvc.engines.opensearch.attribute_columns import (
    NUMBER,
    AttributeKinds,
    column,
    kinds_of_attribute,
    prefix,
    with_prefix,
    with_words,
)
from searchsvc.engines.opensearch.clauses import EVERYTHING, Clause, filter_clause
from searchsvc.engines.retrieval import Facet, FacetRequest, FacetStats, FacetValue, most_frequent_first
from searchsvc.engines.values import Reading, read_text

# The node counts distinct values exactly up to this many.
PRECISION_THRESHOLD: Final = 40_000
# Each shard reports more values than are needed, so that a value that is frequent in all is counted by each.
SHARD_FACTOR: Final = 10
MIN_SHARD_SIZE: Final = 1000
# Spellings to report for each value, so that the usual one of each is among them.
SPELLINGS_FACTOR: Final = 2
MIN_SPELLINGS: Final = 50
MAX_TRUTHS: Final = 100
# Values that are looked through for words, as they are written.
MIN_WITH_WORDS: Final = 1000

# The numbers of an attribute, from letters that order as they do: see `searchsvc.engines.values.number_key`.
_NUMBERS_SCRIPT: Final = """
List numbers = new ArrayList();
int start = params.prefix.length();
for (def value : doc[params.column]) {
  if (value.startsWith(params.prefix)) {
    long bits = Long.parseUnsignedLong(value.substring(start, start + 16), 16);
    numbers.add(Double.longBitsToDouble(bits < 0 ? bits ^ Long.MIN_VALUE : ~bits));
  }
}
return numbers;
"""
_KEYS_SCRIPT: Final = """
List keys = new ArrayList();
for (def value : doc[params.column]) { if (value.startsWith(params.prefix)) { keys.add(value); } }
return keys;
"""


def facet_aggregation(request: FacetRequest, kinds: AttributeKinds, *, n_shards: int = 1) -> Clause:
    """Return the aggregation that counts the values of an attribute. kinds: of the values of each attribute"""
    name, size = request.field, max(request.max_values, 1)
    if Reading.of_kinds(kinds_of_attribute(kinds, name)).truths:
        # Yes in any language is one value.
        size = max(size, MAX_TRUTHS)
    within = {str(i): filter_clause(condition, kinds) for i, condition in enumerate(request.range_filters())}
    ranges: Clause = {"ranges": {"filters": {"filters": within}}} if within else {}
    if request.beginnings:
        terms = _most_frequent("w", name, max(size, MIN_WITH_WORDS), n_shards, with_words(name, request.beginnings))
        return {"filter": EVERYTHING, "aggs": {"values": terms, **ranges}}
    counts: Clause = {
        **ranges,
        "values": _most_frequent("v", name, size, n_shards, with_prefix(name)),
        "spellings": _most_frequent("s", name, SPELLINGS_FACTOR * size + MIN_SPELLINGS, n_shards, with_prefix(name)),
        "n_values": {"cardinality": {**_distinct(name, kinds), "precision_threshold": PRECISION_THRESHOLD}},
    }
    numbers = _numbers(name, kinds)
    if numbers is not None:
        script = {"source": _NUMBERS_SCRIPT, "params": {"column": numbers[0], "prefix": numbers[1]}}
        counts["stats"] = {"stats": {"script": script}}
    return {"filter": EVERYTHING, "aggs": counts}


def facet(request: FacetRequest, counted: replies.Aggregation, kinds: AttributeKinds) -> Facet:
    """Return what the node counted.

    counted: the reply to `facet_aggregation`
    kinds: of the values of each attribute
    """
    facet = _with_words(request, counted) if request.beginnings else _values(request, counted, kinds)
    in_ranges = [counted.ranges.buckets[str(i)].doc_count for i, _ in enumerate(request.ranges)]
    return facet.with_ranges(request.ranges, in_ranges)


def _with_words(request: FacetRequest, counted: replies.Aggregation) -> Facet:
    """Return the counts of the values that have the words that were asked for."""
    texts = _by_key(request.field, counted.values)
    counts, usual = Counter[str](), dict[str, str]()
    for text, n in sorted(texts.items(), key=lambda item: (-item[1], item[0])):
        _, key, spelling = text.split("\0", 2)
        counts[key] += n
        usual.setdefault(key, spelling)
    return Facet(_listed(request, counts, usual), len(counts), None)


def _values(request: FacetRequest, counted: replies.Aggregation, kinds: AttributeKinds) -> Facet:
    """Return the counts of all values."""
    counts = Counter(_by_key(request.field, counted.values))
    spellings = Counter(_by_key(request.field, counted.spellings))
    n_values = int(counted.n_values.value or 0) if counted.values.sum_other_doc_count else len(counts)
    if Reading.of_kinds(kinds_of_attribute(kinds, request.field)).truths:
        counts, spellings = _by_truth(counts), _spellings_by_truth(spellings)
        n_values = len(counts)
    usual: dict[str, str] = {}
    for spelling, _ in sorted(spellings.items(), key=lambda item: (-item[1], item[0])):
        key, _, text = spelling.partition("\0")
        usual.setdefault(key, text)
    return Facet(_listed(request, counts, usual), n_values, _stats(counted.stats))


def _listed(request: FacetRequest, counts: Mapping[str, int], usual: Mapping[str, str]) -> list[FacetValue]:
    """Return the most frequent values, by their keys. usual: how they are written"""
    values = [FacetValue(usual.get(key, key), n) for key, n in counts.items()]
    return most_frequent_first(values)[: request.max_values]


def _most_frequent(kind: str, name: str, size: int, n_shards: int, pattern: str) -> Clause:
    order = [{"_count": "desc"}, {"_key": "asc"}]
    each_shard = {"shard_size": max(SHARD_FACTOR * size, MIN_SHARD_SIZE)} if n_shards > 1 else {}
    return {
        "terms": {
            "field": column(kind, name),
            "include": pattern,
            "size": size,
            "order": order,
            **each_shard,
        }
    }


def _distinct(name: str, kinds: AttributeKinds) -> Clause:
    """Return what the node counts distinct values of: a column, if no other attribute is in it."""
    path = column("v", name)
    if all(column("v", other) != path for other in kinds if other != name):
        return {"field": path}
    return {"script": {"source": _KEYS_SCRIPT, "params": {"column": path, "prefix": prefix(name)}}}


def _numbers(name: str, kinds: AttributeKinds) -> tuple[str, str] | None:
    """Return the column that has the numbers of an attribute, and what they begin with; None if it has none."""
    of_name = kinds_of_attribute(kinds, name)
    if Reading.of_kinds(of_name).amounts:
        return column("n", name), prefix(name)
    return (column("o", name), prefix(name) + NUMBER) if "number" in of_name else None


def _by_key(name: str, terms: replies.Terms) -> dict[str, int]:
    start = len(prefix(name))
    return {bucket.key[start:]: bucket.doc_count for bucket in terms.buckets}


def _by_truth(counts: Counter[str]) -> Counter[str]:
    by_truth: Counter[str] = Counter()
    for key, n in counts.items():
        by_truth[_truth_key(key)] += n
    return by_truth


def _spellings_by_truth(spellings: Counter[str]) -> Counter[str]:
    by_truth: Counter[str] = Counter()
    for spelling, n in spellings.items():
        key, _, text = spelling.partition("\0")
        by_truth[f"{_truth_key(key)}\0{text}"] += n
    return by_truth


def _truth_key(key: str) -> str:
    return "true" if read_text(key).truth else "false"


def _stats(counted: replies.Stats | None) -> FacetStats | None:
    if counted is None or counted.min is None or counted.max is None:
        return None
    return FacetStats.from_totals(counted.min, counted.max, counted.sum, counted.count)
