"""Behavior statistics of one subject: a document, a family, a query, or a document under a query. Pure.

Clicks over expected clicks (COEC): the clicks that a subject got, over those that its ranks get on average. Both decay
alike. The true ratio has a Gamma distribution around a prior mean. A document is promoted if the lower bound of its
interval is above 1, and demoted if the upper bound is below 1, and only once twenty users have seen it.

Users fall into eight buckets, and the bucket that gave most clicks counts no more than the mean of the others. So no
small group of users can promote a document.

Source: Zhang & Jones, Comparing Click Logs and Editorial Labels for Training Query Rewriting, WWW 2007 workshop (COEC);
the prior is the conjugate one of a Poisson rate.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

HALF_LIFE_S: Final = 14 * 86_400.0
# Weight of the prior mean, in expected clicks.
PRIOR: Final = 5.0
# Bounds of the 80 % interval.
Z_80: Final = 1.2816
MIN_USERS: Final = 20
N_BUCKETS: Final = 8


class BehaviorStatistics(msgspec.Struct, array_like=True):
    """What users did with a subject, and what was expected.

    clicks: decayed sum of interactions as of `updated_s`; each counts its value in clicks.
    expected: decayed sum of expected clicks as of `updated_s`.
    updated_s: seconds since 1970.
    users: the first twenty different users that saw the subject.
    families: of a document, the families that it belongs to; None if it is not registered.
    buckets: the clicks by bucket of users; empty before the first click.
    """

    clicks: float = 0.0
    expected: float = 0.0
    updated_s: float = 0.0
    users: list[int] = msgspec.field(default_factory=list)
    families: tuple[str, ...] | None = None
    buckets: list[float] = msgspec.field(default_factory=list)

    def decay(self, timestamp_s: float) -> None:
        """Decay the sums to a later time; an earlier one changes nothing."""
        if timestamp_s > self.updated_s:
            factor = 2.0 ** -((timestamp_s - self.updated_s) / HALF_LIFE_S) if self.updated_s else 1.0
            self.clicks *= factor
            self.expected *= factor
            self.buckets = [factor * clicks for clicks in self.buckets]
            self.updated_s = timestamp_s

    def observe_impression(self, expected: float, user: int, timestamp_s: float) -> None:
        """Count an impression. expected: clicks that its rank gets on average."""
        self.decay(timestamp_s)
        self.expected += expected * self._decay_of(timestamp_s)
        self._add_user(user)

    def observe_value(self, value: float, user: int, timestamp_s: float) -> None:
        """Count an interaction.

        value: in clicks; below 0 for a dislike: -n counts as n expected clicks that did not come.
        """
        self.decay(timestamp_s)
        decayed = value * self._decay_of(timestamp_s)
        if decayed < 0.0:
            self.expected -= decayed
            return
        self.clicks += decayed
        self.buckets = self.buckets or [0.0] * N_BUCKETS
        self.buckets[user % N_BUCKETS] += decayed

    @property
    def has_enough_users(self) -> bool:
        """Whether enough users saw the subject for it to count."""
        return len(self.users) >= MIN_USERS

    @property
    def trimmed_clicks(self) -> float:
        """The clicks, with the mean of the other buckets in place of the largest bucket."""
        return (self.clicks - max(self.buckets, default=0.0)) * N_BUCKETS / (N_BUCKETS - 1)

    def mean(self, prior: float = 1.0) -> float:
        """Return the posterior mean, as a multiple of the average subject.

        prior: the mean before there are enough users.
        """
        if not self.has_enough_users:
            return prior
        rate = self.expected + PRIOR
        mean = (self.clicks + PRIOR * prior) / rate
        return max(prior, (self.trimmed_clicks + PRIOR * prior) / rate) if mean > prior else mean

    def bounds(self, prior: float = 1.0) -> tuple[float, float]:
        """Return the lower and the upper bound of the posterior's 80 % interval."""
        rate = self.expected + PRIOR
        lower = _gamma_quantile(self.trimmed_clicks + PRIOR * prior, -Z_80)
        return lower / rate, _gamma_quantile(self.clicks + PRIOR * prior, Z_80) / rate

    def factor(self, max_boost: float, prior: float = 1.0) -> float:
        """Return the behavior factor of a score, in [1 / max_boost, max_boost]."""
        if not self.has_enough_users:
            return 1.0
        lower, upper = self.bounds(prior)
        return min(lower, max_boost) if lower > 1.0 else max(upper, 1.0 / max_boost) if upper < 1.0 else 1.0

    def add(self, part: BehaviorStatistics) -> None:
        """Add the statistics of a part, such as a document of a family."""
        self.decay(part.updated_s)
        factor = self._decay_of(part.updated_s)
        self.clicks += factor * part.clicks
        self.expected += factor * part.expected
        if part.buckets:
            pairs = zip(self.buckets or [0.0] * N_BUCKETS, part.buckets, strict=True)
            self.buckets = [clicks + factor * more for clicks, more in pairs]
        for user in part.users:
            self._add_user(user)

    def without(self, part: BehaviorStatistics) -> BehaviorStatistics:
        """Return the statistics less those of a part. Both are as of the same time."""
        clicks = max(self.clicks - part.clicks, 0.0)
        share = clicks / self.clicks if self.clicks else 0.0
        # The part's buckets are of other users' numbers, so each bucket loses the same share.
        buckets = [share * bucket for bucket in self.buckets]
        expected = max(self.expected - part.expected, 0.0)
        return BehaviorStatistics(clicks, expected, self.updated_s, self.users, self.families, buckets)

    def _add_user(self, user: int) -> None:
        if len(self.users) < MIN_USERS and user not in self.users:
            self.users.append(user)

    def _decay_of(self, timestamp_s: float) -> float:
        """Return what an event of an earlier time counts as of `updated_s`, in (0, 1]."""
        return float(2.0 ** -(max(self.updated_s - timestamp_s, 0.0) / HALF_LIFE_S))


def _gamma_quantile(shape: float, z: float) -> float:
    """Return a quantile of a Gamma distribution of rate 1.

    z: the quantile of the standard normal distribution.
    Source: Wilson & Hilferty 1931: the cube root is nearly normal.
    """
    return shape * max(1.0 - 1.0 / (9.0 * shape) + z / (3.0 * math.sqrt(shape)), 0.0) ** 3
