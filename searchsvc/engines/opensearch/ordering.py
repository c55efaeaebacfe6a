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
from searchsvc.engines.values import Reading, words_of_truth

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
  if (found != null) { return part.before + (part.whole ? found.substring(part.prefix.length()) : ""); }
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


def _parts(name: str, reading: Reading) -> list[dict[str, str | bool]]:
    """Return where the values of an attribute stand in order."""
    if reading.truths:
        # No text of the attribute is another, so a beginning that others share is enough.
        words = [(str(int(truth)), word) for truth in (False, True) for word in words_of_truth(truth)]
        return [_part("v", name, word, before, whole=False) for before, word in words]
    if reading.amounts:
        return [_part("n", name, "", NUMBER)]
    if reading.dates:
        return [_part("o", name, NUMBER, NUMBER), _part("d", name, "", TEXT)]
    return [_part("o", name, "", "")]


def _part(kind: str, name: str, beginning: str, before: str, *, whole: bool = True) -> dict[str, str | bool]:
    """Return some values of an attribute.

    kind: of the column that they are in
    beginning: of these values
    before: what they are ordered by first
    whole: whether they are then ordered by what follows their beginning
    """
    return {"column": column(kind, name), "prefix": prefix(name) + beginning, "before": before, "whole": whole}


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
