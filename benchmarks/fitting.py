"""Weights fitted to judgments, to show what tuning can win. Pure.

Source of `fit`: Metzler & Croft, Information Retrieval 2007: coordinate ascent, one weight at a time is moved as long
as the mean of the measure grows. Source of `best_linear`: Cao et al., Learning to Rank: From Pairwise Approach to
Listwise Approach, ICML 2007 (ListNet).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import numpy as np

from tuning.arrays import AnyArray, BoolArray, FloatArray, IntArray, ScoreArray

K: Final = 10
ROUNDS: Final = 6
NEWTON_STEPS: Final = 20
NEWTON_HALVINGS: Final = 20
RIDGE: Final = 1e-3


class Candidates(msgspec.Struct, frozen=True):
    """The candidates of many queries, padded to the longest list.

    features: (n_queries, n_candidates, n_features)
    gains: (n_queries, n_candidates) 2^grade - 1
    is_candidate: (n_queries, n_candidates) False for padding
    ideal: (n_queries,) discounted gain of the best possible first ten
    """

    features: FloatArray
    gains: FloatArray
    is_candidate: BoolArray
    ideal: ScoreArray

    def part(self, rows: IntArray) -> Candidates:
        """Return the candidates of some of the queries."""
        return Candidates(self.features[rows], self.gains[rows], self.is_candidate[rows], self.ideal[rows])


def candidates(
    features: Sequence[FloatArray], grades: Sequence[IntArray], ideal_grades: Sequence[IntArray]
) -> Candidates:
    """Pad the candidates of many queries.

    features: (n, n_features) a query
    grades: (n,) a query, of its candidates
    ideal_grades: grades of all judged documents of a query, whether they are candidates or not
    """
    n, width = len(features), max(len(rows) for rows in features)
    padded = np.zeros((n, width, features[0].shape[1]), np.float32)
    gains, is_candidate = np.zeros((n, width), np.float32), np.zeros((n, width), np.bool_)
    ideal = np.zeros(n)
    for i, (rows, query_grades, judged) in enumerate(zip(features, grades, ideal_grades, strict=True)):
        padded[i, : len(rows)], is_candidate[i, : len(rows)] = rows, True
        gains[i, : len(query_grades)] = 2.0**query_grades - 1.0
        best = np.sort(2.0**judged - 1.0)[::-1][:K]
        ideal[i] = best @ _discounts(len(best))
    return Candidates(padded, gains, is_candidate, ideal)


def ndcg(queries: Candidates, weights: ScoreArray) -> ScoreArray:
    """Return (n_queries,) nDCG@10 of the candidates ordered by features @ weights."""
    scores = queries.features @ weights.astype(np.float32)
    scores[~queries.is_candidate] = -np.inf
    k = min(K, scores.shape[1])
    best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    order = np.argsort(-np.take_along_axis(scores, best, 1), axis=1, kind="stable")
    gains = np.take_along_axis(queries.gains, np.take_along_axis(best, order, 1), 1)
    values: ScoreArray = (gains @ _discounts(k)) / np.maximum(queries.ideal, 1e-9)
    return values


def fit(queries: Candidates, start: ScoreArray) -> ScoreArray:
    """Return (n_features,) weights with a mean nDCG@10 at least that of `start`, by coordinate ascent."""
    weights, steps = start.astype(np.float64), np.maximum(np.abs(start) * 0.5, 0.3)
    best = ndcg(queries, weights).mean()
    for _ in range(ROUNDS):
        for j in range(len(weights)):
            for sign in (1.0, -1.0):
                moved = weights.copy()
                moved[j] += sign * steps[j]
                value = ndcg(queries, moved).mean()
                if value > best:
                    weights, best = moved, value
                    break
            else:
                steps[j] *= 0.5
    return weights


def best_linear(features: Sequence[ScoreArray], grades: Sequence[IntArray]) -> ScoreArray:
    """Return (n_features,) weights that order whole collections about as well as linear weights can.

    Maximises the likelihood of each query's gains 2^grade - 1, as shares, under a softmax over its candidates, by
    Newton's method from 0. Queries without a gain are left out.
    """
    queries = [(rows, 2.0**row_grades - 1.0) for rows, row_grades in zip(features, grades, strict=True)]
    queries = [(rows, gains) for rows, gains in queries if (gains > 0).any()]
    x = np.concatenate([rows for rows, _ in queries])
    targets = np.concatenate([gains / gains.sum() for _, gains in queries])
    query_of = np.repeat(np.arange(len(queries)), [len(rows) for rows, _ in queries])
    starts = np.flatnonzero(np.diff(query_of, prepend=-1))

    def softmax(weights: ScoreArray) -> tuple[ScoreArray, float]:
        """Return the shares of the candidates, and the penalised log-likelihood of the targets."""
        scores = x @ weights
        highest = np.maximum.reduceat(scores, starts)[query_of]
        shares = np.exp(scores - highest)
        sums = np.add.reduceat(shares, starts)[query_of]
        likelihood = targets @ (scores - highest - np.log(sums)) - 0.5 * RIDGE * (weights @ weights)
        return shares / sums, float(likelihood)

    weights = np.zeros(x.shape[1])
    shares, likelihood = softmax(weights)
    for _ in range(NEWTON_STEPS):
        means = np.add.reduceat(x * shares[:, None], starts)
        gradient = x.T @ (targets - shares) - RIDGE * weights
        curvature = (x * shares[:, None]).T @ x - means.T @ means + RIDGE * np.eye(x.shape[1])
        step = np.linalg.solve(curvature, gradient)
        weights, shares, likelihood = _line_search(softmax, weights, step, (shares, likelihood))
    return weights


def _line_search(
    softmax: Callable[[ScoreArray], tuple[ScoreArray, float]],
    weights: ScoreArray,
    step: ScoreArray,
    current: tuple[ScoreArray, float],
) -> tuple[ScoreArray, ScoreArray, float]:
    """Take a step, or half of it, or half again, as soon as the likelihood grows; stay if it never does."""
    shares, likelihood = current
    for _ in range(NEWTON_HALVINGS):
        new_shares, new_likelihood = softmax(weights + step)
        if new_likelihood > likelihood:
            return weights + step, new_shares, new_likelihood
        step = step * 0.5
    return weights, shares, likelihood


def _discounts(n: int) -> AnyArray:
    discounts: AnyArray = 1.0 / np.log2(np.arange(2, n + 2))
    return discounts
