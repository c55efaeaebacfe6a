"""Behavior statistics of one subject."""

from __future__ import annotations

import pytest
from scipy.stats import gamma  # type: ignore[import-untyped]

from tuning.learners.behavior import MIN_USERS, N_BUCKETS, BehaviorStatistics

NOW_S = 1_800_000_000.0


@pytest.mark.parametrize(("clicks", "expected"), [(0.0, 0.0), (3.0, 10.0), (40.0, 12.0), (500.0, 480.0)])
def test_the_bounds_are_those_of_the_gamma_distribution(clicks: float, expected: float) -> None:
    statistics = BehaviorStatistics(clicks, expected, buckets=[clicks / N_BUCKETS] * N_BUCKETS)
    lower, upper = (gamma.ppf(share, clicks + 5.0) / (expected + 5.0) for share in (0.1, 0.9))
    assert statistics.bounds() == pytest.approx((lower, upper), rel=0.01)


def test_a_good_family_makes_promotion_easier() -> None:
    with_family, without_family = (
        BehaviorStatistics(6.0, 3.0, users=[*range(MIN_USERS)]),
        BehaviorStatistics(6.0, 3.0, users=[*range(MIN_USERS)]),
    )
    assert with_family.factor(2.0, 1.8) > 1.1
    assert without_family.factor(2.0) < with_family.factor(2.0, 1.8)


def test_one_bucket_of_users_promotes_nothing_however_much_they_buy() -> None:
    one_bucket, all_buckets = (
        BehaviorStatistics(users=[*range(MIN_USERS)]),
        BehaviorStatistics(users=[*range(MIN_USERS)]),
    )
    for user in range(40):
        for statistics in (one_bucket, all_buckets):
            statistics.observe_impression(0.1, user, NOW_S)
        all_buckets.observe_value(0.5, user, NOW_S)
        if user % 8 == 3:
            one_bucket.observe_value(10.0, user, NOW_S)
    assert one_bucket.clicks > all_buckets.clicks
    assert (one_bucket.factor(2.0), one_bucket.mean()) == (1.0, 1.0)
    assert all_buckets.factor(2.0) > 1.2
    assert all_buckets.mean() > 1.5
