"""Ranking, weights, the behaviour writer, and the benchmarks' own arithmetic."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks import report


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
