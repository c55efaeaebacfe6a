"""How well do learners rank after so many impressions, and what do shoppers pay for it meanwhile?

Question   from clicks alone: nDCG@10 on queries that were never seen (offline), and of what was shown (displayed)
           against production on the same queries; also with bots among the shoppers, and when tastes change.
Data       a feature file (benchmarks/featurefile.py); clicks are simulated (benchmarks/shoppers.py).
Baselines  PDGD, the published yardstick, and production, which learns nothing.
Command    searchsvc bench tuning FILE
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from benchmarks import featurefile, report, simulation
from benchmarks.production import production_of
from benchmarks.shoppers import MODELS, Attack
from benchmarks.simulation import EVERY, LEARNERS, Row, RunSpec, offline
from events.errors import require
from tuning.arrays import ScoreArray

LEAST_DISPLAYED: Final = -0.003
# The same if production is optimal: there is nothing to win.
LEAST_OPTIMAL: Final = -0.001
UPDATE_US: Final = 500.0
SHOWN_CHECKPOINTS: Final = (100, 300, 1000, 3000, 10_000, 20_000)


class Plan(msgspec.Struct, frozen=True):
    """What to run: each learner with each click model, attack and seed.

    learners: of `LEARNERS`
    clicks: of `shoppers.MODELS`
    attacks: see `Attack.parse`; '' is none
    impressions: of each run
    n_seeds: runs of each kind
    part: queries of the offline measure; settings are chosen on `validation` alone
    production: JSON file of the weights to start from; None takes the feature file's
    optimal: start from the best weights by the labels
    pipeline: show the default learner's weights only after they pass gate and guard
    """

    learners: Sequence[str]
    clicks: Sequence[str]
    attacks: Sequence[str]
    impressions: int
    n_seeds: int
    part: str = "test"
    production: Path | None = None
    optimal: bool = False
    pipeline: bool = False

    def check(self) -> None:
        """Raise InvalidInput if a value is out of its range."""
        require(self.impressions >= 1, "impressions", self.impressions, "1 or more")
        require(self.n_seeds >= 1, "seeds", self.n_seeds, "1 or more")
        for learner in self.learners:
            require(learner in LEARNERS, "learner", learner, ", ".join(LEARNERS))
        for model in self.clicks:
            require(model in MODELS, "clicks", model, ", ".join(MODELS))
        for attack in self.attacks:
            Attack.parse(attack)

    def runs(self) -> list[RunSpec]:
        return [
            RunSpec(learner, model, attack, seed, self.pipeline and learner == "default")
            for model in self.clicks
            for attack in self.attacks
            for learner in self.learners
            for seed in range(self.n_seeds)
        ]


def measure(path: Path, plan: Plan, say: Callable[[str], None]) -> dict[str, Any]:
    """Run all learners of a plan; return the result as it is written to JSON.

    Raises InvalidInput if the plan or the feature file is not usable.
    """
    plan.check()
    file = featurefile.read(path)
    weights, origin = production_of(file, plan.production, optimal=plan.optimal)
    say(f"{file.name}: {', '.join(f'{len(lists):,} {name}' for name, lists in file.parts.items())} queries")
    say(f"production ({origin}): " + ", ".join(f"{n}={w:g}" for n, w in zip(file.names, weights, strict=True) if w))
    rows = _run_all(path, plan, weights, say)
    summary = list(_summaries(rows))
    return {
        "benchmark": "tuning",
        "question": "what learners reach from clicks, and what shoppers are shown meanwhile",
        **report.environment(0),
        "part": plan.part,
        "pipeline": plan.pipeline,
        "production": dict(zip(file.names, map(float, weights), strict=True)),
        "production_from": origin,
        "production_ndcg": offline(file.parts[plan.part], lambda features: features @ weights),
        "rows": rows,
        "summary": summary,
        "checks": [
            check
            for group in summary
            if group["learner"] == "default"
            for check in _checks(group, optimal=plan.optimal)
        ],
    }


def _run_all(path: Path, plan: Plan, weights: ScoreArray, say: Callable[[str], None]) -> list[Row]:
    """Make all runs of a plan in parallel processes; return their checkpoints in a fixed order."""
    specs = plan.runs()
    rows: list[Row] = []
    initial = (path, weights, plan.part)
    with ProcessPoolExecutor(os.cpu_count(), initializer=simulation.prepare, initargs=initial) as pool:
        futures: dict[Future[list[Row]], RunSpec] = {
            pool.submit(simulation.run, spec, plan.impressions): spec for spec in specs
        }
        for n_done, future in enumerate(as_completed(futures), start=1):
            rows += future.result()
            last, spec = rows[-1], futures[future]
            name = f"{spec.learner}, {_shoppers(spec.clicks, spec.attack)}, seed {spec.seed}"
            say(f"{n_done} of {len(specs)}: {name}: {last.ndcg:.4f} after {last.impressions:,}")
    return sorted(rows, key=lambda row: (row.clicks, row.attack, row.learner, row.seed, row.impressions))


def _shoppers(clicks: str, attack: str) -> str:
    return f"{clicks}, {attack}" if attack else clicks


def _summaries(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """Summarise the runs of each learner, click model and attack over their seeds: (mean, half of the interval)."""
    groups: dict[tuple[str, str, str], dict[int, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        groups[row.learner, row.clicks, row.attack][row.seed].append(row)
    for (learner, clicks, attack), by_seed in groups.items():
        runs = list(by_seed.values())
        checkpoints = [row.impressions for row in runs[0]]
        shown = dict.fromkeys(n for n in (*SHOWN_CHECKPOINTS, checkpoints[-1]) if n in checkpoints)
        gains = [_gains(run) for run in runs]
        n_windows = min(len(run) for run in gains)
        worst = min(range(n_windows), key=lambda window: np.mean([run[window] for run in gains]))
        yield {
            "learner": learner,
            "clicks": clicks,
            "attack": attack,
            "seeds": len(runs),
            "offline": {
                str(n): _mean([row.ndcg for run in runs for row in run if row.impressions == n]) for n in shown
            },
            "first": _mean([run[0] for run in gains]),
            "early": _mean([float(np.mean(run[:5])) for run in gains]),
            "last": _mean([run[-1] for run in gains]),
            "whole": _mean([float(np.mean(run)) for run in gains]),
            "worst": _mean([run[worst] for run in gains]),
            "versions": {
                name: sum(getattr(run[-1], name) for run in runs) for name in ("published", "bad", "rolled_back")
            },
            "update_us": tuple(float(np.max([run[-1].update_us[i] for run in runs])) for i in (0, 1)),
        }


def _gains(rows: Sequence[Row]) -> list[float]:
    """Return displayed minus production nDCG of each thousand impressions of a run."""
    gains, total, end, start = [], 0.0, 0, 0
    for row in rows:
        n = row.impressions - end
        total, end = total + n * (row.displayed - row.displayed_production), row.impressions
        if end % EVERY == 0 or row is rows[-1]:
            gains.append(total / (end - start))
            total, start = 0.0, end
    return gains


def _mean(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean over seeds, and half of its 95 % interval."""
    half = 1.96 * float(np.std(values, ddof=1)) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return float(np.mean(values)), half


def _checks(summary: Mapping[str, Any], *, optimal: bool) -> Iterator[report.Check]:
    """Check the default learner, on any collection: shoppers do not pay for its learning, and it is quick."""
    name = _shoppers(summary["clicks"], summary["attack"])
    mean, half = summary["worst"]
    lowest, update = mean - half, summary["update_us"][1]
    yield report.Check(
        f"{name}: the worst thousand over production, lower limit",
        f">= {LEAST_DISPLAYED:+.3f}",
        f"{lowest:+.4f}",
        lowest >= LEAST_DISPLAYED,
    )
    if optimal:
        whole = summary["whole"][0]
        yield report.Check(
            f"{name}: displayed over the best weights there are, mean",
            f">= {LEAST_OPTIMAL:+.3f}",
            f"{whole:+.4f}",
            whole >= LEAST_OPTIMAL,
        )
    if summary["versions"]["published"]:
        bad = summary["versions"]["bad"]
        yield report.Check(f"{name}: versions that are worse than production", "0", str(bad), bad == 0)
    yield report.Check(f"{name}: an update, p99", f"<= {UPDATE_US:g} us", f"{update:.0f} us", update <= UPDATE_US)


def print_result(result: dict[str, Any]) -> None:
    print(f"production: nDCG@10 {result['production_ndcg']:.4f} on the {result['part']} part; means [95 %] over seeds")
    for summary in result["summary"]:
        shoppers = _shoppers(summary["clicks"], summary["attack"])
        print(f"{summary['learner']}, {shoppers}, {summary['seeds']} seeds")
        for impressions, value in summary["offline"].items():
            print(f"  offline at {impressions:>6}            {_interval(value)}")
        print(f"  displayed over production, first 1,000  {_interval(summary['first'], signed=True)}")
        print(f"  displayed over production, first 5,000  {_interval(summary['early'], signed=True)}")
        print(f"  displayed over production, last 1,000   {_interval(summary['last'], signed=True)}")
        print(f"  displayed over production, all of it    {_interval(summary['whole'], signed=True)}")
        print(f"  the worst thousand                      {_interval(summary['worst'], signed=True)}")
        if sum(summary["versions"].values()):
            versions = "{published} published, {bad} of them bad, {rolled_back} rolled back"
            print(f"  versions                                {versions.format(**summary['versions'])}")
        p50, p99 = summary["update_us"]
        print(f"  an update, us                           p50 {p50:.0f}, p99 {p99:.0f}")
    report.print_checks(result["checks"])


def _interval(value: Sequence[float], *, signed: bool = False) -> str:
    sign = "+" if signed else ""
    mean, half = value
    return f"{mean:{sign}.4f} [{mean - half:{sign}.4f}, {mean + half:{sign}.4f}]"
