"""Which interleaved rankings count as comparisons, so that no user and no query decides a trial. Pure."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import msgspec

from events.types import InterleavedRanking
from tuning.arrays import BoolArray
from tuning.clicks.limits import VoteLimiter
from tuning.learners.coec import hashed
from tuning.online.parts import drop_oldest

# One pair of orders counts this often, and past that at most for this share of all comparisons.
MIN_VOTES: Final = 5
MAX_VOTES_SHARE: Final = 0.05


class ComparisonVotes:
    """Counts each pair of orders once for each user, and limits how often it counts in all."""

    def __init__(self) -> None:
        # By hash of a pair of orders, how often it counted; by hash of that and a user, 1.
        self._votes: OrderedDict[bytes, int] = OrderedDict()
        self._n_counted = 0
        self._limiter = VoteLimiter()

    def accepts(self, user: str, interleaved: InterleavedRanking, clicked: BoolArray) -> bool:
        """Return whether to count a page. clicked: (n,), as shown."""
        if not self._limiter.accepts(user, clicked):
            return False
        pair = hashed(*interleaved.in_force, "", *interleaved.challenger)
        n_votes = self._votes.pop(pair, 0)
        accepted = n_votes < max(MIN_VOTES, MAX_VOTES_SHARE * self._n_counted)
        self._votes[pair] = n_votes + accepted
        pair_and_user = hashed(pair.hex(), user)
        accepted = accepted and (not user or pair_and_user not in self._votes)
        if user:
            self._votes[pair_and_user] = 1
        drop_oldest(self._votes)
        self._n_counted += accepted
        return accepted

    def parts(self) -> tuple[list[tuple[bytes, int]], int, tuple[int, dict[str, int]]]:
        """Return the state that `restore` takes."""
        return list(self._votes.items()), self._n_counted, self._limiter.parts()

    def restore(self, packed: bytes) -> None:
        """Continue from packed `parts`. Raises msgspec.DecodeError if they are malformed."""
        votes, self._n_counted, limiter = msgspec.msgpack.decode(
            packed, type=tuple[list[tuple[bytes, int]], int, tuple[int, dict[str, int]]]
        )
        self._votes = OrderedDict(votes)
        self._limiter.restore(*limiter)
