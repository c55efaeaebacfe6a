"""What an order of hits would earn that nobody was shown, from a log whose order was partly left to chance. Pure.

A click on a document at a rank counts for every order that has the document at that rank, weighed by one over the
probability with which the log showed it there: so orders can be compared that were shown as often as chance had it, or
hardly ever. It takes for given that a click depends on the query, the document and the rank, and not on what stands
around it. What the log could never show there, it says nothing of: too much of that, and there is no estimate.

Source: Li, Abbasi-Yadkori, Kveton, Muthukrishnan, Vinay & Wen, Offline Evaluation of Ranking Policies with Click
Models, KDD 2018 (the item-position estimator). Effective sample size: Kong, 1992.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Final

import msgspec

from events.types import PairSwap

DEPTH: Final = 10
MIN_EFFECTIVE: Final = 1000.0
MAX_UNSUPPORTED: Final = 0.05
MAX_CLIPPED: Final = 0.2
MAX_WEIGHT: Final = 200.0
MIN_USERS: Final = 30
MIN_CLICKS: Final = 30
Z_95: Final = 1.959964


class LoggedRanking(msgspec.Struct, frozen=True):
    """One ranking that was shown, and two orders that are compared for its query.

    shown: ids from rank 1 on. swaps: what was left to chance; None where nothing was. clicked: ids. user: '' where that
    is not known. before, after: ids from rank 1 on.
    """

    shown: Sequence[str]
    swaps: Sequence[PairSwap] | None
    clicked: Collection[str]
    user: str
    before: Sequence[str]
    after: Sequence[str]


class Estimate(msgspec.Struct, frozen=True, tag="estimate"):
    """now: clicks a search, as logged. change: of clicks a search, with the ends of its 95 % interval. rankings, users:
    that it stands on; who is not known counts as somebody else each time. effective: sample size, of what changes."""

    now: float
    change: float
    low: float
    high: float
    rankings: int
    users: int
    effective: float


class NoEstimate(msgspec.Struct, frozen=True, tag="none"):
    """reason: what the data lacks, for a person."""

    reason: str


def exposure(rank: int) -> float:
    """How much of a look a rank gets, against the first: the discount of DCG. rank: 1-based."""
    return 1.0 / math.log2(rank + 1)


def propensities(shown: Sequence[str], swaps: Iterable[PairSwap]) -> Mapping[tuple[str, int], float]:
    """By document and rank, the probability with which the log showed it there; 0 where it is not named."""
    found = {(name, rank): 1.0 for rank, name in enumerate(shown, start=1)}
    for swap in swaps:
        upper, lower = swap.rank, swap.rank + 1
        if lower > len(shown):
            continue
        first, second = shown[upper - 1], shown[lower - 1]
        if swap.swapped:
            first, second = second, first
        stays = 1.0 - swap.probability
        found |= {(first, upper): stays, (second, lower): stays}
        found |= {(first, lower): swap.probability, (second, upper): swap.probability}
    return found


def estimate_change(trials: Iterable[LoggedRanking]) -> Estimate | NoEstimate:
    """What the orders after would earn beyond those before, in clicks a search; or why that cannot be said."""
    by_user: dict[str, list[float]] = defaultdict(list)
    n_all = n_clicks = n_random = 0
    # Of what is before, and of what is after: the scarcer of the two says how much there is to go by.
    weights: dict[float, list[float]] = {-1.0: [], 1.0: []}
    n_earned = 0
    supported = unsupported = clipped = 0.0
    for trial in trials:
        n_all += 1
        if trial.swaps is None:
            continue
        n_random += 1
        n_clicks += len(trial.clicked)
        shown_at = propensities(trial.shown, trial.swaps)
        earned = 0.0
        depth = min(DEPTH, len(trial.shown))
        pairs = zip_longest(trial.before[:depth], trial.after[:depth])
        for rank, (old, new) in enumerate(pairs, start=1):
            if old == new:
                continue
            for name, sign in ((new, 1.0), (old, -1.0)):
                if name is None:
                    continue
                chance = shown_at.get((name, rank), 0.0)
                if chance <= 0.0:
                    unsupported += exposure(rank)
                    continue
                supported += exposure(rank)
                if trial.shown[rank - 1] != name:
                    continue
                weight = min(1.0 / chance, MAX_WEIGHT)
                clipped += 1.0 / chance - weight
                weights[sign].append(weight)
                if name in trial.clicked:
                    earned += sign * weight
                    n_earned += 1
        by_user[trial.user or f"\0{n_all}"].append(earned)
    if not n_random:
        return NoEstimate(f"none of {n_all} rankings was left to chance: such a log says nothing of other orders")
    now = n_clicks / n_random
    if not supported and not unsupported:
        return Estimate(now, 0.0, 0.0, 0.0, n_random, len(by_user), 0.0)
    share = unsupported / (supported + unsupported)
    if share > MAX_UNSUPPORTED:
        said = f"{share:.0%} of what changes was never shown there, not even by chance"
        return NoEstimate(f"{said}; at most {MAX_UNSUPPORTED:.0%} may be")
    effective = min(map(_effective, weights.values()))
    if effective < MIN_EFFECTIVE:
        said = f"an effective sample of {effective:.0f}; wanted {MIN_EFFECTIVE:g}"
        return NoEstimate(f"what changes was shown too seldom: {said}")
    if clipped / (clipped + math.fsum(map(math.fsum, weights.values()))) > MAX_CLIPPED:
        return NoEstimate("most of the weight is on what was hardly ever shown")
    n_users = len(by_user)
    if n_users < MIN_USERS:
        return NoEstimate(f"{n_users} users are too few to tell how they differ; wanted {MIN_USERS}")
    if n_earned < MIN_CLICKS:
        return NoEstimate(f"{n_earned} were made on what changes; wanted {MIN_CLICKS}")
    change = math.fsum(math.fsum(one) for one in by_user.values()) / n_random
    # Clicks of one user are not independent of each other.
    spread = math.fsum((math.fsum(one) - len(one) * change) ** 2 for one in by_user.values())
    error = math.sqrt(spread * n_users / (n_users - 1)) / n_random
    # Student's t, near enough from thirty on.
    wide = (Z_95 + (Z_95**3 + Z_95) / (4 * (n_users - 1))) * error
    return Estimate(now, change, change - wide, change + wide, n_random, n_users, effective)


def _effective(weights: Sequence[float]) -> float:
    """So many observations of equal weight would tell as much."""
    return math.fsum(weights) ** 2 / math.fsum(one * one for one in weights) if weights else 0.0
