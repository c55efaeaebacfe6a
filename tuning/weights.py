"""Which names and values weights may have. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from events.errors import InvalidInput, require
from events.hinges import feature_of

MIN_WEIGHT: Final = -100.0
MAX_WEIGHT: Final = 100.0

BoundsByName = Mapping[str, tuple[float, float]]


def check_weights(
    weights: Mapping[str, float], in_force: Mapping[str, float], bounds: BoundsByName, field: str = "weights"
) -> None:
    """Raise InvalidInput naming the first weight that is unknown, not finite, or out of bounds.

    weights: by name.
    in_force: weights in force; allowed names are its keys and their hinges.
    bounds: (lowest, highest) by name; other weights have `MIN_WEIGHT` and `MAX_WEIGHT`.
    field: name of the weights in messages.
    """
    require(bool(weights), field, {}, "at least one name")
    for name, value in weights.items():
        _require_known(name, in_force, field)
        lowest, highest = bounds.get(name, (MIN_WEIGHT, MAX_WEIGHT))
        if not math.isfinite(value) or not lowest <= value <= highest:
            limit = f"a finite number from {lowest:g} to {highest:g}"
            path = f"{field}.{name}"
            raise InvalidInput(f"{path} is {value}; allowed: {limit}", field=path, value=value, limit=limit)


def check_limits(
    bounds: Mapping[str, tuple[float, float] | None], locks: Mapping[str, bool], weights: Mapping[str, float]
) -> None:
    """Raise InvalidInput naming the first bound or lock that is unknown, or whose bounds are empty or exclude the
    weight.

    bounds: (lowest, highest) by name; None removes them.
    weights: the weights that will be in force.
    """
    for name in locks:
        _require_known(name, weights, "locks")
    for name, pair in bounds.items():
        _require_known(name, weights, "bounds")
        if pair is None:
            continue
        lowest, highest = pair
        ordered = math.isfinite(lowest) and math.isfinite(highest) and MIN_WEIGHT <= lowest <= highest <= MAX_WEIGHT
        limit = f"[lowest, highest] from {MIN_WEIGHT:g} to {MAX_WEIGHT:g}, lowest first"
        require(ordered, f"bounds.{name}", list(pair), limit)
        weight = weights.get(name, 0.0)
        limit = f"bounds that include the weight in force, {weight:g}"
        require(lowest <= weight <= highest, f"bounds.{name}", list(pair), limit)


def _require_known(name: str, weights: Mapping[str, float], field: str) -> None:
    if feature_of(name) not in weights:
        limit = f"one of {', '.join(weights)}"
        message = f"there is no weight {name[:80]!r}; allowed: {limit}"
        raise InvalidInput(message, field=f"{field}.{name}", value=name, limit=limit)
