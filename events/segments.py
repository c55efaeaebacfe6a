"""Weights for some searches only, as they are stored in the log. Pure data."""

from __future__ import annotations

from typing import Final

import msgspec

from events.errors import require
from events.rules import MAX_PRIORITY, Conditions, check_conditions

MAX_SEGMENTS: Final = 1000


class Segment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The searches that meet the conditions, and the weights that differ for them; other features keep the index's.

    Of several that hold, one counts: that of the higher priority, then as rules go before one another.
    """

    conditions: Conditions
    weights: dict[str, float]
    priority: int = 0
    enabled: bool = True


def check_segment(segment: Segment) -> None:
    """Raise InvalidInput naming the first member that cannot be honoured, its weights aside."""
    limit = f"a whole number from {-MAX_PRIORITY} to {MAX_PRIORITY}"
    require(abs(segment.priority) <= MAX_PRIORITY, "priority", segment.priority, limit)
    require(segment.conditions != Conditions(), "conditions", "{}", "at least one: without, set the index's weights")
    check_conditions(segment.conditions)
