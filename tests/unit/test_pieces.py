"""Ranking, weights, the behaviour writer, and the benchmarks' own arithmetic."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks import report
from searchsvc.search import ranking


def test_the_best_come_first_and_equal_ones_by_id() -> None:
    scores = np.array([0.5, 0.9, 0.5, 0.1, 0.5])
    ids = ["e", "d", "c", "b", "a"]
    assert ranking.top_k(scores, 5, ids.__getitem__) == [1, 4, 2, 0, 3]
    assert ranking.top_k(scores, 2, ids.__getitem__) == [1, 4]
    assert ranking.top_k(scores, 0, ids.__getitem__) == []


def test_contributions_add_up_to_the_score() -> None:
    rng = np.random.default_rng(0)
    features, weights = rng.random((50, 9)).astype(np.float32), rng.normal(size=9)
    parts = ranking.contributions(features, weights)
    np.testing.assert_array_equal(parts.sum(axis=1), ranking.score(features, weights))


def test_the_nearest_count_as_overlooked_only_where_the_best_hold_none_of_them() -> None:
    scores = np.array([5.0, 4.0, 3.0, 2.0, 1.0])
    ranks = np.array([0, 0, 3, 1, 2])
    found = ranking.overlooked(scores, ranks, k=2)
    assert found is not None
    np.testing.assert_allclose(found, [0, 0, 0, 1.0, 0.5])
    assert ranking.overlooked(scores, ranks, k=3) is None
    # Whoever equals the last of the best is one of them, wherever it stands.
    for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
        tied, near = np.array([2.0, 1.0, 1.0])[order], np.array([0, 0, 1])[order]
        assert ranking.overlooked(tied, near, k=2) is None
    assert ranking.overlooked(scores, np.zeros(5, np.int64), k=2) is None


def test_reciprocal_rank_fusion_is_that_of_the_paper() -> None:
    fused = ranking.reciprocal_rank_fusion(np.array([[1.0, 2.0, np.inf], [3.0, np.inf, 1.0]]))
    np.testing.assert_allclose(fused, [1 / 61 + 1 / 63, 1 / 62, 1 / 61])


def test_intervals_hold_the_figure_and_repeat() -> None:
    values = np.random.default_rng(1).normal(10, 2, 400)
    interval = report.mean_interval(values)
    assert interval.low < interval.value < interval.high
    assert interval == report.mean_interval(values)
    figures = report.latency(values.tolist())
    assert figures.p50.low <= figures.p50.value <= figures.p50.high <= figures.p99.high
    assert figures.n == 400


def test_every_published_result_names_commit_machine_versions_and_seed() -> None:
    import msgspec

    for file in (Path(report.__file__).parent / "results").glob("*.json"):
        result = msgspec.json.decode(file.read_bytes())
        assert {"benchmark", "question", "commit", "machine", "versions", "seed", "checks"} <= set(result), file
