"""Limits on how much one user counts, so that bots and a few heavy users do not outvote the others. Pure.

`VoteLimiter`: a user counts at most twice as often as the mean of all users, so twenty bots that make a third of the
traffic make a fiftieth of the votes; a page of which most documents are clicked does not count, unless it is short.
`RateLimiter`: a user who acts at the pace of a machine for long does not count for an hour.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from tuning.arrays import BoolArray

TIMES_MEAN: Final = 2.0
MAX_CLICKED_SHARE: Final = 0.6
SHORT_PAGE: Final = 4
MAX_USERS: Final = 100_000
# Searches and interactions (a token bucket): the size of a burst, and the seconds that refill one token.
BURST: Final = 60.0
PACE_S: Final = 2.0
MUTED_S: Final = 3600.0


class VoteLimiter:
    """Counts pages by user. An unknown user, '', is not limited."""

    def __init__(self) -> None:
        self._n_pages = 0
        self._users: dict[str, int] = {}

    def accepts(self, user: str, clicked: BoolArray) -> bool:
        """Count a page, and return whether to learn from it.

        clicked: (n,) whether each of the page's first documents was clicked.
        """
        self._n_pages += 1
        n = len(clicked)
        if n > SHORT_PAGE and np.count_nonzero(clicked) > MAX_CLICKED_SHARE * n:
            return False
        if not user:
            return True
        if user not in self._users and len(self._users) >= MAX_USERS:
            del self._users[next(iter(self._users))]
        self._users[user] = count = self._users.get(user, 0) + 1
        return count <= max(TIMES_MEAN * self._n_pages / len(self._users), TIMES_MEAN)

    def parts(self) -> tuple[int, dict[str, int]]:
        """Return the state that `restore` takes."""
        return self._n_pages, self._users

    def restore(self, n_pages: int, users: dict[str, int]) -> None:
        self._n_pages, self._users = n_pages, users


class RateLimiter:
    """Limits how fast users act. An unknown user, '', is not limited.

    buckets: by user, the tokens left and the time when they were counted, in seconds since 1970. A user with -n tokens
        is muted for n seconds.
    """

    def __init__(self) -> None:
        self.buckets: dict[str, tuple[float, float]] = {}

    def allows(self, user: str, timestamp_s: float) -> bool:
        """Count an action of a user, and return whether to learn from it."""
        if not user:
            return True
        tokens, since_s = self.buckets.pop(user, (BURST, timestamp_s))
        passed_s = max(timestamp_s - since_s, 0.0)
        timestamp_s = max(timestamp_s, since_s)
        if tokens < 0.0:
            # Muted users have to wait, whether they act meanwhile or not.
            tokens, allowed = (tokens + passed_s, False) if tokens + passed_s < 0.0 else (BURST - 1.0, True)
        else:
            tokens = min(tokens + passed_s / PACE_S, BURST) - 1.0
            allowed = tokens >= 0.0
            tokens = tokens if allowed else -MUTED_S
        if len(self.buckets) >= MAX_USERS:
            del self.buckets[next(iter(self.buckets))]
        self.buckets[user] = tokens, timestamp_s
        return allowed
