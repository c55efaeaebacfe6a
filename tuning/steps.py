"""How far towards what was learnt one publication may go. Pure.

What people set stays: locked weights as they are, bounds, and no weight changes its sign. Then the step is made smaller
until it moves no more of what shoppers look at than is allowed, measured on rankings of theirs.

Source: the idea is that of exposure-based safe learning (Gupta, Oosterhuis & de Rijke, 2023), with the plain distance
between two distributions of exposure.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from events.bends import feature_of
from tuning.arrays import ScoreArray
from tuning.curves import pieces

DEPTH: Final = 10
PLACES: Final = 4
MAX_MOVED: Final = 0.25
# Less is not worth anybody's attention.
MIN_MOVED: Final = 0.01
SHARES: Final = (1.0, 0.7, 0.5, 0.35, 0.25, 0.15, 0.1)


class Limits(msgspec.Struct, frozen=True):
    """bounds: (least, most) by feature. locks: features, of which neither weight nor bends move. max_step: how far any
    weight may move; None for any distance."""

    bounds: Mapping[str, tuple[float, float]] = {}
    locks: Collection[str] = ()
    max_step: float | None = None


class Candidate(msgspec.Struct, frozen=True):
    """weights: (n_pieces,). moved: share of exposure that goes to other documents. share: of the way to what was
    learnt."""

    weights: ScoreArray
    moved: float
    share: float


def stepped(
    names: Sequence[str], now: ScoreArray, wanted: ScoreArray, lists: Sequence[ScoreArray], limits: Limits
) -> Candidate | None:
    """What may be published now on the way to `wanted`; None where that would change next to nothing.

    names: of the pieces. now, wanted: (n_pieces,); only the direction of what is wanted counts. lists: (n, n_features)
    each, as they were shown.
    """
    shown = _in_pieces(lists)
    if not shown:
        return None
    # Scores spread as they do now, so that a locked weight keeps its part in them.
    spread, wished = (float(np.mean([np.std(one @ weights) for one in shown])) for weights in (now, wanted))
    if wished <= 0.0:
        return None
    target = wanted * (spread / wished if spread > 0.0 else 1.0)
    target = np.where(target * now < 0.0, 0.0, target)
    for share in SHARES:
        weights = _within(names, now, now + share * (target - now), limits)
        away = _moved(shown, now, weights)
        if away < MIN_MOVED:
            return None
        if away <= MAX_MOVED:
            return Candidate(weights, away, share)
    return None


def rounded(now: float, wanted: float) -> float:
    """A weight as people like to read it, to four places, no further away than was wanted; what stays is the same."""
    if wanted == now:
        return now
    near = round(wanted, PLACES)
    if abs(near - now) > abs(wanted - now):
        near = round(near - math.copysign(10.0**-PLACES, wanted - now), PLACES)
    return near if (near - now) * (wanted - now) > 0.0 else now


def apart(before: Sequence[Hashable], after: Sequence[Hashable]) -> float:
    """The share of what is looked at in one order that goes to other documents in another, in [0, 1]."""
    looks: dict[Hashable, float] = {}
    for sign, order in ((1.0, before), (-1.0, after)):
        for rank, one in enumerate(order, start=1):
            looks[one] = looks.get(one, 0.0) + sign / rank
    most = sum(1.0 / rank for rank in range(1, max(len(before), len(after)) + 1))
    return sum(map(abs, looks.values())) / 2 / most if most else 0.0


def moved(lists: Sequence[ScoreArray], before: ScoreArray, after: ScoreArray) -> float:
    """Share of what is looked at that goes to other documents, in [0, 1]. lists: (n, n_features) each, as shown."""
    shown = _in_pieces(lists)
    return _moved(shown, before, after) if shown else 0.0


def _within(names: Sequence[str], now: ScoreArray, wanted: ScoreArray, limits: Limits) -> ScoreArray:
    kept = wanted.copy()
    for i, name in enumerate(names):
        if feature_of(name) in limits.locks:
            kept[i] = now[i]
            continue
        least, most = limits.bounds.get(name, (-np.inf, np.inf))
        if limits.max_step is not None:
            # A sum of floats may be beyond by a hair.
            step = limits.max_step * (1.0 - 1e-9)
            least, most = max(least, now[i] - step), min(most, now[i] + step)
        kept[i] = min(max(kept[i], least), most)
    return kept


def _in_pieces(lists: Sequence[ScoreArray]) -> list[ScoreArray]:
    """Those in which anything can change places."""
    return [pieces(one) for one in lists if len(one) > 1]


def _moved(shown: Sequence[ScoreArray], before: ScoreArray, after: ScoreArray) -> float:
    """As `moved`. shown: (n, n_pieces) each."""

    def first(scores: ScoreArray) -> list[int]:
        order: list[int] = np.argsort(-scores, kind="stable")[:DEPTH].tolist()
        return order

    return float(np.mean([apart(first(one @ before), first(one @ after)) for one in shown]))
