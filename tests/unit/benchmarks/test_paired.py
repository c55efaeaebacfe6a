"""Ratios of two sides that were measured in alternation."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import paired


def drifting_blocks(factor: float, seed: int) -> list[list[float]]:
    """Twenty blocks of ten times; the machine slows down by half from the first to the last."""
    rng = np.random.default_rng(seed)
    return [(factor * (1.0 + block / 20) * rng.uniform(0.9, 1.1, 10)).tolist() for block in range(20)]


def test_a_ratio_is_found_though_the_machine_drifts() -> None:
    this, other = drifting_blocks(1.2, 1), drifting_blocks(1.0, 2)
    comparison, resampled = paired.compare(this, other, np.random.default_rng(3))
    assert comparison.n == 200
    assert resampled.shape == (1000, 3)
    assert comparison.ratio["p50"].low < 1.2 < comparison.ratio["p50"].high
    assert comparison.ratio["p50"].high - comparison.ratio["p50"].low < 0.15
    assert comparison.this_ms["p50"] == pytest.approx(float(np.percentile(np.concatenate(this), 50)), abs=1e-4)


def test_a_side_compared_with_itself_has_ratio_one_exactly() -> None:
    blocks = drifting_blocks(1.0, 1)
    comparison, _ = paired.compare(blocks, blocks, np.random.default_rng(3))
    for ratio in comparison.ratio.values():
        assert (ratio.low, ratio.value, ratio.high) == (1.0, 1.0, 1.0)


def test_the_median_of_runs_leaves_out_a_run_that_was_disturbed() -> None:
    factors = (1.0, 1.0, 4.0)
    runs = [
        paired.compare(drifting_blocks(factor, seed), drifting_blocks(1.0, 9), np.random.default_rng(seed))
        for seed, factor in enumerate(factors)
    ]
    median = paired.median_of_runs([run for run, _ in runs], [resampled for _, resampled in runs])
    assert median.n == 600
    assert median.ratio["p50"].value == pytest.approx(1.0, abs=0.1)
    assert median.ratio["p50"].low <= median.ratio["p50"].value <= median.ratio["p50"].high
