"""How the node orders hits: by attributes, or by signals if the query has no text. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from searchsvc.engines.dates import DAY_S
from searchsvc.engines.opensearch.attribute_columns import (
    NUMBER,
    TEXT,
    AttributeKinds,
    column,
    kinds_of_attribute,
    prefix,
)
from searchsvc.engines.opensearch.clauses import Clause
from searchsvc.engines.retrieval import SortKey
from searchsvc.engines.values import Reading

# The first or the last value of an attribute; a document without one comes last.
_ORDER_SCRIPT: Final = """
for (def part : params.parts) {
  String found = null;
  for (def value : doc[part.column]) {
    if (value.startsWith(part.prefix)) {
      found = value;
      if (!params.last) { break; }
    }
  }
  if (found != null) { return part.before + found.substring(part.prefix.length()); }
}
return params.last ? "" : "~";
"""
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


def sort_clauses(keys: Sequence[SortKey], kinds: AttributeKinds) -> list[Clause]:
    """Return the order by attributes, then by id.

    Numbers come before texts; of several values the one that comes first counts.

    kinds: of the values of each attribute
    """
    clauses: list[Clause] = []
    for key in keys:
        parts = _parts(key.field, Reading.of_kinds(kinds_of_attribute(kinds, key.field)))
        parameters = {"parts": parts if not key.descending else parts[::-1], "last": key.descending}
        order = "desc" if key.descending else "asc"
        script = {"source": _ORDER_SCRIPT, "params": parameters}
        clauses.append({"_script": {"type": "string", "script": script, "order": order}})
    return [*clauses, {"id": "asc"}]


def _parts(name: str, reading: Reading) -> list[dict[str, str]]:
    """Return where the values of an attribute stand in order: columns, what they begin with, and what goes before."""
    if reading.amounts:
        return [{"column": column("n", name), "prefix": prefix(name), "before": NUMBER}]
    if reading.dates:
        numbers = {"column": column("o", name), "prefix": prefix(name) + NUMBER, "before": NUMBER}
        return [numbers, {"column": column("d", name), "prefix": prefix(name), "before": TEXT}]
    return [{"column": column("o", name), "prefix": prefix(name), "before": ""}]


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
