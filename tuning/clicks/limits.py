"""One vote is one vote: how often a user may be heard. Pure.

Whoever searches far more than the others is heard no more often than twice the mean of all: twenty bots that make a
third of the traffic make a fiftieth of the votes. Nobody who means it clicks most of a page, unless it is short, or
goes on for long at the pace of a machine.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from tuning.arrays import BoolArray

TIMES_MEAN: Final = 2.0
MAX_CLICKED: Final = 0.6
SHORT: Final = 4
MAX_USERS: Final = 100_000
# Searches and interactions: a user may do so many at once, and on the average one in so many seconds.
BURST: Final = 60.0
PACE_S: Final = 2.0
# Who is faster says nothing for so long.
MUTED_S: Final = 3600.0


class VoteLimiter:
    """Counts impressions by user. A user who is not known, '', is heard each time."""

    def __init__(self) -> None:
        self._n_seen = 0
        self._users: dict[str, int] = {}

    def parts(self) -> tuple[int, dict[str, int]]:
        """What `restore` takes."""
        return self._n_seen, self._users

    def restore(self, n_seen: int, users: dict[str, int]) -> None:
        self._n_seen, self._users = n_seen, users

    def hear(self, user: str, clicked: BoolArray) -> bool:
        """Count an impression, and say whether to learn from it. clicked: (n,) of what was looked at first."""
        self._n_seen += 1
        n = len(clicked)
        if n > SHORT and np.count_nonzero(clicked) > MAX_CLICKED * n:
            return False
        if not user:
            return True
        if user not in self._users and len(self._users) >= MAX_USERS:
            del self._users[next(iter(self._users))]
        self._users[user] = count = self._users.get(user, 0) + 1
        return count <= max(TIMES_MEAN * self._n_seen / len(self._users), TIMES_MEAN)


class RateLimiter:
    """How fast users are. held: by user, what of the burst is left and as of when, in seconds since 1970; below 0 while
    nothing they do counts. Who is not known, '', may be many."""

    def __init__(self) -> None:
        self.held: dict[str, tuple[float, float]] = {}

    def allows(self, user: str, at_s: float) -> bool:
        """Count something that a user did, and say whether it counts."""
        if not user:
            return True
        left, since_s = self.held.pop(user, (BURST, at_s))
        passed_s = max(at_s - since_s, 0.0)
        at_s = max(at_s, since_s)
        if left < 0.0:
            # Muted: to be waited out, whatever is done meanwhile.
            left, allowed = (left + passed_s, False) if left + passed_s < 0.0 else (BURST - 1.0, True)
        else:
            left = min(left + passed_s / PACE_S, BURST) - 1.0
            allowed = left >= 0.0
            left = left if allowed else -MUTED_S
        if len(self.held) >= MAX_USERS:
            del self.held[next(iter(self.held))]
        self.held[user] = left, at_s
        return allowed
