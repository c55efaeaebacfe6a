"""How well do learners rank after so many impressions, and what do shoppers pay for it meanwhile?

Question   from clicks alone: nDCG@10 on queries that were never seen (offline), and of what was shown (displayed)
           against production on the same queries; also with bots among the shoppers, and when tastes change.
Data       a feature file (benchmarks/featurefile.py); clicks are made up (benchmarks/shoppers.py).
Baselines  PDGD, the published yardstick, and production, which learns nothing.
Command    searchsvc bench tuning FILE
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from benchmarks import featurefile, fitting, report
from benchmarks.featurefile import FeatureFile, JudgedList
from benchmarks.piped import Piped
from benchmarks.shoppers import Attack, Shoppers
from events.errors import InvalidInput, require
from tuning.arrays import BoolArray, IntArray, ScoreArray
from tuning.curves import pieces
from tuning.gate.pipeline import Step
from tuning.learners.browsing import BrowsingLearner
from tuning.learners.learner import Impression, Learner, Off
from tuning.learners.pdgd import Pdgd

K: Final = 10
EARLY: Final = (100, 300)
EVERY: Final = 1000
N_FITTED: Final = 50
LEAST_DISPLAYED: Final = -0.003
# Where there is nothing to win.
LEAST_OPTIMAL: Final = -0.001
UPDATE_US: Final = 500.0
# A version is bad where it is worse than production by this, on so many queries of those that shoppers ask.
BAD: Final = 0.005
N_JUDGED: Final = 2000
LEARNERS: Final[Mapping[str, Callable[[ScoreArray], Learner]]] = {
    "default": BrowsingLearner,
    "pdgd": Pdgd,
    "off": Off,
}


class Asked(msgspec.Struct, frozen=True):
    """One run: which learner, what clicks, who else clicks, and where chance begins."""

    learner: str
    clicks: str
    attack: str
    seed: int
    pipeline: bool = False


class Row(msgspec.Struct, frozen=True):
    """One checkpoint of a run. ndcg: offline. displayed, displayed_production: means since the checkpoint before.
    update_us: median and 99th percentile of one impression's update. published, bad, rolled_back: so far, of versions;
    bad: that show shoppers worse pages than production does."""

    collection: str
    learner: str
    clicks: str
    attack: str
    seed: int
    impressions: int
    ndcg: float
    displayed: float
    displayed_production: float
    update_us: tuple[float, float]
    published: int = 0
    bad: int = 0
    rolled_back: int = 0


def measure(
    path: Path,
    *,
    learners: Sequence[str],
    clicks: Sequence[str],
    attacks: Sequence[str],
    impressions: int,
    n_seeds: int,
    part: str,
    production: Path | None,
    optimal: bool,
    pipeline: bool,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """The result as JSON would have it. part: on which the offline measure is taken; settings are chosen on validation
    alone. optimal: whether production is as good as weights can be. pipeline: whether what the default learner learns
    has to pass gate and guard before shoppers see it alone."""
    require(impressions >= 1, "impressions", impressions, "1 or more")
    require(n_seeds >= 1, "seeds", n_seeds, "1 or more")
    for learner in learners:
        require(learner in LEARNERS, "learner", learner, ", ".join(LEARNERS))
    held = featurefile.read(path)
    weights, origin = production_of(held, production, optimal=optimal)
    say(f"{held.name}: {', '.join(f'{len(lists):,} {name}' for name, lists in held.parts.items())} queries")
    say(f"production ({origin}): " + ", ".join(f"{n}={w:g}" for n, w in zip(held.names, weights, strict=True) if w))
    runs = [
        Asked(learner, model, attack, seed, pipeline and learner == "default")
        for model in clicks
        for attack in attacks
        for learner in learners
        for seed in range(n_seeds)
    ]
    for one in runs:
        Attack.of(one.attack)
    rows: list[Row] = []
    with ProcessPoolExecutor(os.cpu_count(), initializer=_prepare, initargs=(path, weights, part)) as pool:
        under_way: dict[Future[list[Row]], Asked] = {pool.submit(_run, one, impressions): one for one in runs}
        for n_done, future in enumerate(as_completed(under_way), start=1):
            rows += future.result()
            last, one = rows[-1], under_way[future]
            said = f"{one.learner}, {one.clicks}{', ' + one.attack if one.attack else ''}, seed {one.seed}"
            say(f"{n_done} of {len(runs)}: {said}: {last.ndcg:.4f} after {last.impressions:,}")
    rows.sort(key=lambda row: (row.clicks, row.attack, row.learner, row.seed, row.impressions))
    summary = list(_summary(rows))
    return {
        "benchmark": "tuning",
        "question": "what learners reach from clicks, and what shoppers are shown meanwhile",
        **report.environment(0),
        "part": part,
        "pipeline": pipeline,
        "production": dict(zip(held.names, map(float, weights), strict=True)),
        "production_from": origin,
        "production_ndcg": offline(held.parts[part], lambda features: features @ weights),
        "rows": rows,
        "summary": summary,
        "checks": [check for one in summary if one["learner"] == "default" for check in _checks(one, optimal=optimal)],
    }


def print_result(result: dict[str, Any]) -> None:
    print(f"production: nDCG@10 {result['production_ndcg']:.4f} on the {result['part']} part; means [95 %] over seeds")
    for one in result["summary"]:
        attack = f", {one['attack']}" if one["attack"] else ""
        print(f"{one['learner']}, {one['clicks']}{attack}, {one['seeds']} seeds")
        for at, value in one["offline"].items():
            print(f"  offline at {at:>6}            {_interval(value)}")
        print(f"  displayed over production, first 1,000  {_interval(one['first'], signed=True)}")
        print(f"  displayed over production, first 5,000  {_interval(one['early'], signed=True)}")
        print(f"  displayed over production, last 1,000   {_interval(one['last'], signed=True)}")
        print(f"  displayed over production, all of it    {_interval(one['whole'], signed=True)}")
        print(f"  the worst thousand                      {_interval(one['worst'], signed=True)}")
        if sum(one["versions"].values()):
            said = "{published} published, {bad} of them bad, {rolled_back} rolled back".format(**one["versions"])
            print(f"  versions                                {said}")
        print(f"  an update, us                           p50 {one['update_us'][0]:.0f}, p99 {one['update_us'][1]:.0f}")
    report.print_checks(result["checks"])


def _checks(one: Mapping[str, Any], *, optimal: bool) -> Iterator[report.Check]:
    """What is asked of the default learner on any collection: that shoppers do not pay for it, and that it is quick."""
    name = f"{one['clicks']}{', ' + one['attack'] if one['attack'] else ''}"
    mean, half = one["worst"]
    least, update = mean - half, one["update_us"][1]
    wanted = f">= {LEAST_DISPLAYED:+.3f}"
    yield report.Check(
        f"{name}: the worst thousand over production, lower limit", wanted, f"{least:+.4f}", least >= LEAST_DISPLAYED
    )
    if optimal:
        whole = one["whole"][0]
        yield report.Check(
            f"{name}: displayed over the best weights there are, mean",
            f">= {LEAST_OPTIMAL:+.3f}",
            f"{whole:+.4f}",
            whole >= LEAST_OPTIMAL,
        )
    if one["versions"]["published"]:
        bad = one["versions"]["bad"]
        yield report.Check(f"{name}: versions that are worse than production", "0", str(bad), bad == 0)
    yield report.Check(f"{name}: an update, p99", f"<= {UPDATE_US:g} us", f"{update:.0f} us", update <= UPDATE_US)


def _interval(value: Sequence[float], *, signed: bool = False) -> str:
    sign = "+" if signed else ""
    mean, half = value
    return f"{mean:{sign}.4f} [{mean - half:{sign}.4f}, {mean + half:{sign}.4f}]"


def production_of(held: FeatureFile, file: Path | None, *, optimal: bool = False) -> tuple[ScoreArray, str]:
    """The weights that shoppers see before anything is learnt, and where they come from. optimal: as good as weights
    can be, by the labels of the queries that are asked."""
    if optimal:
        lists = held.parts["train"]
        return fitting.best_linear([one.features for one in lists], [one.grades for one in lists]), "the best there are"
    if file is not None:
        given = msgspec.json.decode(file.read_bytes(), type=dict[str, float])
        unknown = [name for name in given if name not in held.names]
        if unknown:
            limit = ", ".join(held.names)
            raise InvalidInput(f"there is no feature {unknown[0]!r}", field="production", value=unknown[0], limit=limit)
        return np.array([given.get(name, 0.0) for name in held.names]), file.name
    if held.production is not None:
        return held.production, "the file's"
    rng = np.random.default_rng(0)
    lists = held.parts["train"]
    chosen = [lists[i] for i in rng.choice(len(lists), min(N_FITTED, len(lists)), replace=False)]
    given_to = [one.grades for one in chosen]
    some = fitting.candidates([one.features.astype(np.float32) for one in chosen], given_to, given_to)
    return fitting.fit(some, np.full(len(held.names), 1.0 / len(held.names))), f"fitted on {len(chosen)} queries"


class _Prepared(msgspec.Struct, frozen=True):
    """What every run of this process shares."""

    file: FeatureFile
    weights: ScoreArray
    part: str


_shared: list[_Prepared] = []


def _prepare(path: Path, weights: ScoreArray, part: str) -> None:
    _shared[:] = [_Prepared(featurefile.read(path), weights, part)]


class _Alone:
    """A learner whose own order is shown from the first impression on."""

    def __init__(self, learner: Learner) -> None:
        self._learner = learner
        self.scores = learner.scores
        self.versions: list[ScoreArray] = []
        self.steps: list[Step] = []

    def show(self, features: ScoreArray, rng: np.random.Generator, query: int) -> IntArray:
        return first(self._learner.order(features, rng))

    def take(self, features: ScoreArray, order: IntArray, clicked: BoolArray, user: str) -> None:
        self._learner.learn(Impression(features[order], clicked, user))


def _run(asked: Asked, impressions: int) -> list[Row]:
    (shared,) = _shared
    held, attack = shared.file, Attack.of(asked.attack)
    rng = np.random.default_rng([asked.seed, len(asked.clicks)])
    shoppers = Shoppers(asked.clicks, attack, held.max_grade, np.random.default_rng([asked.seed, 1]))
    one: _Alone | Piped
    one = Piped(held.names, shared.weights) if asked.pipeline else _Alone(LEARNERS[asked.learner](shared.weights))
    swapped = _heaviest(shared.weights) if attack.kind == "drift" else None
    lists, rows, moved = held.parts["train"], list[Row](), None
    shown, production, took = list[float](), list[float](), list[float]()
    for number in range(1, impressions + 1):
        if number == attack.at:
            # Before, or a checkpoint would measure yesterday's tastes.
            moved = swapped
        at = int(rng.integers(len(lists)))
        query = lists[at]
        features = _as_of(query.features, moved)
        order = one.show(features, rng, at)
        clicked, user = shoppers.click(query.grades[order])
        shown.append(_ndcg(query.grades, order))
        production.append(_ndcg(query.grades, first(features @ shared.weights)))
        began = time.perf_counter()
        one.take(features, order, clicked, user)
        took.append(time.perf_counter() - began)
        if number in EARLY or number % EVERY == 0 or number == impressions:
            update = np.percentile(np.array(took) * 1e6, (50, 99)).round(1)
            rows.append(
                Row(
                    collection=held.name,
                    learner=asked.learner,
                    clicks=asked.clicks,
                    attack=asked.attack,
                    seed=asked.seed,
                    impressions=number,
                    ndcg=offline(held.parts[shared.part], one.scores, moved),
                    displayed=float(np.mean(shown)),
                    displayed_production=float(np.mean(production)),
                    update_us=(float(update[0]), float(update[1])),
                    published=len(one.versions),
                    bad=_n_bad(one.versions, shared, moved),
                    rolled_back=sum(step.kind == "rolled_back" for step in one.steps),
                )
            )
            shown, production = [], []
    return rows


def _n_bad(versions: Sequence[ScoreArray], shared: _Prepared, moved: tuple[int, int] | None) -> int:
    """How many of them show shoppers worse pages than production does."""
    lists = shared.file.parts["train"][:N_JUDGED]
    usual = offline(lists, lambda features: features @ shared.weights, moved)
    found = [offline(lists, partial(_weighed, of), moved) for of in versions]
    return sum(one < usual - BAD for one in found)


def _weighed(weights: ScoreArray, features: ScoreArray) -> ScoreArray:
    """weights: of the pieces."""
    found: ScoreArray = pieces(features) @ weights
    return found


def _heaviest(weights: ScoreArray) -> tuple[int, int]:
    """The two features that production weighs most."""
    first, second = np.argsort(-np.abs(weights), kind="stable")[:2].tolist()
    return first, second


def _as_of(features: ScoreArray, moved: tuple[int, int] | None) -> ScoreArray:
    """moved: two columns that have changed places."""
    if moved is None:
        return features
    changed = features.copy()
    changed[:, list(moved)] = features[:, list(reversed(moved))]
    return changed


def offline(
    lists: Sequence[JudgedList],
    scores: Callable[[ScoreArray], ScoreArray],
    moved: tuple[int, int] | None = None,
) -> float:
    return float(np.mean([_ndcg(one.grades, first(scores(_as_of(one.features, moved)))) for one in lists]))


def first(scores: ScoreArray) -> IntArray:
    """Positions of the best, as far as they are shown; equal ones as they come."""
    order: IntArray = np.argsort(-scores, kind="stable")[:K]
    return order


def _ndcg(grades: IntArray, order: IntArray) -> float:
    gains = 2.0**grades - 1.0
    discounts = 1.0 / np.log2(np.arange(2, K + 2))
    best = np.sort(gains)[::-1][:K]
    return float(gains[order] @ discounts[: len(order)] / (best @ discounts[: len(best)]))


def _summary(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    groups: dict[tuple[str, str, str], dict[int, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        groups[row.learner, row.clicks, row.attack][row.seed].append(row)
    for (learner, clicks, attack), by_seed in groups.items():
        checkpoints = [row.impressions for row in next(iter(by_seed.values()))]
        told = [at for at in (100, 300, 1000, 3000, 10_000, 20_000, checkpoints[-1]) if at in checkpoints]
        windows = {seed: _windows(of) for seed, of in by_seed.items()}
        n = min(len(one) for one in windows.values())
        worst = min(range(n), key=lambda at: np.mean([one[at] for one in windows.values()]))
        yield {
            "learner": learner,
            "clicks": clicks,
            "attack": attack,
            "seeds": len(by_seed),
            "offline": {
                str(at): _mean([row.ndcg for of in by_seed.values() for row in of if row.impressions == at])
                for at in dict.fromkeys(told)
            },
            "first": _mean([one[0] for one in windows.values()]),
            "early": _mean([float(np.mean(one[:5])) for one in windows.values()]),
            "last": _mean([one[-1] for one in windows.values()]),
            "whole": _mean([float(np.mean(one)) for one in windows.values()]),
            "worst": _mean([one[worst] for one in windows.values()]),
            "versions": {
                name: sum(getattr(of[-1], name) for of in by_seed.values())
                for name in ("published", "bad", "rolled_back")
            },
            "update_us": tuple(float(np.max([of[-1].update_us[at] for of in by_seed.values()])) for at in (0, 1)),
        }


def _windows(rows: Sequence[Row]) -> list[float]:
    """Displayed over production in each thousand impressions."""
    found, gained, since, begin = [], 0.0, 0, 0
    for row in rows:
        n = row.impressions - since
        gained, since = gained + n * (row.displayed - row.displayed_production), row.impressions
        if since % EVERY == 0 or row is rows[-1]:
            found.append(gained / (since - begin))
            gained, begin = 0.0, since
    return found


def _mean(values: Sequence[float]) -> tuple[float, float]:
    """And half of its 95 % interval over seeds."""
    half = 1.96 * float(np.std(values, ddof=1)) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return float(np.mean(values)), half
