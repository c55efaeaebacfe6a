"""Count the values of an attribute: on the node, and here for documents that its keyword query does not match. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from searchsvc.engines.opensearch import replies
from searchsvc.engines.opensearch.clauses import Clause
from searchsvc.engines.opensearch.mapping import attribute_path
from searchsvc.engines.retrieval import Facet, FacetRequest, FacetStats, FacetValue

# The node counts distinct values exactly up to this many.
PRECISION_THRESHOLD: Final = 40_000
# Each shard reports more values than are needed, so that a value that is frequent in all is counted by each.
SHARD_FACTOR: Final = 10
MIN_SHARD_SIZE: Final = 1000

FieldValues = Mapping[str, Sequence[str | float | bool]]


def facet_aggregation(
    request: FacetRequest, n_more: int, matching: Clause, *, has_numbers: bool, n_shards: int = 1
) -> Clause:
    """Return the aggregation that counts the values of an attribute.

    n_more: values to report beyond those requested
    matching: which of the hits to count
    has_numbers: whether any document has a number in the attribute
    """
    path = attribute_path(request.field, "v")
    size = max(request.max_values + n_more, 1)
    order = [{"_count": "desc"}, {"_key": "asc"}]
    each_shard = {"shard_size": max(SHARD_FACTOR * size, MIN_SHARD_SIZE)} if n_shards > 1 else {}
    counts: Clause = {
        "values": {"terms": {"field": path, "size": size, "order": order, **each_shard}},
        "n_values": {"cardinality": {"field": path, "precision_threshold": PRECISION_THRESHOLD}},
    }
    if has_numbers:
        counts["stats"] = {"stats": {"field": attribute_path(request.field, "n")}}
    return {"filter": matching, "aggs": counts}


def facet_paths(request: FacetRequest) -> list[str]:
    """Return the fields that each hit must report, so that `facet` can count it."""
    return [attribute_path(request.field, kind) for kind in ("v", "n")]


def facet(request: FacetRequest, counted: replies.Aggregation, uncounted: Sequence[FieldValues]) -> Facet:
    """Return the counts of the match set.

    counted: what the node counted
    uncounted: fields of the documents of the match set that it did not count
    """
    counts = {bucket.key: bucket.doc_count for bucket in counted.values.buckets}
    n_new = 0
    numbers: list[float] = []
    value_path, number_path = facet_paths(request)
    for fields in uncounted:
        for value in fields.get(value_path, ()):
            n_new += value not in counts
            counts[str(value)] = counts.get(str(value), 0) + 1
        numbers += [float(number) for number in fields.get(number_path, ())]
    is_complete = not counted.values.sum_other_doc_count
    n_values = len(counts) if is_complete else int(counted.n_values.value or 0) + n_new
    values = [FacetValue(value, count) for value, count in counts.items()]
    values.sort(key=lambda value: (-value.count, value.value))
    return Facet(values[: request.max_values], n_values, _stats(counted.stats, numbers))


def _stats(counted: replies.Stats | None, numbers: Sequence[float]) -> FacetStats | None:
    n = (counted.count if counted else 0) + len(numbers)
    if not n:
        return None
    lows, highs, total = list(numbers), list(numbers), sum(numbers)
    if counted is not None and counted.min is not None and counted.max is not None:
        lows, highs, total = [*lows, counted.min], [*highs, counted.max], total + counted.sum
    return FacetStats(min(lows), max(highs), total / n, total)
