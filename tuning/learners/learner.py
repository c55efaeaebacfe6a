"""What every learner owes: it ranks by what it knows, and learns from what shoppers did with what they were shown.
Pure, and seeded: the same impressions in the same order leave the same weights.

Features are those that were logged as a ranking was shown, in [0, 1] (`tuning.features`).
"""

from __future__ import annotations

from typing import Protocol

import msgspec
import numpy as np

from tuning.arrays import BoolArray, ScoreArray


class Impression(msgspec.Struct, frozen=True):
    """One ranking that was shown, from its first rank on. features: (n, n_features). clicked: (n,). user: '' where that
    is not known."""

    features: ScoreArray
    clicked: BoolArray
    user: str = ""


class Learner(Protocol):
    def scores(self, features: ScoreArray) -> ScoreArray:
        """(n,) higher is better. features: (n, n_features)."""
        ...

    def order(self, features: ScoreArray, rng: np.random.Generator) -> ScoreArray:
        """(n,) what the candidates are shown by, the highest first: scores, with the chance in them that the learner
        needs."""
        ...

    def learn(self, impression: Impression) -> None: ...


class Off:
    """Learns nothing. weights: (n_features,) of production."""

    def __init__(self, weights: ScoreArray) -> None:
        self._weights = weights

    def scores(self, features: ScoreArray) -> ScoreArray:
        found: ScoreArray = features @ self._weights
        return found

    def order(self, features: ScoreArray, rng: np.random.Generator) -> ScoreArray:
        return self.scores(features)

    def learn(self, impression: Impression) -> None:
        pass
