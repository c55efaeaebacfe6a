"""How the node orders hits: by attributes, or by signals if the query has no text. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from searchsvc.engines.dates import DAY_S
from searchsvc.engines.opensearch.clauses import Clause
from searchsvc.engines.opensearch.mapping import attribute_path
from searchsvc.engines.retrieval import SortKey

# The weighted sum of `searchsvc.engines.signals.values`.
_BROWSE_SCRIPT: Final = """
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


def sort_clauses(keys: Sequence[SortKey], attribute_kinds: Mapping[str, frozenset[str]]) -> list[Clause]:
    """Return the order by attributes, then by id.

    An attribute sorts by its numbers if it has any, else by its dates, else by its texts; of several values the one
    that comes first counts.

    attribute_kinds: kinds of values of each attribute, see `searchsvc.engines.opensearch.mapping`
    """
    clauses: list[Clause] = []
    for key in keys:
        kinds = attribute_kinds.get(key.field, frozenset())
        kind = next((kind for kind in ("n", "d", "s") if kind in kinds), "s")
        unmapped_type = "keyword" if kind == "s" else "double"
        order, mode = ("desc", "max") if key.descending else ("asc", "min")
        options = {"order": order, "mode": mode, "missing": "_last", "unmapped_type": unmapped_type}
        clauses.append({attribute_path(key.field, kind): options})
    return [*clauses, {"id": "asc"}]


def browse_sort(weights: Sequence[float], scales: Sequence[float], timestamp_s: float) -> list[Clause]:
    """Return the order by the weighted sum of the signals, then by id.

    weights: (n_signals,)
    scales: (n_signals,) half-life in days of ageing signals, 0 for others
    timestamp_s: the moment at which ageing signals are valued, in seconds since 1970
    """
    fields = [f"signals.{column}" for column, _ in enumerate(weights)]
    parameters = {"weights": list(weights), "scales": list(scales), "fields": fields, "day": timestamp_s / DAY_S}
    script = {"source": _BROWSE_SCRIPT, "params": parameters}
    return [{"_script": {"type": "number", "script": script, "order": "desc"}}, {"id": "asc"}]
