"""One simulated run: shoppers search, see what a learner ranks, click, and the learner learns. Seeded.

Runs are spread over processes: `prepare` loads what all runs of a process share, `run` makes one of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from benchmarks import featurefile
from benchmarks.featurefile import FeatureFile, JudgedList
from benchmarks.guarded import GuardedLearner
from benchmarks.shoppers import Attack, Shoppers
from tuning.arrays import BoolArray, IntArray, ScoreArray
from tuning.curves import pieces
from tuning.gate.pipeline import Step
from tuning.learners.browsing import BrowsingLearner
from tuning.learners.learner import Impression, Learner, Off
from tuning.learners.pdgd import Pdgd

K: Final = 10
EARLY: Final = (100, 300)
EVERY: Final = 1000
# A version is bad if it is worse than production by this much, on the first queries of the training part.
BAD: Final = 0.005
N_JUDGED: Final = 2000
LEARNERS: Final[Mapping[str, Callable[[ScoreArray], Learner]]] = {
    "default": BrowsingLearner,
    "pdgd": Pdgd,
    "off": Off,
}


class RunSpec(msgspec.Struct, frozen=True):
    """One run to make.

    learner: of `LEARNERS`
    clicks: of `shoppers.MODELS`
    attack: see `Attack.parse`
    pipeline: whether the learner's weights have to pass gate and guard
    """

    learner: str
    clicks: str
    attack: str
    seed: int
    pipeline: bool = False


class Row(msgspec.Struct, frozen=True):
    """One checkpoint of a run.

    ndcg: nDCG@10 on queries that were never shown (offline)
    displayed, displayed_production: mean nDCG@10 since the checkpoint before, as shown and as production ranks
    update_us: median and 99th percentile of one impression's update
    published, rolled_back: versions so far
    bad: published versions that show shoppers worse pages than production does
    """

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


class Shared(msgspec.Struct, frozen=True):
    """What all runs of a process share.

    weights: (n_features,) of production
    part: queries of the offline measure
    """

    file: FeatureFile
    weights: ScoreArray
    part: str


_shared: list[Shared] = []


def prepare(path: Path, weights: ScoreArray, part: str) -> None:
    """Load a feature file for the runs of this process."""
    _shared[:] = [Shared(featurefile.read(path), weights, part)]


class _Unguarded:
    """A learner whose own ranking is shown from the first impression on."""

    def __init__(self, learner: Learner) -> None:
        self._learner = learner
        self.scores = learner.scores
        self.versions: list[ScoreArray] = []
        self.steps: list[Step] = []

    def rank(self, features: ScoreArray, rng: np.random.Generator, query: int) -> IntArray:
        return top_k(self._learner.order(features, rng))

    def learn(self, features: ScoreArray, order: IntArray, clicked: BoolArray, user: str) -> None:
        self._learner.learn(Impression(features[order], clicked, user))


class _Window:
    """Figures of the impressions since the last checkpoint, and of all updates."""

    def __init__(self) -> None:
        self._shown: list[float] = []
        self._production: list[float] = []
        self._update_s: list[float] = []

    def add(self, shown: float, production: float, update_s: float) -> None:
        self._shown.append(shown)
        self._production.append(production)
        self._update_s.append(update_s)

    def close(self) -> tuple[float, float, tuple[float, float]]:
        """Return the means of both nDCGs and (p50, p99) of the updates in microseconds; begin the next window."""
        p50, p99 = np.percentile(np.array(self._update_s) * 1e6, (50, 99)).round(1).tolist()
        means = float(np.mean(self._shown)), float(np.mean(self._production))
        self._shown, self._production = [], []
        return *means, (p50, p99)


def run(spec: RunSpec, impressions: int) -> list[Row]:
    """Simulate one run; return its checkpoints."""
    (shared,) = _shared
    attack = Attack.parse(spec.attack)
    rng = np.random.default_rng([spec.seed, len(spec.clicks)])
    shoppers = Shoppers(spec.clicks, attack, shared.file.max_grade, np.random.default_rng([spec.seed, 1]))
    ranker: _Unguarded | GuardedLearner
    if spec.pipeline:
        ranker = GuardedLearner(shared.file.names, shared.weights)
    else:
        ranker = _Unguarded(LEARNERS[spec.learner](shared.weights))
    queries, rows, swapped = shared.file.parts["train"], list[Row](), None
    window = _Window()
    for number in range(1, impressions + 1):
        if number == attack.at:
            # Before the impression, so that a checkpoint measures the new tastes.
            swapped = _heaviest(shared.weights)
        position = int(rng.integers(len(queries)))
        query = queries[position]
        features = with_swapped(query.features, swapped)
        order = ranker.rank(features, rng, position)
        clicked, user = shoppers.click(query.grades[order])
        began = time.perf_counter()
        ranker.learn(features, order, clicked, user)
        update_s = time.perf_counter() - began
        window.add(ndcg(query.grades, order), ndcg(query.grades, top_k(features @ shared.weights)), update_s)
        if number in EARLY or number % EVERY == 0 or number == impressions:
            displayed, displayed_production, update_us = window.close()
            row = Row(
                collection=shared.file.name,
                learner=spec.learner,
                clicks=spec.clicks,
                attack=spec.attack,
                seed=spec.seed,
                impressions=number,
                ndcg=offline(shared.file.parts[shared.part], ranker.scores, swapped),
                displayed=displayed,
                displayed_production=displayed_production,
                update_us=update_us,
                published=len(ranker.versions),
                bad=_n_bad(ranker.versions, shared, swapped),
                rolled_back=sum(step.kind == "rolled_back" for step in ranker.steps),
            )
            rows.append(row)
    return rows


def offline(
    queries: Sequence[JudgedList],
    scores: Callable[[ScoreArray], ScoreArray],
    swapped: tuple[int, int] | None = None,
) -> float:
    """Return the mean nDCG@10 of queries ranked by a score function. swapped: see `with_swapped`."""
    values = [ndcg(query.grades, top_k(scores(with_swapped(query.features, swapped)))) for query in queries]
    return float(np.mean(values))


def top_k(scores: ScoreArray) -> IntArray:
    """Return the positions of the `K` best scores, best first; equal scores in their order."""
    order: IntArray = np.argsort(-scores, kind="stable")[:K]
    return order


def ndcg(grades: IntArray, order: IntArray) -> float:
    """Return nDCG@10 of documents shown in an order, with gain 2^grade - 1."""
    gains = 2.0**grades - 1.0
    discounts = 1.0 / np.log2(np.arange(2, K + 2))
    best = np.sort(gains)[::-1][:K]
    return float(gains[order] @ discounts[: len(order)] / (best @ discounts[: len(best)]))


def with_swapped(features: ScoreArray, swapped: tuple[int, int] | None) -> ScoreArray:
    """Return features with two columns in each other's place: how a change of tastes is simulated."""
    if swapped is None:
        return features
    changed = features.copy()
    changed[:, list(swapped)] = features[:, list(reversed(swapped))]
    return changed


def _n_bad(versions: Sequence[ScoreArray], shared: Shared, swapped: tuple[int, int] | None) -> int:
    """Count the versions that show shoppers worse pages than production does. versions: weights of the pieces."""
    queries = shared.file.parts["train"][:N_JUDGED]
    production = offline(queries, lambda features: features @ shared.weights, swapped)
    values = [offline(queries, partial(_piecewise_scores, weights), swapped) for weights in versions]
    return sum(value < production - BAD for value in values)


def _piecewise_scores(weights: ScoreArray, features: ScoreArray) -> ScoreArray:
    scores: ScoreArray = pieces(features) @ weights
    return scores


def _heaviest(weights: ScoreArray) -> tuple[int, int]:
    """Return the two features with the largest weights of production."""
    first, second = np.argsort(-np.abs(weights), kind="stable")[:2].tolist()
    return first, second
