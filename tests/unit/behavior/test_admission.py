"""The rate limit of events."""

from __future__ import annotations

import pytest

from events.errors import Overloaded
from searchsvc.behavior.admission import Allowance


def test_events_past_the_allowance_are_refused_until_time_has_passed() -> None:
    allowance = Allowance(100)
    allowance.require(50.0)
    allowance.take(150)
    with pytest.raises(Overloaded) as refused:
        allowance.require(50.1)
    assert refused.value.retry_after_s == pytest.approx(0.4)
    allowance.require(50.5)
    allowance.take(1)
    with pytest.raises(Overloaded):
        allowance.require(50.5)


def test_an_allowance_never_grows_past_one_second() -> None:
    allowance = Allowance(100)
    allowance.require(0.0)
    allowance.require(1000.0)
    allowance.take(101)
    with pytest.raises(Overloaded, match="100 events a second"):
        allowance.require(1000.0)
