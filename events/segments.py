"""Segments as they are stored in the log: other weights for some searches. Pure data."""

from __future__ import annotations

from typing import Final

import msgspec

from events.errors import require
from events.rule_checks import check_conditions
from events.rules import MAX_PRIORITY, Conditions

MAX_SEGMENTS: Final = 1000


class Segment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Weights for the searches that meet conditions. Of several segments that a search meets, one counts.

    weights: by feature name; other features keep the weights of the index.
    priority: the highest goes first, then the order of rules: see docs/how-to/rules.md.
    """

    conditions: Conditions
    weights: dict[str, float]
    priority: int = 0
    enabled: bool = True


def check_segment(segment: Segment) -> None:
    """Raise InvalidInput naming the first member that is not valid; weights are checked by `tuning.weights`."""
    limit = f"a whole number from {-MAX_PRIORITY} to {MAX_PRIORITY}"
    require(abs(segment.priority) <= MAX_PRIORITY, "priority", segment.priority, limit)
    limit = "at least one condition; to change all searches, set the index's weights"
    require(segment.conditions != Conditions(), "conditions", "{}", limit)
    check_conditions(segment.conditions)
