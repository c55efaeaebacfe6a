"""Second step of a ranking: the feature matrix of the candidates, and what shoppers' behavior does to their scores."""

from __future__ import annotations

import msgspec
import numpy as np

from events.types import FeatureScale
from searchsvc.analysis.analyzer import query_key
from searchsvc.search.candidates import Candidates
from searchsvc.search.prepared_search import PreparedSearch
from searchsvc.search.scale import scale_cosines, scale_words
from searchsvc.search.score_terms import ScoreTerms
from tuning.arrays import AnyArray, FloatArray, IntArray, ScoreArray
from tuning.features import BEHAVIOR, COSINE, NEIGHBOURHOOD


class CandidateFeatures(msgspec.Struct, frozen=True):
    """Features of the candidates.

    matrix: (n, n_features) in the order of `tuning.features.feature_names`.
    scales: what words and cosines are counted in.
    behavior_factors: (n,) what scores are multiplied by for shoppers' behavior; None if by nothing.
    """

    matrix: FloatArray
    scales: tuple[FeatureScale, ...]
    behavior_factors: ScoreArray | None


def featurise(
    prepared: PreparedSearch, candidates: Candidates, terms: ScoreTerms, timestamp_s: float
) -> CandidateFeatures:
    """Compute the features of all candidates.

    terms: of the scores that the features are for.
    timestamp_s: the moment at which ageing signals are valued, in seconds since 1970.
    """
    behavior, behavior_factors = behavior_features(prepared, candidates)
    matrix, scales = _matrix(prepared, candidates, terms, behavior, timestamp_s)
    return CandidateFeatures(matrix, scales, behavior_factors)


def behavior_features(prepared: PreparedSearch, candidates: Candidates) -> tuple[FloatArray, ScoreArray | None]:
    """Return (n, 2) features of shoppers' behavior, and (n,) factors.

    The factors are None if behavior changes no score.
    """
    n = len(candidates.slots)
    features = np.zeros((n, len(BEHAVIOR)), np.float32)
    learning, behavior = prepared.control.learning, prepared.state.behavior.get(prepared.index)
    if behavior is None or not candidates.n_ranked or learning.mode == "off":
        return features, None
    factors = np.ones(n)
    ids = [prepared.reading.id(slot) for slot in candidates.slots.tolist()]
    of_query = behavior.queries.get(query_key(prepared.request.query)) if behavior.queries else None
    # The values of this query come last, so that their factors replace those of the documents.
    for column, values in enumerate((behavior.documents, of_query or {})):
        for row, document_id in enumerate(ids):
            value = values.get(document_id)
            if value is not None:
                features[row, column] = value.feature
                factors[row] = value.factor
    if learning.mode != "automatic" or not (factors != 1.0).any():
        return features, None
    return features, factors.clip(1.0 / learning.max_boost, learning.max_boost)


def _matrix(
    prepared: PreparedSearch, candidates: Candidates, terms: ScoreTerms, behavior: FloatArray, timestamp_s: float
) -> tuple[FloatArray, tuple[FeatureScale, ...]]:
    reading, text = prepared.reading, candidates.text
    columns: list[AnyArray] = [
        text.bm25,
        text.exact_title,
        text.all_terms,
        text.coverage,
        text.phrase,
        text.proximity,
        _reciprocal(candidates.keyword_ranks),
        candidates.goes_with,
    ]
    is_retrieved, scales = candidates.is_retrieved, list[FeatureScale]()
    if reading.snapshot.settings.embedding is not None:
        trust = np.float32(candidates.vector_trust)
        for name, values in ((COSINE, candidates.cosines), (NEIGHBOURHOOD, candidates.neighbourhood)):
            scaled, scale = scale_cosines(name, values, is_retrieved)
            columns.append(scaled * trust)
            scales.append(scale)
        columns.append(_reciprocal(candidates.vector_ranks) * trust)
    columns += [reading.signals(candidates.slots, timestamp_s), behavior]
    widths = [column.shape[1] if column.ndim == 2 else 1 for column in columns]
    matrix, end = np.empty((len(candidates.slots), sum(widths)), np.float32), 0
    for column, width in zip(columns, widths, strict=True):
        matrix[:, end : end + width] = column if column.ndim == 2 else column[:, None]
        end += width
    scales.insert(0, scale_words(matrix[:, : len(terms.text_weights)], terms.text_weights, is_retrieved))
    return matrix, tuple(scales)


def _reciprocal(ranks: IntArray) -> FloatArray:
    """Return (n,) 1 / rank, 0 where the rank is 0."""
    reciprocal = np.zeros(len(ranks), np.float32)
    np.divide(1.0, ranks, out=reciprocal, where=ranks > 0, casting="same_kind")
    return reciprocal
