"""Bring what words and vectors say of the candidates of one search to one scale. Pure.

Raw scores depend on the query, the collection and the model: cosines of good and poor matches may lie within 0.1 of
each other, or 0.5 apart. Measured by how much the search's own candidates differ, they can be added with the same
weights everywhere. Source: Bruch, Gai & Ingber, TOIS 2023, convex combinations of normalised scores.
See docs/decisions/score-scale.md.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from events.types import FeatureScale
from tuning.arrays import BoolArray, FloatArray, ScoreArray

# Of the scores and features that `FeatureScale`s are logged with. Another number means that scores mean something else.
SCORING_VERSION: Final = 1
# Name of the scale of all features that words give.
WORDS: Final = "words"
# Where candidates differ as usual by their words, words count as they are.
USUAL_WORDS_DEVIATION: Final = 0.6
# From the lowest cosine to the highest are about as many standard deviations: scaled cosines are about [0, 1].
DEVIATIONS_IN_RANGE: Final = 4.0
# Below these, candidates differ by chance.
MIN_WORDS_DEVIATION: Final = 0.25
MIN_COSINE_DEVIATION: Final = 0.05


def scale_words(columns: FloatArray, weights: ScoreArray, is_retrieved: BoolArray) -> FeatureScale:
    """Divide the features that words give by how much candidates differ in what these add to a score by default.

    columns: (n, n_text_features), scaled in place
    weights: (n_text_features,) the default ones, so that the scale is the same under any weights
    is_retrieved: (n,) which candidates the legs found; what rules add has no part in the scale
    """
    deviation = max(_deviation(columns[is_retrieved] @ weights), MIN_WORDS_DEVIATION)
    unit = deviation / USUAL_WORDS_DEVIATION
    columns /= np.float32(unit)
    return FeatureScale(WORDS, 0.0, unit)


def scale_cosines(feature: str, cosines: FloatArray, is_retrieved: BoolArray) -> tuple[FloatArray, FeatureScale]:
    """Return (n,) how far each cosine is above the lowest that the legs found; about [0, 1]. feature: its name"""
    retrieved = cosines[is_retrieved]
    lowest = float(retrieved.min()) if len(retrieved) else 0.0
    unit = DEVIATIONS_IN_RANGE * max(_deviation(retrieved), MIN_COSINE_DEVIATION)
    # What a rule adds may be farther than all that was retrieved.
    scaled = np.maximum(cosines - np.float32(lowest), 0.0) / np.float32(unit)
    return scaled, FeatureScale(feature, lowest, unit)


def neighbour_weights(cosines: FloatArray) -> FloatArray:
    """Return (n,) how much each of a query's nearest documents says about what the query is after; the nearest 1.

    cosines: (n,) with the query, nearest first
    A standard deviation of the cosines farther, a document counts 1 / e as much.
    """
    if not len(cosines):
        return cosines
    width = np.float32(max(_deviation(cosines), MIN_COSINE_DEVIATION))
    weights: FloatArray = np.exp((cosines - cosines[0]) / width)
    return weights


def _deviation(values: FloatArray | ScoreArray) -> float:
    """Return the standard deviation. `np.std` takes five times as long for a hundred values."""
    n = len(values)
    if not n:
        return 0.0
    differences = values - np.add.reduce(values, dtype=np.float64) / n
    return float(np.sqrt(differences @ differences / n))
