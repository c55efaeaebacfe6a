"""The ranking call: features times weights, best first. Pure.

The score is a plain sum, so a ranking can be read, explained and undone: score = sum of weight * feature.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tuning.arrays import AnyArray, FloatArray, IntArray, ScoreArray


def score(features: AnyArray, weights: ScoreArray) -> ScoreArray:
    """(n,) the weighted sum of each candidate's features, higher is better.

    features: (n, n_features). weights: (n_features,). Summed in double precision in feature order, so that the
    parts that `contributions` shows add up to it exactly.
    """
    sums: ScoreArray = contributions(features, weights).sum(axis=1)
    return sums


def contributions(features: AnyArray, weights: ScoreArray) -> ScoreArray:
    """(n, n_features) what each feature adds to each score, in double precision."""
    parts: ScoreArray = features.astype(np.float64) * weights
    return parts


def top_k(scores: ScoreArray, k: int, id_of: Callable[[int], str]) -> list[int]:
    """Positions of the k best candidates, best first; equal scores by id, so that a ranking repeats.

    id_of: position -> document id; asked only where candidates are equal.
    """
    if k < len(scores):
        worst = np.partition(scores, len(scores) - k)[len(scores) - k] if k else np.inf
        in_play = np.flatnonzero(scores >= worst)
    else:
        in_play = np.arange(len(scores))
    order = in_play[np.argsort(-scores[in_play], kind="stable")]
    ordered = scores[order]
    if (ordered[1:] == ordered[:-1]).any():
        return sorted(order.tolist(), key=lambda i: (-scores[i], id_of(i)))[:k]
    top_k: list[int] = order[:k].tolist()
    return top_k


def overlooked(scores: ScoreArray, vector_ranks: IntArray, k: int = 10) -> FloatArray | None:
    """(n,) 1, (k - 1) / k ... 1 / k for the k nearest vectors where the k best by score hold none of them; else None.

    scores: (n,) without this feature. vector_ranks: (n,), 1-based, 0 where the vector leg missed the candidate. Whoever
    equals the last of the best counts as one of them, so that the order of the candidates does not matter.
    """
    nearest = (vector_ranks > 0) & (vector_ranks <= k)
    if len(scores) <= k or not nearest.any() or scores[nearest].max() >= np.partition(scores, -k)[-k]:
        return None
    return np.where(nearest, (k + 1 - vector_ranks) / k, 0.0).astype(np.float32)


def reciprocal_rank_fusion(ranks: ScoreArray, k: float = 60.0) -> ScoreArray:
    """Fuse engine rankings into one score per candidate (unitless, higher is better). A yardstick for benchmarks.

    ranks: (n_engines, n_candidates), 1-based; inf where an engine did not retrieve it.
    Returns (n_candidates,), each in [0, n_engines / (k + 1)].
    Source: Cormack, Clarke & Buettcher, SIGIR 2009: sum over engines of 1 / (k + rank).
    """
    fused: ScoreArray = (1.0 / (k + ranks)).sum(axis=0)
    return fused
