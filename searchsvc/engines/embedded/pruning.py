"""Prune documents that cannot be among the best k, so that most of a large match set is never scored (MaxScore).

A document's upper bound is the sum of what each of its terms scores at most. A few hundred documents with high bounds
are scored first; the k-th best of them is the threshold. Documents with lower bounds are pruned at once. The others are
scored a few terms at a time, and pruned as soon as the remaining terms cannot raise them above the threshold.
Source: Turtle & Flood 1995.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from searchsvc.engines.embedded.kernels import maxscore
from searchsvc.engines.embedded.kernels.structs import LengthNorm
from searchsvc.engines.embedded.postings import QuerySpans
from tuning.arrays import AnyArray, BoolArray, FloatArray, ScoreArray

# As many matches or fewer are all scored.
MIN_MATCHES: Final = 20_000
# Documents scored to find the threshold, and documents they are chosen from, in multiples of k.
SCORED_FIRST_FACTOR: Final = 3
CANDIDATE_FACTOR: Final = 12
# Bounds that are sorted to estimate which are high.
SAMPLE_SIZE: Final = 16_384
# Terms that are scored between two prunings.
TERMS_PER_ROUND: Final = 4
# Scores are compared rounded to five digits, so documents this close below the threshold are kept.
MARGIN: Final = 2e-5
# (8, 256) the bits that are set in each byte.
_SET_BITS: Final = np.unpackbits(np.arange(256, dtype=np.uint8)[None, :], axis=0, bitorder="little").astype(np.float64)


def term_bounds(spans: Sequence[QuerySpans], factors: ScoreArray, norm: LengthNorm) -> ScoreArray:
    """Return (n_terms,) the most that each query term scores in any document, all its alternatives together.

    factors: (n_terms, n_fields) what BM25 is multiplied by
    """
    largest = np.zeros(factors.shape)
    for query_spans in spans:
        span_terms, weights = query_spans.spans.terms, query_spans.spans.weights
        saturations = query_spans.run.saturations.largest(query_spans.run.arrays.entries, query_spans.spans, norm)
        of_run = np.zeros(factors.shape)
        np.add.at(of_run, span_terms, saturations * np.maximum(weights, 1.0)[:, None])
        np.maximum(largest, of_run, out=largest)
    bounds: ScoreArray = (factors * np.minimum(largest, 1.0)).sum(axis=1)
    return bounds


def slot_bounds(term_bits: AnyArray, matching: BoolArray, bounds: ScoreArray) -> tuple[FloatArray, FloatArray]:
    """Return (n_slots,) the upper bound of each slot, -1 for slots that do not match, and a sorted sample of bounds.

    term_bits: (n_slots,) which query terms each slot contains
    matching: (n_slots,)
    bounds: (n_terms,)
    """
    upper_bounds, sample = np.empty(len(term_bits), np.float32), np.empty(SAMPLE_SIZE, np.float32)
    maxscore.upper_bounds(term_bits, matching, _byte_table(bounds), upper_bounds, sample)
    # Sorting is faster than partitioning here: most bounds are equal.
    sample.sort()
    return upper_bounds, sample


def most_promising(upper_bounds: FloatArray, sample: FloatArray, k: int) -> AnyArray:
    """Return some slots with high bounds, SCORED_FIRST_FACTOR * k where as many match."""
    n_above = CANDIDATE_FACTOR * k * SAMPLE_SIZE // len(upper_bounds)
    cut = max(sample[-min(max(n_above, 1), SAMPLE_SIZE)], np.float32(0.0))
    slots = np.flatnonzero(upper_bounds >= cut)[: 2 * CANDIDATE_FACTOR * k]
    return slots[np.argsort(-upper_bounds[slots])[: SCORED_FIRST_FACTOR * k]]


def score_threshold(scores: AnyArray, k: int) -> float:
    """Return a score that the best k documents reach. scores: of some documents."""
    return float(np.partition(scores, -k)[-k] if len(scores) >= k else 0.0) - MARGIN


def prune(
    slots: AnyArray, term_bits: AnyArray, bounds: ScoreArray, threshold: float, scores: ScoreArray, survivors: BoolArray
) -> AnyArray:
    """Return the slots that can still reach the threshold.

    bounds: (n_terms,) 0 for terms that are in the scores
    scores: (n_slots,) so far
    survivors: (n_slots,) written to
    """
    maxscore.prune(slots, term_bits, _byte_table(bounds), threshold, scores, survivors)
    return slots[survivors[slots]]


def _byte_table(bounds: ScoreArray) -> FloatArray:
    """Return the (4, 256) table of bounds that `kernels.maxscore` takes. bounds: (n_terms,), at most 32."""
    padded = np.zeros(32)
    padded[: len(bounds)] = bounds
    return (padded.reshape(4, 8) @ _SET_BITS).astype(np.float32)
