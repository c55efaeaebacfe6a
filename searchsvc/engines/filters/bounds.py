"""The bounds of a range: numbers, or dates that may last a whole day. Pure."""

from __future__ import annotations

import math

import msgspec

from searchsvc.engines.dates import DAY_S
from searchsvc.engines.filters.tree import Range
from searchsvc.engines.values import parse_number, read_text


class Bound(msgspec.Struct, frozen=True):
    """A bound of a range.

    value: a number, or a date in seconds since 1970
    duration_s: how long the date lasts: a day if it has no time
    """

    value: float
    is_date: bool = False
    duration_s: float = 0.0


def parse_bound(text: str) -> Bound | None:
    """Parse a finite number, a date or an amount with a currency. Returns None for any other text."""
    number = parse_number(text)
    if number is not None:
        return Bound(number)
    readings = read_text(text)
    if readings.moment is not None:
        return Bound(readings.moment, True, DAY_S if len(text) <= len("2020-01-01") else 0.0)
    return Bound(readings.amount) if readings.amount is not None else None


def range_between(field: str, low: Bound | None, high: Bound | None, low_included: bool, high_included: bool) -> Range:
    """Return the range between two bounds; None is no bound.

    A day as an included upper bound lasts to its end, as people mean it. A day as an excluded lower bound excludes all
    of that day.
    """
    bottom, top = -math.inf if low is None else low.value, math.inf if high is None else high.value
    if low is not None and low.duration_s and not low_included:
        bottom, low_included = low.value + low.duration_s, True
    if high is not None and high.duration_s and high_included:
        top, high_included = high.value + high.duration_s, False
    dates = any(bound is not None and bound.is_date for bound in (low, high))
    return Range(field, bottom, top, low_included, high_included, dates)
