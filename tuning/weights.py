"""Weights: which names and numbers are allowed. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from events.errors import InvalidInput, require
from events.hinges import feature_of

MIN_WEIGHT: Final = -100.0
MAX_WEIGHT: Final = 100.0

Bounds = Mapping[str, tuple[float, float]]


def check_weights(
    given: Mapping[str, float], known: Mapping[str, float], bounds: Bounds, field: str = "weights"
) -> None:
    """Raise InvalidInput naming the first weight that is not of this index, not finite, or out of bounds.

    known: the index's present weights; its keys are all the names there are, and their bends. bounds: (least, most) of
    those that have other ones than usual. field: what errors call the weights.
    """
    require(bool(given), field, {}, "at least one name")
    for name, value in given.items():
        _require_known(name, known, field)
        least, most = bounds.get(name, (MIN_WEIGHT, MAX_WEIGHT))
        if not math.isfinite(value) or not least <= value <= most:
            limit = f"a finite number from {least:g} to {most:g}"
            at = f"{field}.{name}"
            raise InvalidInput(f"{at} is {value}; allowed: {limit}", field=at, value=value, limit=limit)


def check_limits(
    bounds: Mapping[str, tuple[float, float] | None], locks: Mapping[str, bool], known: Mapping[str, float]
) -> None:
    """Raise InvalidInput naming the first limit that is not of this index, or bounds between which nothing lies, or
    not the weight in force. known: the weights, as they would be then."""
    for name in locks:
        _require_known(name, known, "locks")
    for name, given in bounds.items():
        _require_known(name, known, "bounds")
        if given is None:
            continue
        least, most = given
        well = math.isfinite(least) and math.isfinite(most) and MIN_WEIGHT <= least <= most <= MAX_WEIGHT
        limit = f"[least, most] from {MIN_WEIGHT:g} to {MAX_WEIGHT:g}, least first"
        require(well, f"bounds.{name}", list(given), limit)
        held = known.get(name, 0.0)
        holds = f"bounds that hold the weight in force, {held:g}"
        require(least <= held <= most, f"bounds.{name}", list(given), holds)


def _require_known(name: str, known: Mapping[str, float], field: str) -> None:
    if feature_of(name) not in known:
        limit = f"one of {', '.join(known)}"
        message = f"there is no weight {name[:80]!r}; allowed: {limit}"
        raise InvalidInput(message, field=f"{field}.{name}", value=name, limit=limit)
