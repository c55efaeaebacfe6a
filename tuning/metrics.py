"""Measures of a ranking by graded judgments. Pure. Documents without a judgment count as irrelevant."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def ndcg(ranked: Sequence[str], grades: Mapping[str, int], k: int = 10) -> float:
    """Return the normalized discounted cumulative gain, in [0, 1]; 0 if no document is relevant.

    ranked: document ids from rank 1 on.
    grades: by document id; the ideal order is that of all of them.
    k: cut-off.

    Source: Järvelin & Kekäläinen 2002, with gain 2^grade - 1 and discount log2(rank + 1).
    """
    gains = [2.0 ** grades.get(document_id, 0) - 1.0 for document_id in ranked[:k]]
    ideal = sorted((2.0**grade - 1.0 for grade in grades.values()), reverse=True)[:k]
    best = _discounted(ideal)
    return _discounted(gains) / best if best else 0.0


def reciprocal_rank(ranked: Sequence[str], grades: Mapping[str, int]) -> float:
    """Return 1 / rank of the first relevant document, 0 if there is none. Source: Voorhees, TREC-8 1999."""
    ranks = (rank for rank, document_id in enumerate(ranked, start=1) if grades.get(document_id, 0) > 0)
    return next((1.0 / rank for rank in ranks), 0.0)


def recall(ranked: Sequence[str], grades: Mapping[str, int], k: int = 100) -> float:
    """Return the share of the relevant documents that are among the first k, in [0, 1]."""
    relevant = {document_id for document_id, grade in grades.items() if grade > 0}
    return len(relevant.intersection(ranked[:k])) / len(relevant) if relevant else 0.0


def expected_reciprocal_rank(ranked: Sequence[str], grades: Mapping[str, int], max_grade: int, k: int = 10) -> float:
    """Return the expected 1 / rank at which a user who reads downwards is satisfied, in [0, 1].

    max_grade: highest grade of the collection.
    k: cut-off.

    Source: Chapelle, Metzler, Zhang & Grinspan, CIKM 2009, with R = (2^g - 1) / 2^max.
    """
    unsatisfied, expected = 1.0, 0.0
    for rank, document_id in enumerate(ranked[:k], start=1):
        satisfied = (2.0 ** grades.get(document_id, 0) - 1.0) / 2.0**max_grade
        expected += unsatisfied * satisfied / rank
        unsatisfied *= 1.0 - satisfied
    return expected


def _discounted(gains: Sequence[float]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))
