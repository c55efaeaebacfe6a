"""How soon do gate and guard tell better weights, and worse ones, from those in force?

Question   (1) a candidate that is truly .02 nDCG@10 better: is it published within 4,000 impressions? (2) the sign of
           production's heaviest weight was turned round, and that was published: is it rolled back within 500?
           (3) neither is better: how often does the gate open, looked at after every event, and how often does the
           guard give alarm in 100,000 impressions?
Data       the training queries of a feature file; clicks are made up (benchmarks/shoppers.py).
Baseline   chance: 1 in 20 for the gate, 1 in 100 for the guard.
Command    searchsvc bench gate FILE
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from benchmarks import featurefile, fitting, report
from benchmarks.featurefile import JudgedList
from benchmarks.production import production_of
from benchmarks.shoppers import Attack, Shoppers
from benchmarks.simulation import offline, top_k
from events.errors import InvalidInput, require
from tuning.arrays import ScoreArray
from tuning.gate.evalues import ALARM_STAKES, stakes
from tuning.gate.guard import ALARM, PageOutcome, display_shares
from tuning.gate.interleaving import N_COINS, preference, team_draft
from tuning.gate.pipeline import BETTER, Pipeline, Step

GAIN: Final = 0.02
WITHIN: Final = 4000
ROLLED_BACK_WITHIN: Final = 500
N_FITTED: Final = 500
N_AA: Final = 1000
N_AA_SEEN: Final = 20_000
N_ALARM: Final = 100_000
N_ALARM_RUNS: Final = 300
NOISE: Final = 0.3
WANTED: Final = {"informational": 0.95, "pbm": 0.9}


class Trial(msgspec.Struct, frozen=True):
    """One comparison. published: whether the second of both is in force, and the first the one before."""

    clicks: str
    seed: int
    first: ScoreArray
    second: ScoreArray
    published: bool
    n: int


def measure(path: Path, *, clicks: Sequence[str], n_seeds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """The result as JSON would have it. Raises InvalidInput where nothing so much better than production is found."""
    require(n_seeds >= 1, "seeds", n_seeds, "1 or more")
    held = featurefile.read(path)
    production, origin = production_of(held, None)
    better, gain = _better(held.parts["train"], production)
    worse = production.copy()
    worse[np.argmax(np.abs(worse))] *= -1.0
    flipped = offline(held.parts["train"], lambda f: f @ worse) - offline(held.parts["train"], lambda f: f @ production)
    say(f"{held.name}: a candidate of {gain:+.4f}, and one of {flipped:+.4f} with the heaviest weight turned round")
    summary = []
    with ProcessPoolExecutor(os.cpu_count(), initializer=_prepare, initargs=(path,)) as pool:
        for model in clicks:
            gated = [Trial(model, seed, production, better, False, WITHIN) for seed in range(n_seeds)]
            guarded = [Trial(model, seed, production, worse, True, ROLLED_BACK_WITHIN) for seed in range(n_seeds)]
            passed = list(pool.map(_until_decided, gated, chunksize=4))
            caught = list(pool.map(_until_decided, guarded, chunksize=4))
            halves = [N_AA_SEEN // 2] * 2
            equal = np.concatenate(list(pool.map(partial(_of_equals, model, production), range(2), halves)))
            opened, alarms = _by_chance(equal)
            published = [n for n, step in passed if step == "published"]
            rolled_back = [n for n, step in caught if step == "rolled_back"]
            one = {
                "clicks": model,
                "published": len(published) / n_seeds,
                "published_after": _quantiles(published),
                "rolled_back": len(rolled_back) / n_seeds,
                "rolled_back_after": _quantiles(rolled_back),
                "opened_by_chance": opened,
                "alarms_by_chance": alarms,
            }
            say(f"{model}: {one}")
            summary.append(one)
    return {
        "benchmark": "gate",
        "question": "how soon better and worse weights are told from those in force",
        **report.environment(0),
        "collection": held.name,
        "production_from": origin,
        "seeds": n_seeds,
        "gain": gain,
        "flipped": flipped,
        "summary": summary,
        "checks": [check for one in summary for check in _checks(one)],
    }


def print_result(result: dict[str, Any]) -> None:
    print(f"{result['seeds']} runs each; a candidate of {result['gain']:+.4f}, a mistake of {result['flipped']:+.4f}")
    for one in result["summary"]:
        print(one["clicks"])
        print(f"  the better one published       {one['published']:.2f} of runs, {_after(one['published_after'])}")
        print(f"  the mistake rolled back        {one['rolled_back']:.2f} of runs, {_after(one['rolled_back_after'])}")
        print(f"  neither better: gate opens     {one['opened_by_chance']:.3f} of {N_AA:,} runs of {WITHIN:,}")
        print(f"  neither better: alarm          {one['alarms_by_chance']:.4f} of {N_ALARM_RUNS} runs of {N_ALARM:,}")
    report.print_checks(result["checks"])


def _checks(one: dict[str, Any]) -> list[report.Check]:
    name = one["clicks"]
    found = []
    if name in WANTED:
        least = WANTED[name]
        found = [
            report.Check(
                f"{name}: +{GAIN} published within {WITHIN:,}", f">= {least}", str(one["published"]),
                one["published"] >= least,
            ),
            report.Check(
                f"{name}: a turned sign rolled back within {ROLLED_BACK_WITHIN}", ">= 0.95", str(one["rolled_back"]),
                one["rolled_back"] >= 0.95,
            ),
        ]  # fmt: skip
    opened, alarms = one["opened_by_chance"], one["alarms_by_chance"]
    return [
        *found,
        report.Check(f"{name}: opened by chance", f"<= {1 / BETTER}", f"{opened:.3f}", opened <= 1 / BETTER),
        report.Check(f"{name}: alarms by chance in {N_ALARM:,}", "<= 0.01", f"{alarms:.4f}", alarms <= 0.01),
    ]


def _after(quantiles: Sequence[float]) -> str:
    return f"after {quantiles[0]:,.0f} (median), {quantiles[1]:,.0f} (p95)" if quantiles else "never"


def _quantiles(values: Sequence[int]) -> list[float]:
    return [float(one) for one in np.percentile(values, (50, 95))] if values else []


def _better(lists: Sequence[JudgedList], production: ScoreArray) -> tuple[ScoreArray, float]:
    """Weights that are `GAIN` better than production on these queries, and by how much they are."""
    rng = np.random.default_rng(0)
    chosen = [lists[i] for i in rng.choice(len(lists), min(N_FITTED, len(lists)), replace=False)]
    grades = [one.grades for one in chosen]
    some = fitting.candidates([one.features.astype(np.float32) for one in chosen], grades, grades)
    best = fitting.fit(some, production)
    usual = offline(lists, lambda features: features @ production)

    def gain(share: float) -> float:
        return offline(lists, lambda features: features @ (production + share * (best - production))) - usual

    if gain(1.0) < GAIN:
        message = f"no weights were found that are {GAIN} better than production: {gain(1.0):+.4f}"
        raise InvalidInput(message, field="FILE", value=gain(1.0), limit=f">= {GAIN}")
    low, high = 0.0, 1.0
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if gain(middle) < GAIN else (low, middle)
    return production + high * (best - production), gain(high)


_lists: list[JudgedList] = []


def _prepare(path: Path) -> None:
    _lists[:] = featurefile.read(path).parts["train"]


def _until_decided(trial: Trial) -> tuple[int, str]:
    """After how many impressions there was a decision, and which; as it was at the end where there was none."""
    rng = np.random.default_rng([trial.seed, len(trial.clicks)])
    shoppers = Shoppers(trial.clicks, Attack(), _max_grade(), np.random.default_rng([trial.seed, 1]))
    pipeline, wanted = Pipeline(), ("published", "given_up")
    pipeline.propose("")
    if trial.published:
        pipeline.publish("by mistake")
        wanted = ("rolled_back", "")
    for number in range(1, trial.n + 1):
        query = _lists[int(rng.integers(len(_lists)))]
        one, other = top_k(query.features @ trial.first).tolist(), top_k(query.features @ trial.second).tolist()
        new, old, _ = display_shares(pipeline.solo_share) if trial.published else (0.0, 0.0, 1.0)
        drawn = rng.random()
        if drawn < new + old:
            clicked, _ = shoppers.click(query.grades[other if drawn < new else one])
            seen = PageOutcome("new" if drawn < new else "old", clicked=bool(clicked.any()))
        else:
            coins = [bool(coin) for coin in rng.random(N_COINS) < 0.5]
            shown = team_draft(one, other, coins)
            clicked, _ = shoppers.click(query.grades[shown])
            chosen = {shown[i] for i in np.flatnonzero(clicked)}
            seen = PageOutcome("both", click_preference=preference(one, other, coins, chosen), clicked=bool(chosen))
        step: Step | None = pipeline.observe(seen)
        if step is not None and step.kind in wanted:
            return number, step.kind
    return trial.n, ""


def _of_equals(clicks: str, production: ScoreArray, seed: int, n: int) -> ScoreArray:
    """(n,) preferences between two that are production with noise, each as good as the other."""
    rng = np.random.default_rng([seed, 2])
    shoppers = Shoppers(clicks, Attack(), _max_grade(), np.random.default_rng([seed, 3]))
    found = np.zeros(n)
    for i in range(n):
        query = _lists[int(rng.integers(len(_lists)))]
        scores = query.features @ production
        noise = rng.standard_normal((2, len(scores))) * NOISE * scores.std()
        one, other = (top_k(scores + more).tolist() for more in noise)
        coins = [bool(coin) for coin in rng.random(N_COINS) < 0.5]
        shown = team_draft(one, other, coins)
        clicked, _ = shoppers.click(query.grades[shown])
        found[i] = preference(one, other, coins, {shown[at] for at in np.flatnonzero(clicked)})
    return found


def _by_chance(preferences: ScoreArray) -> tuple[float, float]:
    """Shares of runs in which the gate opened, and in which there was alarm, where neither side is better.

    preferences: between equals; drawn again and again, either side counting as the candidate.
    """
    rng = np.random.default_rng(4)

    def drawn(n_runs: int) -> ScoreArray:
        values = preferences[rng.integers(len(preferences), size=n_runs)]
        signs: ScoreArray = rng.choice((-1.0, 1.0), size=n_runs)
        either: ScoreArray = values * signs
        return either[:, None]

    logs, totals, squares = np.zeros((3, N_AA))
    opened = np.zeros(N_AA, np.bool_)
    for _ in range(WITHIN):
        value = drawn(N_AA)[:, 0]
        logs += np.log1p(stakes(totals, squares) * value)
        totals += value
        squares += value * value
        opened |= np.exp(logs) >= BETTER
    sums, alarmed = np.zeros((N_ALARM_RUNS, len(ALARM_STAKES))), np.zeros(N_ALARM_RUNS, np.bool_)
    for _ in range(N_ALARM):
        value = drawn(N_ALARM_RUNS)
        grown = (sums + 1.0) * (1.0 + np.array(ALARM_STAKES) * value)
        sums = np.minimum(np.where(value != 0.0, grown, sums), 1e300)
        alarmed |= sums.mean(axis=1) >= ALARM
    return float(opened.mean()), float(alarmed.mean())


def _max_grade() -> int:
    return max(int(one.grades.max()) for one in _lists)
