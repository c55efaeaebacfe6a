"""Scores of candidates and their order. Pure.

A score is a plain sum of weight * feature, so that a ranking can be read, explained and undone.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tuning.arrays import AnyArray, ScoreArray


def score(features: AnyArray, weights: ScoreArray) -> ScoreArray:
    """Return (n,) the weighted sum of each candidate's features; higher is better.

    features: (n, n_features).
    weights: (n_features,).
    Summed in double precision in feature order, so that the `contributions` add up to it exactly.
    """
    sums: ScoreArray = contributions(features, weights).sum(axis=1)
    return sums


def contributions(features: AnyArray, weights: ScoreArray) -> ScoreArray:
    """Return (n, n_features) what each feature adds to each score, in double precision."""
    parts: ScoreArray = features.astype(np.float64) * weights
    return parts


def top_k(scores: ScoreArray, k: int, id_of: Callable[[int], str]) -> list[int]:
    """Return the positions of the k best candidates, best first; equal scores by id, so that a ranking repeats.

    id_of: position -> document id; called only if scores are equal.
    """
    if k < len(scores):
        threshold = np.partition(scores, len(scores) - k)[len(scores) - k] if k else np.inf
        contenders = np.flatnonzero(scores >= threshold)
    else:
        contenders = np.arange(len(scores))
    order = contenders[np.argsort(-scores[contenders], kind="stable")]
    ordered = scores[order]
    if (ordered[1:] == ordered[:-1]).any():
        return sorted(order.tolist(), key=lambda i: (-scores[i], id_of(i)))[:k]
    best: list[int] = order[:k].tolist()
    return best


def reciprocal_rank_fusion(ranks: ScoreArray, k: float = 60.0) -> ScoreArray:
    """Fuse engine rankings into one score per candidate (unitless, higher is better). A yardstick for benchmarks.

    ranks: (n_engines, n_candidates), 1-based; inf where an engine did not retrieve it.
    Returns (n_candidates,), each in [0, n_engines / (k + 1)].
    Source: Cormack, Clarke & Buettcher, SIGIR 2009: sum over engines of 1 / (k + rank).
    """
    fused: ScoreArray = (1.0 / (k + ranks)).sum(axis=0)
    return fused
