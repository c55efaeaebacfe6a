"""Statistics of two sides that were asked the same queries in alternation, block by block. Pure.

A machine's speed drifts while it measures. Both sides of one block see nearly the same speed, so ratios are resampled
by whole blocks, the same blocks for both sides.

Source: Efron & Tibshirani, An Introduction to the Bootstrap, 1993, section 8.5 (block bootstrap), percentile intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from benchmarks.report import RESAMPLES, Interval
from tuning.arrays import ScoreArray

PERCENTILES: Final = (50, 90, 99)
NAMES: Final = tuple(f"p{percentile}" for percentile in PERCENTILES)

Blocks = Sequence[Sequence[float]]


class Comparison(msgspec.Struct, frozen=True):
    """Percentiles of two sides and their ratios, by name (`p50`, `p90`, `p99`).

    n: measurements of each side
    this_ms, other_ms: milliseconds
    ratio: this over other, with a 95 % interval; below 1 this side is faster
    """

    n: int
    this_ms: dict[str, float]
    other_ms: dict[str, float]
    ratio: dict[str, Interval]


def compare(this: Blocks, other: Blocks, rng: np.random.Generator) -> tuple[Comparison, ScoreArray]:
    """Compare the percentiles of one run.

    this, other: milliseconds by block; both have the same blocks, none empty

    Returns the comparison, and the (RESAMPLES, len(PERCENTILES)) ratios of the resampled runs.
    """
    this_ms, other_ms = _percentiles(this), _percentiles(other)
    ratios = np.empty((RESAMPLES, len(PERCENTILES)))
    for row in ratios:
        chosen = rng.integers(len(this), size=len(this)).tolist()
        row[:] = _percentiles([this[i] for i in chosen]) / _percentiles([other[i] for i in chosen])
    comparison = Comparison(
        sum(len(block) for block in this), _named(this_ms), _named(other_ms), _intervals(this_ms / other_ms, ratios)
    )
    return comparison, ratios


def median_of_runs(comparisons: Sequence[Comparison], resampled: Sequence[ScoreArray]) -> Comparison:
    """Return the median of several runs' percentiles and ratios, with an interval from resampling every run.

    resampled: the ratios that `compare` returned, one array a run
    """
    this_ms = np.median([[run.this_ms[name] for name in NAMES] for run in comparisons], axis=0)
    other_ms = np.median([[run.other_ms[name] for name in NAMES] for run in comparisons], axis=0)
    ratios = np.median([[run.ratio[name].value for name in NAMES] for run in comparisons], axis=0)
    n = sum(run.n for run in comparisons)
    return Comparison(n, _named(this_ms), _named(other_ms), _intervals(ratios, np.median(resampled, axis=0)))


def _percentiles(blocks: Blocks) -> ScoreArray:
    values: ScoreArray = np.percentile(np.concatenate(blocks), PERCENTILES)
    return values


def _named(values: ScoreArray) -> dict[str, float]:
    return {name: round(float(value), 4) for name, value in zip(NAMES, values, strict=True)}


def _intervals(values: ScoreArray, resampled: ScoreArray) -> dict[str, Interval]:
    low, high = np.percentile(resampled, [2.5, 97.5], axis=0)
    rows = zip(NAMES, values, low, high, strict=True)
    return {name: Interval(*(round(float(figure), 4) for figure in row)) for name, *row in rows}
