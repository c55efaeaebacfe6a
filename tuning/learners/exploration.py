"""How much of what is shown is still worth leaving to chance. Pure.

What comes of it are votes: pages on which just one of two neighbours that might have changed places was clicked. They
cost most where shoppers click little and where everything is known already, so a share of searches is chosen that gives
as many votes as are worth having: fewer where clicks are many, fewer the surer the learner is of the neighbours that
might change places, and never none at all, or the log could not say what other orders would have earned.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec
import numpy as np

from tuning.arrays import ScoreArray
from tuning.learners.browsing import BrowsingLearner

# Of the score above: neighbours that are further apart never change places.
NEAR_TIE: Final = 0.1
DEPTH: Final = 10
# Votes a search, where nothing is known yet: fifty of ten thousand.
WANTED: Final = 0.005
# What is believed of a page that is left to chance before there were any: pages, and votes.
BEFORE: Final = (10.0, 2.5)
# Each page counts for so much less than the next.
FADING: Final = 0.999
# At least so much of the most that is allowed.
LEAST: Final = 0.1
# A share that differs by less is not worth telling.
MIN_CHANGE: Final = 0.2


class Exploration(msgspec.Struct, array_like=True):
    """pages: that were left to chance, votes: that came of them, both fading. doubt: of neighbours that might change
    places, in [0, 1]: 0 where the learner is sure which is better, 1 where it might as well toss a coin. told: the
    share that was told last; below 0 where none was."""

    pages: float = BEFORE[0]
    votes: float = BEFORE[1]
    doubt: float = 1.0
    told: float = -1.0

    def take(self, n_votes: int) -> None:
        """A page that was left to chance."""
        self.pages, self.votes = FADING * self.pages + 1.0, FADING * self.votes + n_votes

    def share(self, most: float) -> float:
        """Of searches, that are worth leaving to chance. most: that are allowed to."""
        worth = self.doubt * WANTED * self.pages / max(self.votes, 1e-9)
        return min(max(worth, LEAST * most), most)

    def news(self, most: float) -> float | None:
        """The share, where it is another by now than was told last."""
        share = self.share(most)
        if self.told >= 0.0 and abs(share - self.told) <= MIN_CHANGE * self.told:
            return None
        self.told = share
        return share


def doubt(learner: BrowsingLearner, pages: Iterable[ScoreArray], weights: ScoreArray) -> float:
    """How unsure a learner is of the order of those neighbours that are nearly alike; 1 where there are none.

    pages: (n, n_pieces) each, as they were shown. weights: (n_pieces,) in force.
    """
    differences = []
    for page in pages:
        scores = page[:DEPTH] @ weights
        near = np.abs(scores[:-1] - scores[1:]) <= NEAR_TIE * np.abs(scores[:-1])
        differences.append((page[: len(scores) - 1] - page[1 : len(scores)])[near])
    apart = np.concatenate(differences) if differences else np.empty((0, len(weights)))
    # Of two that are the same in every way there is nothing to find out.
    apart = apart[np.abs(apart).max(axis=1, initial=0.0) > 0.0]
    if not len(apart):
        return 1.0
    better = learner.chances(apart)
    return float(2.0 * np.minimum(better, 1.0 - better).mean())
