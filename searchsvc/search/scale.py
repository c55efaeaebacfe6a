"""Normalise text and vector features of one search's candidates to a common scale. Pure.

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

# Version of the scoring formula, logged with each ranking: another number when a score or a feature changes meaning.
SCORING_VERSION: Final = 1
# Name of the scale of all features that words give.
WORDS: Final = "words"
# Standard deviation at which text features stay as they are.
USUAL_WORDS_DEVIATION: Final = 0.6
# Cosines span about as many standard deviations: scaled ones are about [0, 1].
DEVIATIONS_IN_RANGE: Final = 4.0
# Lower limits of the deviations: smaller differences are noise.
MIN_WORDS_DEVIATION: Final = 0.25
MIN_COSINE_DEVIATION: Final = 0.05


def scale_words(columns: FloatArray, weights: ScoreArray, is_retrieved: BoolArray) -> FeatureScale:
    """Divide text features by the standard deviation of their weighted sum, relative to `USUAL_WORDS_DEVIATION`.

    columns: (n, n_text_features), scaled in place
    weights: (n_text_features,) default weights, so that the scale does not depend on the weights in force
    is_retrieved: (n,) candidates that the legs found; those that rules add do not influence the scale
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
    weight = exp((cosine - highest cosine) / standard deviation of the cosines)
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
