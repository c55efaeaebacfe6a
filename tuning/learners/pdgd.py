"""Pairwise differentiable gradient descent: the published yardstick. It learns well, and shows shoppers how.

Source: Oosterhuis & de Rijke, Differentiable Unbiased Online Learning to Rank, CIKM 2018, equations 5 to 8.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from tuning.arrays import AnyArray, ScoreArray
from tuning.compiled import compiled
from tuning.learners.learner import Impression

LEARNING_RATE: Final = 0.1
# As the authors do: the learning rate falls a little with each impression.
DECAY: Final = 0.9999977


class Pdgd:
    """weights: (n_features,) that it starts from."""

    def __init__(self, weights: ScoreArray) -> None:
        self._weights = weights.astype(np.float64)
        self._rate = LEARNING_RATE

    def scores(self, features: ScoreArray) -> ScoreArray:
        found: ScoreArray = features @ self._weights
        return found

    def order(self, features: ScoreArray, rng: np.random.Generator) -> ScoreArray:
        """A draw from the Plackett-Luce model of its scores."""
        noisy: ScoreArray = self.scores(features) + rng.gumbel(size=len(features))
        return noisy

    def learn(self, impression: Impression) -> None:
        if impression.clicked.any():
            features = np.ascontiguousarray(impression.features, np.float64)
            gradient = np.zeros_like(self._weights)
            _gradient(features, self.scores(features), impression.clicked, gradient)
            self._weights = self._weights + self._rate * gradient
        self._rate *= DECAY


@compiled("f8[2] f8[1] b1[1] f8[1]!")
def _gradient(features: ScoreArray, scores: ScoreArray, clicked: AnyArray, gradient: ScoreArray) -> None:
    """Write (n_features,) the sum over pairs of a clicked and an unclicked document, down to the one after the last
    click. Documents beyond the first page have no part in the model of the page."""
    n = scores.shape[0]
    end = 0
    for i in range(n):
        if clicked[i]:
            end = min(i + 2, n)
    for k in range(end):
        if not clicked[k]:
            continue
        for other in range(end):
            if clicked[other]:
                continue
            # How likely the page is, with the two in either place.
            likely = np.zeros(2)
            for swapped in range(2):
                for place in range(n - 1):
                    total, own = 0.0, 0.0
                    for later in range(place, n):
                        at = later
                        if swapped and later == k:
                            at = other
                        elif swapped and later == other:
                            at = k
                        total += np.exp(scores[at] - scores.max())
                        if later == place:
                            own = scores[at] - scores.max()
                    likely[swapped] += own - np.log(total)
            share = 1.0 / (1.0 + np.exp(likely[0] - likely[1]))
            apart = 1.0 / (1.0 + np.exp(scores[other] - scores[k]))
            pull = share * apart * (1.0 - apart)
            for j in range(gradient.shape[0]):
                gradient[j] += pull * (features[k, j] - features[other, j])
