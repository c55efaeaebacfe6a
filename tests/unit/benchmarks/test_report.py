"""The arithmetic of reports, and what every published result names."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from benchmarks import report


def test_an_interval_contains_its_value_and_is_repeatable() -> None:
    values = np.random.default_rng(1).normal(10, 2, 400)
    interval = report.mean_interval(values)
    assert interval.low < interval.value < interval.high
    assert interval == report.mean_interval(values)
    figures = report.latency(values.tolist())
    assert figures.p50.low <= figures.p50.value <= figures.p50.high <= figures.p99.high
    assert figures.n == 400


def test_every_published_result_names_commit_machine_versions_and_seed() -> None:
    for file in (Path(report.__file__).parent / "results").glob("*.json"):
        result = msgspec.json.decode(file.read_bytes())
        assert {"benchmark", "question", "commit", "machine", "versions", "seed", "checks"} <= set(result), file
