"""The ranking call: features times weights, best first. Pure.

The score is a plain sum, so a ranking can be read, explained and undone: score = sum of weight * feature.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from searchsvc.arrays import AnyArray, FloatArray, IntArray, ScoreArray

N_COMPARED: Final = 10
MIN_COMPARED: Final = 3
# On real queries a share below 0.25 is one in a hundred; with a model that knows nothing, one above 0.15 is one in ten.
TRUST_FROM: Final = 0.1
TRUST_FULL: Final = 0.25


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


def best(scores: ScoreArray, k: int, id_of: Callable[[int], str]) -> list[int]:
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
    best: list[int] = order[:k].tolist()
    return best


def overlooked(scores: ScoreArray, vector_ranks: IntArray, k: int = 10) -> FloatArray | None:
    """(n,) 1, (k - 1) / k ... 1 / k for the k nearest vectors where the k best by score hold none of them; else None.

    scores: (n,) without this feature. vector_ranks: (n,), 1-based, 0 where the vector leg missed the candidate. Whoever
    equals the last of the best counts as one of them, so that the order of the candidates does not matter.
    """
    nearest = (vector_ranks > 0) & (vector_ranks <= k)
    if len(scores) <= k or not nearest.any() or scores[nearest].max() >= np.partition(scores, -k)[-k]:
        return None
    return np.where(nearest, (k + 1 - vector_ranks) / k, 0.0).astype(np.float32)


def vector_trust(by_words: FloatArray, nearest: FloatArray, by_chance: float, n_documents: int) -> float:
    """How far cosines tell what a query is about, from 0 to 1.

    A useful model finds what the query's words find nearer than chance does. by_words: cosines of the keyword leg's
    first. nearest: of the vector leg, nearest first. by_chance: the mean over all n_documents. 1 where there is too
    little to judge by: few hits, or hardly more documents than the nearest. See docs/decisions/weak-vectors.md.
    """
    if len(by_words) < MIN_COMPARED or n_documents <= len(nearest[:N_COMPARED]):
        return 1.0
    ahead = _mean(nearest[:N_COMPARED]) - by_chance if len(nearest) else 0.0
    if ahead <= 0.0:
        return 0.0
    share = (_mean(by_words) - by_chance) / ahead
    return min(max((share - TRUST_FROM) / (TRUST_FULL - TRUST_FROM), 0.0), 1.0)


def _mean(of: FloatArray) -> float:
    """In a third of the time of `mean`, which is made for larger arrays."""
    return float(np.add.reduce(of) / np.float32(len(of)))


def reciprocal_rank_fusion(ranks: ScoreArray, k: float = 60.0) -> ScoreArray:
    """Fuse engine rankings into one score per candidate (unitless, higher is better). A yardstick for benchmarks.

    ranks: (n_engines, n_candidates), 1-based; inf where an engine did not retrieve it.
    Returns (n_candidates,), each in [0, n_engines / (k + 1)].
    Source: Cormack, Clarke & Buettcher, SIGIR 2009: sum over engines of 1 / (k + rank).
    """
    fused: ScoreArray = (1.0 / (k + ranks)).sum(axis=0)
    return fused
