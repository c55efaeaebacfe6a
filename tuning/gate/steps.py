"""How far one publication may move the weights towards what was learnt. Pure.

Limits that people set hold: locked weights stay, bounds apply, and no weight changes its sign. The step is then made
smaller until it moves at most `MAX_MOVED_ON_PAGES` of the exposure on rankings that shoppers were shown.

Source: the idea follows exposure-based safe learning (Gupta, Oosterhuis & de Rijke, 2023), with the total variation
distance between two distributions of exposure.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from events.hinges import feature_of
from tuning.arrays import ScoreArray
from tuning.curves import pieces

DEPTH: Final = 10
DECIMALS: Final = 4
MAX_MOVED_ON_PAGES: Final = 0.25
# A step that moves less is not worth a comparison.
MIN_MOVED: Final = 0.01
SHARES: Final = (1.0, 0.7, 0.5, 0.35, 0.25, 0.15, 0.1)


class StepLimits(msgspec.Struct, frozen=True):
    """Limits that people set on the weights.

    bounds: (lowest, highest) weight by feature.
    locks: features whose weight, and whose hinges' weights, do not move.
    max_step: how far any weight may move; None for any distance.
    """

    bounds: Mapping[str, tuple[float, float]] = {}
    locks: Collection[str] = ()
    max_step: float | None = None


class CandidateWeights(msgspec.Struct, frozen=True):
    """Weights that may be compared with those in force.

    weights: (n_pieces,).
    exposure_moved: share of exposure that goes to other documents, in [0, 1].
    share: part of the way to the learnt weights, in (0, 1].
    """

    weights: ScoreArray
    exposure_moved: float
    share: float


def largest_step(
    names: Sequence[str],
    in_force: ScoreArray,
    learnt: ScoreArray,
    rankings: Sequence[ScoreArray],
    limits: StepLimits,
) -> CandidateWeights | None:
    """Return the largest allowed step from the weights in force towards the learnt weights.

    names: (n_pieces,) names of the weights.
    in_force: (n_pieces,) weights in force.
    learnt: (n_pieces,) learnt weights; only their direction counts.
    rankings: features of rankings as they were shown, (n, n_features) each.

    Returns None if the step would change next to nothing, or if even the smallest step moves too much.
    """
    shown = _in_pieces(rankings)
    if not shown:
        return None
    # The scores keep their spread, so that a locked weight keeps its part in them.
    spread, learnt_spread = _spread(shown, in_force), _spread(shown, learnt)
    if learnt_spread <= 0.0:
        return None
    target = learnt * (spread / learnt_spread if spread > 0.0 else 1.0)
    target = np.where(target * in_force < 0.0, 0.0, target)
    for share in SHARES:
        weights = _limited(names, in_force, in_force + share * (target - in_force), limits)
        moved = _exposure_moved(shown, in_force, weights)
        if moved < MIN_MOVED:
            return None
        if moved <= MAX_MOVED_ON_PAGES:
            return CandidateWeights(weights, moved, share)
    return None


def rounded_weight(before: float, after: float) -> float:
    """Return `after` rounded to four decimals, never further from `before` than `after` is.

    A weight that does not change keeps all its digits.
    """
    if after == before:
        return before
    near = round(after, DECIMALS)
    if abs(near - before) > abs(after - before):
        near = round(near - math.copysign(10.0**-DECIMALS, after - before), DECIMALS)
    return near if (near - before) * (after - before) > 0.0 else before


def exposure_difference(before: Sequence[Hashable], after: Sequence[Hashable]) -> float:
    """Return the share of exposure that goes to other documents in the second order, in [0, 1].

    The exposure of a rank is 1 / rank here; what-ifs use the discount of DCG (`tuning.clicks.offpolicy.exposure`).
    """
    exposure: dict[Hashable, float] = {}
    for sign, order in ((1.0, before), (-1.0, after)):
        for rank, document in enumerate(order, start=1):
            exposure[document] = exposure.get(document, 0.0) + sign / rank
    most = sum(1.0 / rank for rank in range(1, max(len(before), len(after)) + 1))
    return sum(map(abs, exposure.values())) / 2 / most if most else 0.0


def exposure_moved(rankings: Sequence[ScoreArray], before: ScoreArray, after: ScoreArray) -> float:
    """Return the mean share of exposure that other weights move to other documents, in [0, 1].

    rankings: features of rankings as they were shown, (n, n_features) each.
    before: (n_pieces,) weights.
    after: (n_pieces,) other weights.
    """
    shown = _in_pieces(rankings)
    return _exposure_moved(shown, before, after) if shown else 0.0


def _limited(names: Sequence[str], in_force: ScoreArray, target: ScoreArray, limits: StepLimits) -> ScoreArray:
    limited = target.copy()
    for i, name in enumerate(names):
        if feature_of(name) in limits.locks:
            limited[i] = in_force[i]
            continue
        lowest, highest = limits.bounds.get(name, (-np.inf, np.inf))
        if limits.max_step is not None:
            # The sum of two floats may exceed the limit by a rounding error.
            step = limits.max_step * (1.0 - 1e-9)
            lowest, highest = max(lowest, in_force[i] - step), min(highest, in_force[i] + step)
        limited[i] = min(max(limited[i], lowest), highest)
    return limited


def _in_pieces(rankings: Sequence[ScoreArray]) -> list[ScoreArray]:
    """Return the pieces of the rankings that have at least two documents."""
    return [pieces(features) for features in rankings if len(features) > 1]


def _spread(shown: Sequence[ScoreArray], weights: ScoreArray) -> float:
    """Return the mean standard deviation of the scores on a page."""
    return float(np.mean([np.std(page @ weights) for page in shown]))


def _exposure_moved(shown: Sequence[ScoreArray], before: ScoreArray, after: ScoreArray) -> float:
    """As `exposure_moved`. shown: (n, n_pieces) each."""

    def first_page(scores: ScoreArray) -> list[int]:
        order: list[int] = np.argsort(-scores, kind="stable")[:DEPTH].tolist()
        return order

    return float(np.mean([exposure_difference(first_page(page @ before), first_page(page @ after)) for page in shown]))
