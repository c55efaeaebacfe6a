"""Third step of a ranking: scores, order, pins, and what is left to chance."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from events.types import FeatureScale, InterleavedRanking, PairSwap
from searchsvc.engines.protocol import Reading
from searchsvc.rules.directives import apply_factors, place_pins
from searchsvc.search import ranking
from searchsvc.search.boosts_and_pins import BoostedCandidates, apply_boosts, pinned_positions
from searchsvc.search.candidates import Candidates, first_of_each
from searchsvc.search.exploration import swap_neighbours
from searchsvc.search.features import CandidateFeatures
from searchsvc.search.prepared_search import PreparedSearch
from searchsvc.search.request import SearchRequest
from searchsvc.search.score_terms import ScoreTerms
from searchsvc.search.trials import TrialPart, interleave
from tuning.arrays import FloatArray, IntArray, ScoreArray
from tuning.curves import Curves


class Chance(msgspec.Struct, frozen=True):
    """What is left to chance in one search.

    query_id: exploration is drawn from it.
    part: part of the search in a trial; None without one.
    challenger: terms of the trial's weights if both rankings are interleaved.
    explores: whether neighbours may swap places.
    """

    query_id: str
    part: TrialPart | None = None
    challenger: ScoreTerms | None = None
    explores: bool = False


class RankedCandidates(msgspec.Struct, frozen=True):
    """Candidates in their order.

    order: positions of candidates, best first, as far as the page needs them.
    scores: (n,) by position.
    features: (n, n_features).
    scales: what its features are counted in.
    terms: what the scores are sums of.
    boosted: rule factors of the candidates.
    behavior_factors: (n,), None if behavior changes no score.
    pins: (rank, position) of the pinned documents that are there, by rank.
    interleaving: both rankings of a trial, if both were interleaved.
    exploration: pairs that could swap places; None if the search does not explore.
    """

    order: list[int]
    scores: ScoreArray
    features: FloatArray
    scales: tuple[FeatureScale, ...]
    terms: ScoreTerms
    boosted: BoostedCandidates
    behavior_factors: ScoreArray | None
    pins: list[tuple[int, int]]
    interleaving: InterleavedRanking | None = None
    exploration: tuple[PairSwap, ...] | None = None


def rank(
    prepared: PreparedSearch,
    candidates: Candidates,
    features: CandidateFeatures,
    terms: ScoreTerms,
    pinned: IntArray,
    chance: Chance,
) -> RankedCandidates:
    """Order candidates by score, place pins, then interleave or explore.

    pinned: slots of the pinned documents.
    """
    reading, request, directives = prepared.reading, prepared.request, prepared.applied.directives
    boosted = apply_boosts(reading, directives.boosts, candidates, terms.feature_names, features.matrix)
    factors = [boosted.factors] if directives.boosts else []
    factors += [features.behavior_factors] if features.behavior_factors is not None else []
    scores = _multiplied_scores(terms.curves, features.matrix, factors)
    pins = pinned_positions(reading, candidates, directives, pinned.tolist())
    order = _sort(reading, request, candidates, scores, pins)
    interleaving, exploration = None, None
    if chance.part is not None and chance.challenger is not None:
        other_scores = _multiplied_scores(chance.challenger.curves, features.matrix, factors)
        other_order = _sort(reading, request, candidates, other_scores, pins)
        coins = chance.part.draw.coins
        order, interleaving = interleave(
            order, other_order, coins, lambda position: reading.id(int(candidates.slots[position]))
        )
    elif chance.explores:
        order, exploration = swap_neighbours(order, scores, chance.query_id)
    return RankedCandidates(
        order=order,
        scores=scores,
        features=features.matrix,
        scales=features.scales,
        terms=terms,
        boosted=boosted,
        behavior_factors=features.behavior_factors,
        pins=pins,
        interleaving=interleaving,
        exploration=exploration,
    )


def _multiplied_scores(curves: Curves, features: FloatArray, factors: Sequence[ScoreArray]) -> ScoreArray:
    """Return (n,) scores times all factors, in their order."""
    scores = ranking.score(curves.columns(features), curves.weights)
    for factor in factors:
        scores = apply_factors(scores, factor)
    return scores


def _sort(
    reading: Reading,
    request: SearchRequest,
    candidates: Candidates,
    scores: ScoreArray,
    pins: Sequence[tuple[int, int]],
) -> list[int]:
    """Return positions of the candidates in their order, as far as the page needs them. pins: (rank, position)."""
    slots, n_ranked = candidates.slots.tolist(), candidates.n_ranked
    n_ordered = n_ranked if request.distinct else min(request.window + len(pins), n_ranked)
    order = ranking.top_k(scores[:n_ranked], n_ordered, lambda position: reading.id(slots[position]))
    order += range(n_ranked, len(slots))
    if request.distinct:
        # A pinned document stands for its group.
        pinned = dict.fromkeys(position for _, position in pins)
        order = [*pinned, *(position for position in order if position not in pinned)]
        groups = reading.groups(request.distinct, candidates.slots)
        order = [order[i] for i in first_of_each(groups[order]).tolist()]
        remaining = set(order)
        pins = [(rank, position) for rank, position in pins if position in remaining]
    return place_pins(order, pins) if pins else order
