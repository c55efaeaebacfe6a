"""Pairwise differentiable gradient descent, the published baseline. It explores on every page, at shoppers' expense.

Source: Oosterhuis & de Rijke, Differentiable Unbiased Online Learning to Rank, CIKM 2018, equations 5 to 8.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from tuning.arrays import AnyArray, ScoreArray
from tuning.compiled import compiled
from tuning.learners.learner import Impression

LEARNING_RATE: Final = 0.1
# As in the authors' code: the learning rate decays with each impression.
DECAY: Final = 0.9999977


class Pdgd:
    """A linear model.

    weights: (n_features,) initial weights.
    """

    def __init__(self, weights: ScoreArray) -> None:
        self._weights = weights.astype(np.float64)
        self._rate = LEARNING_RATE

    def scores(self, features: ScoreArray) -> ScoreArray:
        scores: ScoreArray = features @ self._weights
        return scores

    def order(self, features: ScoreArray, rng: np.random.Generator) -> ScoreArray:
        """Draw an order from the Plackett-Luce model of the scores."""
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
    """Add up the gradients of all pairs of a clicked and an unclicked document, down to the one after the last click.

    Documents past the first page are not part of the model of the page.

    gradient: (n_features,) written to.
    """
    n = scores.shape[0]
    end = 0
    for i in range(n):
        if clicked[i]:
            end = min(i + 2, n)
    for k in range(end):
        if not clicked[k]:
            continue
        for unclicked in range(end):
            if clicked[unclicked]:
                continue
            # Log-probability of the page as shown, and with the two documents swapped.
            log_probability = np.zeros(2)
            for swapped in range(2):
                for place in range(n - 1):
                    total, own_score = 0.0, 0.0
                    for later in range(place, n):
                        position = later
                        if swapped and later == k:
                            position = unclicked
                        elif swapped and later == unclicked:
                            position = k
                        total += np.exp(scores[position] - scores.max())
                        if later == place:
                            own_score = scores[position] - scores.max()
                    log_probability[swapped] += own_score - np.log(total)
            share = 1.0 / (1.0 + np.exp(log_probability[0] - log_probability[1]))
            preferred = 1.0 / (1.0 + np.exp(scores[unclicked] - scores[k]))
            pull = share * preferred * (1.0 - preferred)
            for j in range(gradient.shape[0]):
                gradient[j] += pull * (features[k, j] - features[unclicked, j])
