"""Weights from judgements: coordinate ascent on nDCG@10, to show what there is to win by tuning. Pure.

Source: Metzler & Croft, Information Retrieval 2007: one weight at a time is moved as long as the mean grows.
"""

from __future__ import annotations

from collections.abc import Sequence
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

    features: (n_queries, n_candidates, n_features). gains: (n_queries, n_candidates) 2^grade - 1. there: whether it is
    a candidate. ideal: (n_queries,) the discounted gain of the best possible first ten.
    """

    features: FloatArray
    gains: FloatArray
    there: BoolArray
    ideal: ScoreArray

    def part(self, rows: IntArray) -> Candidates:
        return Candidates(self.features[rows], self.gains[rows], self.there[rows], self.ideal[rows])


def candidates(
    features: Sequence[FloatArray], grades: Sequence[IntArray], ideal_grades: Sequence[IntArray]
) -> Candidates:
    """features: (n, n_features) a query. grades: (n,) of its candidates. ideal_grades: of all its judged documents."""
    n, width = len(features), max(len(one) for one in features)
    padded = np.zeros((n, width, features[0].shape[1]), np.float32)
    gains, there = np.zeros((n, width), np.float32), np.zeros((n, width), np.bool_)
    ideal = np.zeros(n)
    for i, (rows, held, best) in enumerate(zip(features, grades, ideal_grades, strict=True)):
        padded[i, : len(rows)], there[i, : len(rows)] = rows, True
        gains[i, : len(held)] = 2.0**held - 1.0
        first = np.sort(2.0**best - 1.0)[::-1][:K]
        ideal[i] = first @ _discounts(len(first))
    return Candidates(padded, gains, there, ideal)


def ndcg(given: Candidates, weights: ScoreArray) -> ScoreArray:
    """(n_queries,) nDCG@10 of the candidates ordered by features @ weights."""
    scores = given.features @ weights.astype(np.float32)
    scores[~given.there] = -np.inf
    k = min(K, scores.shape[1])
    best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    order = np.argsort(-np.take_along_axis(scores, best, 1), axis=1, kind="stable")
    gains = np.take_along_axis(given.gains, np.take_along_axis(best, order, 1), 1)
    values: ScoreArray = (gains @ _discounts(k)) / np.maximum(given.ideal, 1e-9)
    return values


def fit(given: Candidates, start: ScoreArray) -> ScoreArray:
    """(n_features,) weights that order the candidates better than `start` does."""
    weights, steps = start.astype(np.float64), np.maximum(np.abs(start) * 0.5, 0.3)
    best = ndcg(given, weights).mean()
    for _ in range(ROUNDS):
        for j in range(len(weights)):
            for sign in (1.0, -1.0):
                moved = weights.copy()
                moved[j] += sign * steps[j]
                value = ndcg(given, moved).mean()
                if value > best:
                    weights, best = moved, value
                    break
            else:
                steps[j] *= 0.5
    return weights


def best_linear(features: Sequence[ScoreArray], grades: Sequence[IntArray]) -> ScoreArray:
    """(n_features,) weights that order whole collections about as well as weights can: a softmax over the candidates of
    each query, against its gains 2^grade - 1 as shares. Newton's method, from 0. Queries without a gain are left out.

    Source: Cao et al., Learning to Rank: From Pairwise Approach to Listwise Approach, ICML 2007 (ListNet).
    """
    kept = [(rows, 2.0**held - 1.0) for rows, held in zip(features, grades, strict=True) if (held > 0).any()]
    x = np.concatenate([rows for rows, _ in kept])
    wanted = np.concatenate([gains / gains.sum() for _, gains in kept])
    of = np.repeat(np.arange(len(kept)), [len(rows) for rows, _ in kept])
    starts = np.flatnonzero(np.diff(of, prepend=-1))

    def shares_of(weights: ScoreArray) -> tuple[ScoreArray, float]:
        """Of the candidates, and how likely what was wanted is with them."""
        scores = x @ weights
        highest = np.maximum.reduceat(scores, starts)[of]
        shares = np.exp(scores - highest)
        sums = np.add.reduceat(shares, starts)[of]
        likely = wanted @ (scores - highest - np.log(sums)) - 0.5 * RIDGE * (weights @ weights)
        return shares / sums, float(likely)

    weights = np.zeros(x.shape[1])
    shares, likely = shares_of(weights)
    for _ in range(NEWTON_STEPS):
        means = np.add.reduceat(x * shares[:, None], starts)
        slope = x.T @ (wanted - shares) - RIDGE * weights
        curvature = (x * shares[:, None]).T @ x - means.T @ means + RIDGE * np.eye(x.shape[1])
        step = np.linalg.solve(curvature, slope)
        # Half of it, and half again, where all of it leads too far.
        for _ in range(NEWTON_HALVINGS):
            shares_then, likely_then = shares_of(weights + step)
            if likely_then > likely:
                weights, shares, likely = weights + step, shares_then, likely_then
                break
            step *= 0.5
    return weights


def _discounts(n: int) -> AnyArray:
    discounts: AnyArray = 1.0 / np.log2(np.arange(2, n + 2))
    return discounts
