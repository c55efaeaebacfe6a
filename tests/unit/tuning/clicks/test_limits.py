"""Limits on how much one user counts."""

from __future__ import annotations

import numpy as np

from tuning.clicks.limits import BURST, MUTED_S, PACE_S, RateLimiter, VoteLimiter


def test_no_user_counts_much_more_often_than_others() -> None:
    limiter, few = VoteLimiter(), np.array([True] + [False] * 9)
    n_counted = sum(limiter.accepts("bot", few) for _ in range(300) for _ in (limiter.accepts(f"u{_}", few),))
    assert n_counted < 10
    assert limiter.accepts("", few)
    assert not limiter.accepts("new", np.ones(10, np.bool_))


def test_a_user_at_the_pace_of_a_machine_is_muted_for_an_hour() -> None:
    limiter, now_s = RateLimiter(), 1e9
    assert all(limiter.allows("quick", now_s + n / 10) for n in range(int(BURST)))
    assert not all(limiter.allows("quick", now_s + 6 + n / 10) for n in range(10))
    assert not limiter.allows("quick", now_s + MUTED_S - 60)
    assert limiter.allows("quick", now_s + MUTED_S + 60)
    assert all(limiter.allows("steady", now_s + n * PACE_S) for n in range(1000))
    assert all(limiter.allows("", now_s) for _ in range(1000)), "they may be many"
    assert limiter.allows("late", now_s)
    assert limiter.allows("late", now_s - 100), "time does not go back"
