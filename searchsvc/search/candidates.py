"""The candidates of one search, and the numbers that describe them. Pure, but for what the engine is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from searchsvc.analysis.query import Query
from searchsvc.engines.protocol import Reading
from searchsvc.engines.retrieval import Retrieved, TextFeatures
from searchsvc.search import ranking
from searchsvc.search.answer import BoostShare, Explanation, FeatureShare
from searchsvc.search.request import SearchRequest
from tuning.arrays import AnyArray, FloatArray, IntArray, ScoreArray
from tuning.compiled import compiled
from tuning.curves import Curves
from tuning.features import OVERLOOKED


class Candidates(msgspec.Struct, frozen=True):
    """Candidates of one search. The first n_ranked are ordered by score; what follows is in its final order.

    slots: (n,). text: of all. cosines: (n,), 0 without a vector leg. vector_trust: what they count for. keyword_ranks,
    vector_ranks: 1-based, 0 where a leg missed the candidate. n_groups: where only the first of each group is
    wanted, how many there are in all.
    """

    slots: IntArray
    n_ranked: int
    text: TextFeatures
    cosines: FloatArray
    keyword_ranks: IntArray
    vector_ranks: IntArray
    vector_trust: float
    n_groups: int | None


def gathered(
    reading: Reading,
    query: Query,
    vector: FloatArray | None,
    retrieved: Retrieved,
    k: int,
    request: SearchRequest,
    *,
    boosted: bool,
) -> Candidates:
    """The union of both legs' first k and of what rules add, then as much of the keyword leg's rest as the page needs.

    Where the request sorts, or asks for nothing and nothing is boosted, the order it came in is final; what is pinned
    stands before it.
    """
    ordered, nearest, pinned = retrieved.keyword, retrieved.nearest, retrieved.pinned
    n_groups = None
    if request.sort or not (query.text or boosted):
        slots = np.concatenate([pinned, ordered[~np.isin(ordered, pinned)]]) if len(pinned) else ordered
        n_ranked = 0
        if request.distinct:
            first = first_of_each(reading.groups(request.distinct, slots))
            slots, n_groups = slots[first[: request.window + len(pinned)]], len(first)
        keyword_ranks, vector_ranks = np.zeros(len(slots), np.int64), _ranks_in(slots, nearest)
    else:
        slots, keyword_ranks, vector_ranks = _united(ordered[:k], nearest, retrieved.boosted, pinned)
        n_ranked = len(slots)
        # A page past the re-ranked candidates goes on in keyword order.
        tail = ordered[k:]
        # Of those that are ranked, the pinned ones may belong further down.
        beyond = request.window > n_ranked - len(pinned)
        places = np.flatnonzero(~np.isin(tail, slots)) if request.distinct or beyond else tail[:0]
        if request.distinct:
            groups = reading.groups(request.distinct, np.concatenate([slots, tail[places]]))
            first = first_of_each(groups)
            n_groups = len(first)
            places = places[first[first >= n_ranked] - n_ranked][: request.window + len(pinned)]
        if len(places):
            slots = np.concatenate([slots, tail[places]])
            keyword_ranks = np.concatenate([keyword_ranks, k + 1 + places])
            vector_ranks = np.concatenate([vector_ranks, np.zeros(len(places), np.int64)])
    text = reading.text_features(slots, query)
    cosines = _cosines(reading, slots, vector, retrieved, vector_ranks)
    return Candidates(slots, n_ranked, text, cosines, keyword_ranks, vector_ranks, retrieved.vector_trust, n_groups)


def _cosines(
    reading: Reading,
    slots: IntArray,
    vector: FloatArray | None,
    retrieved: Retrieved,
    vector_ranks: IntArray,
) -> FloatArray:
    """(n,) the vector leg knows those of its own candidates; only the others are worked out."""
    cosines = np.zeros(len(slots), np.float32)
    if vector is not None:
        known = vector_ranks > 0
        cosines[known] = retrieved.cosines[vector_ranks[known] - 1]
        cosines[~known] = reading.cosines(slots[~known], vector)
    return cosines


def feature_matrix(reading: Reading, found: Candidates, behavior: FloatArray | None, at_s: float) -> FloatArray:
    """(n, n_features) in the order of `tuning.features.feature_names`; `overlooked` is left to `_scores`. behavior: the
    last two columns; None where the index has none."""
    text = found.text
    columns: list[AnyArray] = [
        text.bm25,
        text.exact_title,
        text.all_terms,
        text.coverage,
        text.phrase,
        text.proximity,
        _reciprocal(found.keyword_ranks),
    ]
    if reading.snapshot.settings.embedding is not None:
        trust = np.float32(found.vector_trust)
        overlooked = np.zeros(len(found.slots), np.float32)
        columns += [found.cosines * trust, _reciprocal(found.vector_ranks) * trust, overlooked]
    columns += [reading.signals(found.slots, at_s), *((behavior,) if behavior is not None else ())]
    widths = [column.shape[1] if column.ndim == 2 else 1 for column in columns]
    matrix, end = np.empty((len(found.slots), sum(widths)), np.float32), 0
    for column, width in zip(columns, widths, strict=True):
        matrix[:, end : end + width] = column if column.ndim == 2 else column[:, None]
        end += width
    return matrix


def _reciprocal(ranks: IntArray) -> FloatArray:
    """(n,) 1 / rank, 0 where the rank is 0."""
    found = np.zeros(len(ranks), np.float32)
    np.divide(1.0, ranks, out=found, where=ranks > 0, casting="same_kind")
    return found


def scored(found: Candidates, by: Curves, features: FloatArray) -> ScoreArray:
    """(n,) and, in `features`, what only the scores can tell: whether the nearest vectors would be overlooked."""
    scores = ranking.score(by.columns(features), by.weights)
    if OVERLOOKED in by.names:
        column = ranking.overlooked(scores[: found.n_ranked], found.vector_ranks[: found.n_ranked])
        if column is not None:
            features[: found.n_ranked, by.names.index(OVERLOOKED)] = column * np.float32(found.vector_trust)
            return ranking.score(by.columns(features), by.weights)
    return scores


def explained(
    candidates: Candidates,
    shown: list[int],
    by: Curves,
    features: FloatArray,
    factors: ScoreArray,
    behavior: ScoreArray,
    boosts: Sequence[list[BoostShare]],
    pinned_by: Mapping[int, str],
) -> list[Explanation | None]:
    """shown: positions. boosts: of each candidate, or none at all. pinned_by: rules, by position."""
    columns = by.columns(features)
    parts = ranking.contributions(columns, by.weights)
    return [
        Explanation(
            features={
                name: FeatureShare(float(columns[i, j]), float(by.weights[j]), float(parts[i, j]))
                for j, name in enumerate(by.names)
            },
            keyword_rank=int(candidates.keyword_ranks[i]) or None,
            vector_rank=int(candidates.vector_ranks[i]) or None,
            rule_factor=float(factors[i]),
            behavior_factor=float(behavior[i]),
            boosts=boosts[i] if boosts else [],
            pinned_by=pinned_by.get(i),
        )
        for i in shown
    ]


def first_of_each(groups: IntArray) -> IntArray:
    """Positions of the first of each group, ascending. groups: (n,)."""
    _, first = np.unique(groups, return_index=True)
    first.sort()
    return first


def _united(
    keyword: IntArray, nearest: IntArray, lifted: IntArray, pinned: IntArray
) -> tuple[IntArray, IntArray, IntArray]:
    """(n,) the distinct slots of all, ascending, and their ranks in the first two, from 1, 0 where one is not there."""
    slots = np.concatenate([keyword, nearest, lifted, pinned])
    slots.sort()
    ranks = np.zeros((2, len(slots)), np.int64)
    n = _unite(slots, keyword, nearest, ranks)
    return slots[:n], ranks[0, :n], ranks[1, :n]


@compiled("i8[1]! i8[1] i8[1] i8[2]!")
def _unite(slots: AnyArray, keyword: AnyArray, nearest: AnyArray, ranks: AnyArray) -> int:
    """Leave each slot once, and write its ranks in two legs. slots: (m,) ascending, with all that are in a leg. ranks:
    (2, m) of 0. Returns how many there are."""
    n = 0
    for i in range(slots.shape[0]):
        if i == 0 or slots[i] != slots[n - 1]:
            slots[n] = slots[i]
            n += 1
    for leg, found in enumerate((keyword, nearest)):
        for i in range(found.shape[0]):
            ranks[leg, np.searchsorted(slots[:n], found[i])] = i + 1
    return n


def _ranks_in(slots: IntArray, leg: IntArray) -> IntArray:
    """The same for slots in any order, not all of which need hold the leg's."""
    rank_of: Mapping[int, int] = {slot: rank for rank, slot in enumerate(leg.tolist(), start=1)}
    return np.array([rank_of.get(slot, 0) for slot in slots.tolist()], np.int64)
