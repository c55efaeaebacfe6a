"""How far the cosines of an index tell what one query is about. Pure."""

from __future__ import annotations

from typing import Final

import numpy as np

from tuning.arrays import FloatArray

N_COMPARED: Final = 10
MIN_COMPARED: Final = 3
# On real queries a share below 0.25 is one in a hundred; with a model that knows nothing, one above 0.15 is one in ten.
TRUST_FROM: Final = 0.1
TRUST_FULL: Final = 0.25


def vector_trust(
    keyword_cosines: FloatArray, nearest_cosines: FloatArray, mean_cosine: float, n_documents: int
) -> float:
    """Return how far cosines tell what a query is about, in [0, 1].

    With a useful model, the documents that contain the query's words are nearer to the query than the average document.

    keyword_cosines: cosines of the first documents of the keyword leg
    nearest_cosines: cosines of the vector leg, nearest first
    mean_cosine: mean over all n_documents

    Returns 1 if there is too little to judge by: few keyword hits, or hardly more documents than the nearest.
    See docs/decisions/weak-vectors.md.
    """
    if len(keyword_cosines) < MIN_COMPARED or n_documents <= len(nearest_cosines[:N_COMPARED]):
        return 1.0
    lead = _mean(nearest_cosines[:N_COMPARED]) - mean_cosine if len(nearest_cosines) else 0.0
    if lead <= 0.0:
        return 0.0
    share = (_mean(keyword_cosines) - mean_cosine) / lead
    return min(max((share - TRUST_FROM) / (TRUST_FULL - TRUST_FROM), 0.0), 1.0)


def _mean(values: FloatArray) -> float:
    # A third of the time of `mean`, which is made for larger arrays.
    return float(np.add.reduce(values) / np.float32(len(values)))
