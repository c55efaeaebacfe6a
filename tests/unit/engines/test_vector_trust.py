"""How far cosines tell what a query is about."""

from __future__ import annotations

import numpy as np
import pytest

from searchsvc.engines.vector_trust import vector_trust
from tuning.arrays import FloatArray

NEAREST: FloatArray = np.full(10, 0.5, np.float32)


@pytest.mark.parametrize(
    ("keyword_cosine", "trust"), [(0.5, 1.0), (0.225, 1.0), (0.18, 0.2 / 0.3), (0.14, 0.0), (0.1, 0.0), (-1.0, 0.0)]
)
def test_trust_grows_with_the_share_of_the_lead_that_keyword_hits_have(keyword_cosine: float, trust: float) -> None:
    keyword: FloatArray = np.full(5, keyword_cosine, np.float32)
    assert vector_trust(keyword, NEAREST, 0.1, 1000) == pytest.approx(trust, abs=1e-5)


def test_vectors_are_trusted_if_there_is_too_little_to_judge_by() -> None:
    few: FloatArray = np.full(2, -1.0, np.float32)
    many: FloatArray = np.full(9, -1.0, np.float32)
    assert vector_trust(few, NEAREST, 0.1, 1000) == 1.0
    assert vector_trust(many, NEAREST, 0.1, 10) == 1.0


def test_vectors_are_not_trusted_if_the_nearest_are_no_nearer_than_the_average() -> None:
    keyword: FloatArray = np.full(5, 0.9, np.float32)
    assert vector_trust(keyword, NEAREST, 0.5, 1000) == 0.0
    assert vector_trust(keyword, NEAREST[:0], 0.0, 1000) == 0.0


def test_trust_falls_from_1_to_0_as_keyword_hits_come_near_the_average() -> None:
    nearest: FloatArray = np.full(10, 0.6, np.float32)

    def trust(keyword_cosine: float, n: int = 10) -> float:
        return vector_trust(np.full(n, keyword_cosine, np.float32), nearest, 0.1, 1000)

    assert trust(0.6) == trust(0.23) == 1.0
    assert trust(0.1875) == pytest.approx(0.5, abs=1e-5)
    assert trust(0.1) == trust(-0.2) == 0.0
    assert trust(0.1, n=2) == 1.0
    assert vector_trust(nearest, nearest[:0], 0.1, 1000) == 0.0
    assert vector_trust(nearest, nearest, 0.9, len(nearest)) == 1.0, "all there is, no nearer than the mean"
