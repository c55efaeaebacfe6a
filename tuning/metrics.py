"""What a ranking is worth by graded judgements. Pure. Documents that nobody judged count as not relevant."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def ndcg(ranked: Sequence[str], grades: Mapping[str, int], k: int = 10) -> float:
    """Normalised discounted cumulative gain of a ranking, in [0, 1]; 0 where nothing is relevant.

    The ideal orders all judged documents of the query.
    Source: Järvelin & Kekäläinen 2002, with gain 2^grade - 1 and discount log2(rank + 1).
    """
    gains = [2.0 ** grades.get(document_id, 0) - 1.0 for document_id in ranked[:k]]
    ideal = sorted((2.0**grade - 1.0 for grade in grades.values()), reverse=True)[:k]
    best = _discounted(ideal)
    return _discounted(gains) / best if best else 0.0


def reciprocal_rank(ranked: Sequence[str], grades: Mapping[str, int]) -> float:
    """1 / rank of the first relevant document, 0 where there is none. Source: Voorhees, TREC-8 1999."""
    return next((1.0 / rank for rank, one in enumerate(ranked, start=1) if grades.get(one, 0) > 0), 0.0)


def recall(ranked: Sequence[str], grades: Mapping[str, int], k: int = 100) -> float:
    """Share of the relevant documents among the first k, in [0, 1]."""
    relevant = {one for one, grade in grades.items() if grade > 0}
    return len(relevant.intersection(ranked[:k])) / len(relevant) if relevant else 0.0


def expected_reciprocal_rank(ranked: Sequence[str], grades: Mapping[str, int], max_grade: int, k: int = 10) -> float:
    """Expected 1 / rank at which a shopper who reads downwards is satisfied, in [0, 1].

    max_grade: of the collection. Source: Chapelle, Metzler, Zhang & Grinspan, CIKM 2009, with R = (2^g - 1) / 2^max.
    """
    going_on, expected = 1.0, 0.0
    for rank, one in enumerate(ranked[:k], start=1):
        satisfied = (2.0 ** grades.get(one, 0) - 1.0) / 2.0**max_grade
        expected += going_on * satisfied / rank
        going_on *= 1.0 - satisfied
    return expected


def _discounted(gains: Sequence[float]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))
