"""How soon do gate and guard tell better weights, and worse ones, from those in force?

Question   (1) a candidate is truly .02 nDCG@10 better: is it published within 4,000 impressions? (2) the sign of
           production's largest weight was flipped and that was published: is it rolled back within 500? (3) neither
           side is better: how often does the gate open, tested after every event, and how often does the guard raise
           an alarm in 100,000 impressions?
Data       the training queries of a feature file; clicks are simulated (benchmarks/shoppers.py).
Baseline   chance: 1 in 20 for the gate, 1 in 100 for the guard.
Command    searchsvc bench gate FILE
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from benchmarks import featurefile, fitting, report
from benchmarks.chance import ALARM_IMPRESSIONS, N_ALARM_RUNS, N_GATE_RUNS, WITHIN, rates_by_chance
from benchmarks.featurefile import JudgedList
from benchmarks.production import production_of
from benchmarks.shoppers import MODELS, Attack, Shoppers
from benchmarks.simulation import offline, top_k
from events.errors import InvalidInput, require
from tuning.arrays import ScoreArray
from tuning.gate.guard import PageOutcome, display_shares
from tuning.gate.interleaving import N_COINS, preference, team_draft
from tuning.gate.pipeline import BETTER, Pipeline, Step

GAIN: Final = 0.02
ROLLED_BACK_WITHIN: Final = 500
N_FITTED: Final = 500
# Runs between equal sides are resampled from this many simulated preferences.
N_EQUAL_PREFERENCES: Final = 20_000
NOISE: Final = 0.3
BISECTIONS: Final = 12
LEAST_PUBLISHED: Final = {"informational": 0.95, "pbm": 0.9}
LEAST_ROLLED_BACK: Final = 0.95
MOST_ALARMS: Final = 0.01


class Trial(msgspec.Struct, frozen=True):
    """One comparison of two weights.

    published: True if the challenger is published already, and `in_force` are the weights before it
    n: impressions at most
    """

    clicks: str
    seed: int
    in_force: ScoreArray
    challenger: ScoreArray
    published: bool
    n: int


def measure(path: Path, *, clicks: Sequence[str], n_seeds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Run all trials; return the result as it is written to JSON.

    clicks: click models, of `shoppers.MODELS`
    n_seeds: runs of each kind

    Raises InvalidInput if no weights are found that are .02 better than production.
    """
    require(n_seeds >= 1, "seeds", n_seeds, "1 or more")
    for model in clicks:
        require(model in MODELS, "clicks", model, ", ".join(MODELS))
    file = featurefile.read(path)
    production, origin = production_of(file, None)
    better, gain = _better(file.parts["train"], production)
    worse = production.copy()
    worse[np.argmax(np.abs(worse))] *= -1.0
    loss = _ndcg(file.parts["train"], worse) - _ndcg(file.parts["train"], production)
    say(f"{file.name}: a candidate of {gain:+.4f}, and one of {loss:+.4f} with the sign of the largest weight flipped")
    summary = []
    with ProcessPoolExecutor(os.cpu_count(), initializer=_prepare, initargs=(path,)) as pool:
        for model in clicks:
            summary.append(_measure_model(pool, model, (production, better, worse), n_seeds))
            say(f"{model}: {summary[-1]}")
    return {
        "benchmark": "gate",
        "question": "how soon better and worse weights are told from those in force",
        **report.environment(0),
        "collection": file.name,
        "production_from": origin,
        "seeds": n_seeds,
        "gain": gain,
        "flipped": loss,
        "summary": summary,
        "checks": [check for figures in summary for check in _checks(figures)],
    }


def _measure_model(
    pool: Executor, model: str, weights: tuple[ScoreArray, ScoreArray, ScoreArray], n_seeds: int
) -> dict[str, Any]:
    """Measure one click model. weights: of production, a better and a worse candidate."""
    production, better, worse = weights
    gate_trials = [Trial(model, seed, production, better, False, WITHIN) for seed in range(n_seeds)]
    guard_trials = [Trial(model, seed, production, worse, True, ROLLED_BACK_WITHIN) for seed in range(n_seeds)]
    gate_ends = list(pool.map(_run_until_decided, gate_trials, chunksize=4))
    guard_ends = list(pool.map(_run_until_decided, guard_trials, chunksize=4))
    halves = [N_EQUAL_PREFERENCES // 2] * 2
    preferences = np.concatenate(list(pool.map(partial(_equal_preferences, model, production), range(2), halves)))
    opened, alarms = rates_by_chance(preferences)
    published = [n for n, step in gate_ends if step == "published"]
    rolled_back = [n for n, step in guard_ends if step == "rolled_back"]
    return {
        "clicks": model,
        "published": len(published) / n_seeds,
        "published_after": _quantiles(published),
        "rolled_back": len(rolled_back) / n_seeds,
        "rolled_back_after": _quantiles(rolled_back),
        "opened_by_chance": opened,
        "alarms_by_chance": alarms,
    }


def print_result(result: dict[str, Any]) -> None:
    print(f"{result['seeds']} runs each; a candidate of {result['gain']:+.4f}, a mistake of {result['flipped']:+.4f}")
    for figures in result["summary"]:
        opened, alarms = figures["opened_by_chance"], figures["alarms_by_chance"]
        print(figures["clicks"])
        print(f"  better candidate published     {figures['published']:.2f} of runs, ", end="")
        print(_after(figures["published_after"]))
        print(f"  mistake rolled back            {figures['rolled_back']:.2f} of runs, ", end="")
        print(_after(figures["rolled_back_after"]))
        print(f"  neither better: gate opens     {opened:.3f} of {N_GATE_RUNS:,} runs of {WITHIN:,}")
        print(f"  neither better: alarm          {alarms:.4f} of {N_ALARM_RUNS} runs of {ALARM_IMPRESSIONS:,}")
    report.print_checks(result["checks"])


def _checks(figures: dict[str, Any]) -> list[report.Check]:
    model = figures["clicks"]
    checks = []
    if model in LEAST_PUBLISHED:
        least = LEAST_PUBLISHED[model]
        published, rolled_back = figures["published"], figures["rolled_back"]
        checks = [
            report.Check(
                f"{model}: +{GAIN} published within {WITHIN:,}", f">= {least}", str(published), published >= least
            ),
            report.Check(
                f"{model}: a flipped sign rolled back within {ROLLED_BACK_WITHIN}",
                f">= {LEAST_ROLLED_BACK}",
                str(rolled_back),
                rolled_back >= LEAST_ROLLED_BACK,
            ),
        ]
    opened, alarms = figures["opened_by_chance"], figures["alarms_by_chance"]
    return [
        *checks,
        report.Check(f"{model}: opened by chance", f"<= {1 / BETTER}", f"{opened:.3f}", opened <= 1 / BETTER),
        report.Check(
            f"{model}: alarms by chance in {ALARM_IMPRESSIONS:,}",
            f"<= {MOST_ALARMS}",
            f"{alarms:.4f}",
            alarms <= MOST_ALARMS,
        ),
    ]


def _after(quantiles: Sequence[float]) -> str:
    return f"after {quantiles[0]:,.0f} (median), {quantiles[1]:,.0f} (p95)" if quantiles else "never"


def _quantiles(values: Sequence[int]) -> list[float]:
    return [float(quantile) for quantile in np.percentile(values, (50, 95))] if values else []


def _ndcg(queries: Sequence[JudgedList], weights: ScoreArray) -> float:
    return offline(queries, lambda features: features @ weights)


def _better(queries: Sequence[JudgedList], production: ScoreArray) -> tuple[ScoreArray, float]:
    """Return weights that are `GAIN` better than production on these queries, and their exact gain.

    Fits weights on some of the queries, then goes as far from production towards them as `GAIN` takes.
    """
    rng = np.random.default_rng(0)
    sample = [queries[i] for i in rng.choice(len(queries), min(N_FITTED, len(queries)), replace=False)]
    grades = [query.grades for query in sample]
    candidates = fitting.candidates([query.features.astype(np.float32) for query in sample], grades, grades)
    best = fitting.fit(candidates, production)
    baseline = _ndcg(queries, production)

    def gain(share: float) -> float:
        return _ndcg(queries, production + share * (best - production)) - baseline

    if gain(1.0) < GAIN:
        message = f"no weights were found that are {GAIN} better than production: {gain(1.0):+.4f}"
        raise InvalidInput(message, field="FILE", value=gain(1.0), limit=f">= {GAIN}")
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if gain(middle) < GAIN else (low, middle)
    return production + high * (best - production), gain(high)


_queries: list[JudgedList] = []


def _prepare(path: Path) -> None:
    """Load the queries of this process."""
    _queries[:] = featurefile.read(path).parts["train"]


def _run_until_decided(trial: Trial) -> tuple[int, str]:
    """Return (impressions, step that was decided); '' and all impressions if there was no decision."""
    rng = np.random.default_rng([trial.seed, len(trial.clicks)])
    shoppers = Shoppers(trial.clicks, Attack(), _max_grade(), np.random.default_rng([trial.seed, 1]))
    pipeline, ends = Pipeline(), ("published", "given_up")
    pipeline.propose("")
    if trial.published:
        pipeline.publish("by mistake")
        ends = ("rolled_back", "")
    for number in range(1, trial.n + 1):
        query = _queries[int(rng.integers(len(_queries)))]
        in_force, challenger = (
            top_k(query.features @ weights).tolist() for weights in (trial.in_force, trial.challenger)
        )
        new, old, _ = display_shares(pipeline.solo_share) if trial.published else (0.0, 0.0, 1.0)
        share = rng.random()
        if share < new + old:
            clicked, _ = shoppers.click(query.grades[challenger if share < new else in_force])
            outcome = PageOutcome("new" if share < new else "old", clicked=bool(clicked.any()))
        else:
            value, any_clicked = _interleave(query, in_force, challenger, shoppers, rng)
            outcome = PageOutcome("both", click_preference=value, clicked=any_clicked)
        step: Step | None = pipeline.observe(outcome)
        if step is not None and step.kind in ends:
            return number, step.kind
    return trial.n, ""


def _interleave(
    query: JudgedList, in_force: list[int], challenger: list[int], shoppers: Shoppers, rng: np.random.Generator
) -> tuple[float, bool]:
    """Show two rankings as one; return the preference of the clicks for the challenger, and whether there were any."""
    coins = [bool(coin) for coin in rng.random(N_COINS) < 0.5]
    shown = team_draft(in_force, challenger, coins)
    clicked, _ = shoppers.click(query.grades[shown])
    clicked_positions = {shown[i] for i in np.flatnonzero(clicked)}
    return preference(in_force, challenger, coins, clicked_positions), bool(clicked_positions)


def _equal_preferences(clicks: str, production: ScoreArray, seed: int, n: int) -> ScoreArray:
    """Return (n,) preferences between two rankings that are equally good: production with noise, twice."""
    rng = np.random.default_rng([seed, 2])
    shoppers = Shoppers(clicks, Attack(), _max_grade(), np.random.default_rng([seed, 3]))
    preferences = np.zeros(n)
    for i in range(n):
        query = _queries[int(rng.integers(len(_queries)))]
        scores = query.features @ production
        noise = rng.standard_normal((2, len(scores))) * NOISE * scores.std()
        first, second = (top_k(scores + row).tolist() for row in noise)
        preferences[i], _ = _interleave(query, first, second, shoppers, rng)
    return preferences


def _max_grade() -> int:
    return max(int(query.grades.max()) for query in _queries)
