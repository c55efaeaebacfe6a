"""Weights: which names and numbers are allowed. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from events.errors import InvalidInput

MIN_WEIGHT: Final = -100.0
MAX_WEIGHT: Final = 100.0


def check_weights(given: Mapping[str, float], known: Mapping[str, float]) -> None:
    """Raise InvalidInput naming the first weight that is not of this index, not finite, or out of bounds.

    known: the index's present weights; its keys are all the names there are.
    """
    if not given:
        raise InvalidInput("weights is empty", field="weights", limit="at least one name")
    for name, value in given.items():
        field = f"weights.{name}"
        if name not in known:
            limit = f"one of {', '.join(known)}"
            raise InvalidInput(
                f"there is no weight {name[:80]!r}; allowed: {limit}", field=field, value=name, limit=limit
            )
        if not math.isfinite(value) or not MIN_WEIGHT <= value <= MAX_WEIGHT:
            limit = f"a finite number from {MIN_WEIGHT:g} to {MAX_WEIGHT:g}"
            raise InvalidInput(f"{field} is {value}; allowed: {limit}", field=field, value=value, limit=limit)
