"""How far the vectors of an index can be trusted for one query. Pure."""

from __future__ import annotations

from typing import Final

import numpy as np

from tuning.arrays import FloatArray

N_COMPARED: Final = 10
MIN_COMPARED: Final = 3
# On real queries a share below 0.25 is one in a hundred; with a model that knows nothing, one above 0.15 is one in ten.
TRUST_FROM: Final = 0.1
TRUST_FULL: Final = 0.25


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
