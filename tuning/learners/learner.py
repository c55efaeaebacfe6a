"""The learner protocol: a learner ranks by what it learnt so far, and learns from impressions.

Learners are pure and repeatable: the same impressions in the same order leave the same weights. Features are those that
were logged with a ranking, in [0, 1] (`tuning.features`).
"""

from __future__ import annotations

from typing import Protocol

import msgspec
import numpy as np

from tuning.arrays import BoolArray, ScoreArray


class Impression(msgspec.Struct, frozen=True):
    """One first page, from rank 1 on.

    features: (n, n_features).
    clicked: (n,).
    user: '' if unknown.
    """

    features: ScoreArray
    clicked: BoolArray
    user: str = ""


class Learner(Protocol):
    def scores(self, features: ScoreArray) -> ScoreArray:
        """Return (n,) scores. features: (n, n_features)."""
        ...

    def order(self, features: ScoreArray, rng: np.random.Generator) -> ScoreArray:
        """Return (n,) the numbers that candidates are displayed by, highest first.

        These are the scores plus the randomness that the learner needs, if any.
        """
        ...

    def learn(self, impression: Impression) -> None: ...


class Off:
    """Learns nothing.

    weights: (n_features,) production weights.
    """

    def __init__(self, weights: ScoreArray) -> None:
        self._weights = weights

    def scores(self, features: ScoreArray) -> ScoreArray:
        scores: ScoreArray = features @ self._weights
        return scores

    def order(self, features: ScoreArray, rng: np.random.Generator) -> ScoreArray:
        return self.scores(features)

    def learn(self, impression: Impression) -> None:
        pass
