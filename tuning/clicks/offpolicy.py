"""Off-policy evaluation: how many clicks another order would earn, from a log whose order was partly random. Pure.

The item-position model: a click depends on the query, the document and its rank, and not on the documents around it.
Each click counts for every order that has the document at that rank, weighted by the inverse of the logging propensity.
Documents that the log could never show at a rank have no weight; where too many are such, there is no estimate.

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
    """A ranking that was shown, and two orders to compare for its query.

    shown: document ids from rank 1 on.
    swaps: pairs whose order was random; None if the ranking was not randomized.
    clicked: document ids.
    user: '' if unknown.
    before: first order, document ids from rank 1 on.
    after: second order, in the same way.
    """

    shown: Sequence[str]
    swaps: Sequence[PairSwap] | None
    clicked: Collection[str]
    user: str
    before: Sequence[str]
    after: Sequence[str]


class Estimate(msgspec.Struct, frozen=True, tag="estimate"):
    """An estimated change.

    now: clicks per search, as logged.
    change: change in clicks per search.
    low: lower end of its 95 % interval.
    high: upper end of its 95 % interval.
    rankings: number of randomized rankings.
    users: number of users; each ranking of an unknown user counts as one.
    effective: effective sample size of what changes.
    """

    now: float
    change: float
    low: float
    high: float
    rankings: int
    users: int
    effective: float


class NoEstimate(msgspec.Struct, frozen=True, tag="none"):
    """The log does not suffice for an estimate.

    reason: what it lacks, for a person.
    """

    reason: str


class _Sums(msgspec.Struct):
    """Sums over logged rankings.

    earned: by user, the weighted clicks of each ranking, those of `after` less those of `before`.
    weights: by sign (-1 before, 1 after), the weight of each document that was shown where the order has it.
    n_earned: clicks on what changes.
    supported: exposure of what changes that the log could show.
    unsupported: exposure of what changes that the log could not show.
    clipped: weight that was cut off.
    """

    n_rankings: int = 0
    n_randomized: int = 0
    n_clicks: int = 0
    n_earned: int = 0
    supported: float = 0.0
    unsupported: float = 0.0
    clipped: float = 0.0
    earned: dict[str, list[float]] = msgspec.field(default_factory=lambda: defaultdict(list))
    weights: dict[float, list[float]] = msgspec.field(default_factory=lambda: {-1.0: [], 1.0: []})


def exposure(rank: int) -> float:
    """Return the examination weight of a rank relative to the first: the discount of DCG. rank: 1-based."""
    return 1.0 / math.log2(rank + 1)


def propensities(shown: Sequence[str], swaps: Iterable[PairSwap]) -> Mapping[tuple[str, int], float]:
    """Return the logging propensity by document and rank; 0 where missing."""
    probabilities = {(name, rank): 1.0 for rank, name in enumerate(shown, start=1)}
    for swap in swaps:
        upper, lower = swap.rank, swap.rank + 1
        if lower > len(shown):
            continue
        first, second = shown[upper - 1], shown[lower - 1]
        if swap.swapped:
            first, second = second, first
        stays = 1.0 - swap.probability
        probabilities |= {(first, upper): stays, (second, lower): stays}
        probabilities |= {(first, lower): swap.probability, (second, upper): swap.probability}
    return probabilities


def estimate_change(rankings: Iterable[LoggedRanking]) -> Estimate | NoEstimate:
    """Estimate how many more clicks per search the orders `after` earn than the orders `before`."""
    sums = _Sums()
    for ranking in rankings:
        sums.n_rankings += 1
        if ranking.swaps is not None:
            sums.n_randomized += 1
            sums.n_clicks += len(ranking.clicked)
            earned = _add_changes(sums, ranking, propensities(ranking.shown, ranking.swaps))
            sums.earned[ranking.user or f"\0{sums.n_rankings}"].append(earned)
    if not sums.n_randomized:
        return NoEstimate(f"none of {sums.n_rankings} rankings was randomized: such a log says nothing of other orders")
    if not sums.supported and not sums.unsupported:
        return Estimate(sums.n_clicks / sums.n_randomized, 0.0, 0.0, 0.0, sums.n_randomized, len(sums.earned), 0.0)
    # The scarcer of the two sides limits the estimate.
    effective = min(map(_effective_size, sums.weights.values()))
    reason = _missing(sums, effective)
    return _estimate(sums, effective) if not reason else NoEstimate(reason)


def _add_changes(sums: _Sums, ranking: LoggedRanking, propensity: Mapping[tuple[str, int], float]) -> float:
    """Add the ranks that differ to the sums, and return the weighted clicks of `after` less those of `before`."""
    earned = 0.0
    depth = min(DEPTH, len(ranking.shown))
    pairs = zip_longest(ranking.before[:depth], ranking.after[:depth])
    for rank, (old, new) in enumerate(pairs, start=1):
        if old == new:
            continue
        for document_id, sign in ((new, 1.0), (old, -1.0)):
            if document_id is None:
                continue
            probability = propensity.get((document_id, rank), 0.0)
            if probability <= 0.0:
                sums.unsupported += exposure(rank)
                continue
            sums.supported += exposure(rank)
            if ranking.shown[rank - 1] != document_id:
                continue
            weight = min(1.0 / probability, MAX_WEIGHT)
            sums.clipped += 1.0 / probability - weight
            sums.weights[sign].append(weight)
            if document_id in ranking.clicked:
                earned += sign * weight
                sums.n_earned += 1
    return earned


def _missing(sums: _Sums, effective: float) -> str:
    """Return why there is no estimate; '' if there is one."""
    share = sums.unsupported / (sums.supported + sums.unsupported)
    if share > MAX_UNSUPPORTED:
        return f"{share:.0%} of what changes was never shown there by chance; allowed: at most {MAX_UNSUPPORTED:.0%}"
    if effective < MIN_EFFECTIVE:
        return (
            f"what changes was shown too seldom: an effective sample of {effective:.0f}; "
            f"required: at least {MIN_EFFECTIVE:g}"
        )
    if sums.clipped / (sums.clipped + math.fsum(map(math.fsum, sums.weights.values()))) > MAX_CLIPPED:
        return "most of the weight is on what was hardly ever shown"
    if len(sums.earned) < MIN_USERS:
        return f"{len(sums.earned)} users are too few to tell how they differ; required: at least {MIN_USERS}"
    if sums.n_earned < MIN_CLICKS:
        return f"{sums.n_earned} interactions were made on what changes; required: at least {MIN_CLICKS}"
    return ""


def _estimate(sums: _Sums, effective: float) -> Estimate:
    n_users, n_rankings = len(sums.earned), sums.n_randomized
    change = math.fsum(math.fsum(earned) for earned in sums.earned.values()) / n_rankings
    # Clustered by user: clicks of one user are not independent of each other.
    spread = math.fsum((math.fsum(earned) - len(earned) * change) ** 2 for earned in sums.earned.values())
    error = math.sqrt(spread * n_users / (n_users - 1)) / n_rankings
    # An approximation of Student's t, close enough from thirty users on.
    half_width = (Z_95 + (Z_95**3 + Z_95) / (4 * (n_users - 1))) * error
    low, high = change - half_width, change + half_width
    return Estimate(sums.n_clicks / n_rankings, change, low, high, n_rankings, n_users, effective)


def _effective_size(weights: Sequence[float]) -> float:
    """Return how many observations of equal weight would say as much."""
    return math.fsum(weights) ** 2 / math.fsum(weight * weight for weight in weights) if weights else 0.0
