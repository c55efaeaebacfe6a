"""Behavior statistics of one subject."""

from __future__ import annotations

import pytest
from scipy.stats import gamma  # type: ignore[import-untyped]

from tuning.learners.behavior import MIN_USERS, N_BUCKETS, BehaviorStatistics

NOW_S = 1_800_000_000.0


@pytest.mark.parametrize(("clicks", "expected"), [(0.0, 0.0), (3.0, 10.0), (40.0, 12.0), (500.0, 480.0)])
def test_the_bounds_are_those_of_the_gamma_distribution(clicks: float, expected: float) -> None:
    one = BehaviorStatistics(clicks, expected, buckets=[clicks / N_BUCKETS] * N_BUCKETS)
    lower, upper = (gamma.ppf(share, clicks + 5.0) / (expected + 5.0) for share in (0.1, 0.9))
    assert one.bounds() == pytest.approx((lower, upper), rel=0.01)


def test_a_good_family_makes_promotion_easier() -> None:
    good, alone = (
        BehaviorStatistics(6.0, 3.0, users=[*range(MIN_USERS)]),
        BehaviorStatistics(6.0, 3.0, users=[*range(MIN_USERS)]),
    )
    assert good.factor(2.0, 1.8) > 1.1
    assert alone.factor(2.0) < good.factor(2.0, 1.8)


def test_one_bucket_of_users_promotes_nothing_however_much_they_buy() -> None:
    few, all_of_them = BehaviorStatistics(users=[*range(MIN_USERS)]), BehaviorStatistics(users=[*range(MIN_USERS)])
    for user in range(40):
        for one in (few, all_of_them):
            one.observe_impression(0.1, user, NOW_S)
        all_of_them.observe_value(0.5, user, NOW_S)
        if user % 8 == 3:
            few.observe_value(10.0, user, NOW_S)
    assert few.clicks > all_of_them.clicks
    assert (few.factor(2.0), few.mean()) == (1.0, 1.0)
    assert all_of_them.factor(2.0) > 1.2
    assert all_of_them.mean() > 1.5
