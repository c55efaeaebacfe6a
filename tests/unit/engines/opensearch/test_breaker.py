"""The circuit breaker."""

from __future__ import annotations

import pytest

from events.errors import InvalidInput, Unavailable
from searchsvc.engines.opensearch.breaker import Breaker


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def fail(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(Unavailable, match="away"), breaker:
            raise Unavailable("the node is away")


def test_it_opens_after_several_failures_in_a_row_and_tells_the_last() -> None:
    clock = Clock()
    breaker = Breaker(clock, n_failures=3, pause_s=2.0)
    fail(breaker, 2)
    with breaker:
        pass
    fail(breaker, 2)
    assert breaker.trouble == ""
    fail(breaker)
    assert breaker.trouble == "the node is away"
    clock.now += 0.5
    with pytest.raises(Unavailable, match="not tried again yet: the node is away") as refused, breaker:
        raise AssertionError("it was let through")
    assert refused.value.retry_after_s == 1.5


def test_after_a_pause_one_call_goes_through_and_decides() -> None:
    clock = Clock()
    breaker = Breaker(clock, n_failures=1, pause_s=2.0)
    fail(breaker)
    clock.now += 2.0
    with breaker, pytest.raises(Unavailable, match="not tried"), breaker:
        raise AssertionError("a second one was let through")
    assert breaker.trouble == ""
    fail(breaker)
    clock.now += 2.0
    fail(breaker)
    clock.now += 1.0
    with pytest.raises(Unavailable, match="not tried"), breaker:
        raise AssertionError("it was let through")
    clock.now += 1.0
    with breaker:
        pass
    with breaker:
        pass


def test_an_invalid_request_is_no_failure_of_the_node() -> None:
    breaker = Breaker(Clock(), n_failures=1)
    with pytest.raises(InvalidInput), breaker:
        raise InvalidInput("no such field")
    with breaker:
        pass
