"""How many searches to explore: to swap nearly tied neighbours at random. Pure.

Exploration yields votes: pages on which just one of two neighbours that might have been swapped was clicked. The share
of searches that explore is chosen so that they yield a target number of votes: smaller where clicks are frequent, and
smaller the surer the learner is of the order of nearly tied neighbours. It never falls to 0, because without any
exploration the log could not say what other orders would have earned.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec
import numpy as np

from tuning.arrays import ScoreArray
from tuning.learners.browsing import BrowsingLearner

# Neighbours are nearly tied where their scores differ by at most this share of the higher one.
NEAR_TIE: Final = 0.1
DEPTH: Final = 10
# Votes per search that are worth having at full uncertainty: fifty in ten thousand.
TARGET_VOTES: Final = 0.005
# Before there is data: explored pages, and votes on them.
PRIOR: Final = (10.0, 2.5)
# Weight of a page relative to the next one.
DECAY: Final = 0.999
# The lowest share, relative to the highest that is allowed.
MIN_SHARE: Final = 0.1
# A change of the share by less, relative to what was published, is not published.
MIN_CHANGE: Final = 0.2


class Exploration(msgspec.Struct, array_like=True):
    """What determines the share of searches that explore.

    n_pages: explored pages, decayed.
    n_votes: votes on them, decayed.
    uncertainty: of the order of nearly tied neighbours, in [0, 1]: 0 if the learner is sure, 1 if it knows
        nothing.
    published_share: the share that was published last; below 0 if none was.
    """

    n_pages: float = PRIOR[0]
    n_votes: float = PRIOR[1]
    uncertainty: float = 1.0
    published_share: float = -1.0

    def observe(self, n_votes: int) -> None:
        """Take in an explored page."""
        self.n_pages, self.n_votes = DECAY * self.n_pages + 1.0, DECAY * self.n_votes + n_votes

    def share(self, highest: float) -> float:
        """Return the share of searches to explore, at most `highest`."""
        worthwhile = self.uncertainty * TARGET_VOTES * self.n_pages / max(self.n_votes, 1e-9)
        return min(max(worthwhile, MIN_SHARE * highest), highest)

    def publish(self, highest: float) -> float | None:
        """Return the share, and record it as published; None if it hardly differs from the last published one."""
        share = self.share(highest)
        if self.published_share >= 0.0 and abs(share - self.published_share) <= MIN_CHANGE * self.published_share:
            return None
        self.published_share = share
        return share


def order_uncertainty(learner: BrowsingLearner, pages: Iterable[ScoreArray], weights: ScoreArray) -> float:
    """Return how unsure a learner is of the order of nearly tied neighbours, in [0, 1]; 1 if there are none.

    pages: (n, n_pieces) each, in the order shown.
    weights: (n_pieces,) weights in force.
    """
    differences = []
    for page in pages:
        scores = page[:DEPTH] @ weights
        near = np.abs(scores[:-1] - scores[1:]) <= NEAR_TIE * np.abs(scores[:-1])
        differences.append((page[: len(scores) - 1] - page[1 : len(scores)])[near])
    pairs = np.concatenate(differences) if differences else np.empty((0, len(weights)))
    # Documents with equal features cannot be told apart.
    pairs = pairs[np.abs(pairs).max(axis=1, initial=0.0) > 0.0]
    if not len(pairs):
        return 1.0
    better = learner.better_probabilities(pairs)
    return float(2.0 * np.minimum(better, 1.0 - better).mean())
