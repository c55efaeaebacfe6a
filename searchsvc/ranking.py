"""The ranking call: features times weights, best first. Pure.

The score is a plain sum, so a ranking can be read, explained and undone: score = sum of weight * feature.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from searchsvc.arrays import FloatArray, ScoreArray


def score(features: FloatArray, weights: ScoreArray) -> ScoreArray:
    """(n,) the weighted sum of each candidate's features, higher is better.

    features: (n, n_features). weights: (n_features,). Summed in double precision in feature order, so that the
    parts that `contributions` shows add up to it exactly.
    """
    sums: ScoreArray = contributions(features, weights).sum(axis=1)
    return sums


def contributions(features: FloatArray, weights: ScoreArray) -> ScoreArray:
    """(n, n_features) what each feature adds to each score, in double precision."""
    parts: ScoreArray = features.astype(np.float64) * weights
    return parts


def order(scores: ScoreArray, ids: Sequence[str]) -> list[int]:
    """Positions of the candidates from best to worst; equal scores by id, so that a ranking repeats."""
    values = scores.tolist()
    return sorted(range(len(values)), key=lambda i: (-values[i], ids[i]))


def reciprocal_rank_fusion(ranks: ScoreArray, k: float = 60.0) -> ScoreArray:
    """Fuse engine rankings into one score per candidate (unitless, higher is better). A yardstick for benchmarks.

    ranks: (n_engines, n_candidates), 1-based; inf where an engine did not retrieve it.
    Returns (n_candidates,), each in [0, n_engines / (k + 1)].
    Source: Cormack, Clarke & Buettcher, SIGIR 2009: sum over engines of 1 / (k + rank).
    """
    fused: ScoreArray = (1.0 / (k + ranks)).sum(axis=0)
    return fused
