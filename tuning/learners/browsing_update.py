"""The update of the browsing model by one impression, compiled.

Each document updates the weights' normal distribution by one step of assumed density filtering. See
`tuning.learners.browsing` for the model and its sources.
"""

from __future__ import annotations

import numpy as np

from tuning.arrays import AnyArray, ScoreArray
from tuning.compiled import compiled


@compiled("f8[3]! f8[2]! f8[2] b1[1] i8 f8[1] f8[2]! f8[1]!")
def update_members(
    covariances: ScoreArray,
    means: ScoreArray,
    pieces: ScoreArray,
    clicked: AnyArray,
    last_click: int,
    between: ScoreArray,
    leaving: ScoreArray,
    evidence: ScoreArray,
) -> None:
    """Update every member by one impression, and add its log-likelihood to the evidence.

    covariances: (n_members, width, width) of the members' weights. The columns are the pieces, an intercept, an effect
        of each rank but the first, and an effect of the present search.
    means: (n_members, width).
    pieces: (n, n_pieces), as shown.
    clicked: (n,), as shown.
    last_click: 1-based rank of the last click, 0 without one.
    between: (n_members,) variance between searches.
    leaving: (n_members, 2) shoppers who left after a click, and clicks.
    evidence: (n_members,).
    """
    n_members, width = means.shape
    n, n_pieces = pieces.shape
    own = width - 1
    x, product = np.zeros(width), np.zeros(width)

    def reset_search_effect(covariance: ScoreArray, mean: ScoreArray, variance: float) -> None:
        for j in range(width):
            covariance[own, j] = 0.0
            covariance[j, own] = 0.0
        covariance[own, own] = variance
        mean[own] = 0.0

    def no_click_probability(mean: ScoreArray) -> float:
        """Return the probability that none of the documents below the last click is clicked if examined."""
        probability = 1.0
        for k in range(last_click, n):
            total = mean[n_pieces] + mean[own]
            if k > 0:
                total += mean[n_pieces + k]
            for j in range(n_pieces):
                total += mean[j] * pieces[k, j]
            probability *= 1.0 / (1.0 + np.exp(total))
        return probability

    def set_terms(i: int) -> None:
        """Write the terms of document i to x."""
        for j in range(n_pieces):
            x[j] = pieces[i, j]
        for j in range(n_pieces, width):
            x[j] = 0.0
        x[n_pieces] = 1.0
        if i > 0:
            x[n_pieces + i] = 1.0
        x[own] = 1.0

    def project(covariance: ScoreArray, mean: ScoreArray) -> tuple[float, float]:
        """Return the mean and the variance of the document's logit, and write covariance @ x to product."""
        total = 0.0
        for j in range(width):
            product[j] = 0.0
        for k in range(width):
            if x[k] != 0.0:
                total += x[k] * mean[k]
                for j in range(width):
                    product[j] += x[k] * covariance[k, j]
        variance = 0.0
        for j in range(width):
            variance += x[j] * product[j]
        return total, variance

    def filter_document(
        covariance: ScoreArray, mean: ScoreArray, total: float, variance: float, click: float, examined: float
    ) -> None:
        """Take one step of assumed density filtering, weighted by the examination probability."""
        expected = 1.0 / (1.0 + np.exp(-total))
        slope = expected * (1.0 - expected) * examined
        shrink = 1.0 / (1.0 + slope * variance)
        pull = (click - expected) * examined * shrink
        for k in range(width):
            mean[k] += pull * product[k]
            reduction = slope * shrink * product[k]
            for j in range(width):
                covariance[k, j] -= reduction * product[j]

    for m in range(n_members):
        covariance, mean = covariances[m], means[m]
        reset_search_effect(covariance, mean, between[m])
        leave = min(max(leaving[m, 0] / leaving[m, 1], 0.001), 0.999)
        examined = 1.0
        for i in range(n):
            if i == last_click and last_click > 0:
                # The shopper left, or went on and clicked nothing more.
                went_on = (1.0 - leave) * no_click_probability(mean)
                examined = went_on / (leave + went_on)
                leaving[m, 0] += 1.0 - examined
                evidence[m] += np.log(leave + went_on)
                if examined < 1e-3:
                    break
            set_terms(i)
            total, variance = project(covariance, mean)
            if i < last_click or last_click == 0:
                predicted = 1.0 / (1.0 + np.exp(-total / np.sqrt(1.0 + np.pi * variance / 8.0)))
                predicted = min(max(predicted, 1e-9), 1.0 - 1e-9)
                evidence[m] += np.log(predicted if clicked[i] else 1.0 - predicted)
            if clicked[i]:
                leaving[m, 1] += 1.0
                if i < last_click - 1:
                    evidence[m] += np.log(1.0 - leave)
            filter_document(covariance, mean, total, variance, 1.0 if clicked[i] else 0.0, examined)
