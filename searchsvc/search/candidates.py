"""The candidates of one search: those of both legs, what rules add, and as much of the tail as the page needs."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np

from searchsvc.engines.protocol import Reading
from searchsvc.engines.retrieval import Retrieved, TextFeatures
from searchsvc.search.prepared_search import PreparedSearch
from searchsvc.search.request import SearchRequest
from searchsvc.search.retrieval import SearchRetrieval
from searchsvc.search.scale import neighbour_weights
from tuning.arrays import AnyArray, BoolArray, FloatArray, IntArray
from tuning.compiled import compiled


class Candidates(msgspec.Struct, frozen=True):
    """Candidates of one search. The first `n_ranked` are ordered by score; the others are in their final order.

    slots: (n,).
    text: text features of all.
    goes_with: (n,) whether each goes with what the query is after, and is not it.
    cosines: (n,), 0 without a vector leg.
    neighbourhood: (n,) cosines with the mean of the query's nearest documents; 0 without a vector leg.
    keyword_ranks: (n,) 1-based, 0 where the keyword leg missed the candidate.
    vector_ranks: (n,) 1-based, 0 where the vector leg missed the candidate.
    vector_trust: factor of the vector features, in [0, 1].
    n_groups: number of groups in all, if the request is `distinct`.
    """

    slots: IntArray
    n_ranked: int
    text: TextFeatures
    goes_with: BoolArray
    cosines: FloatArray
    neighbourhood: FloatArray
    keyword_ranks: IntArray
    vector_ranks: IntArray
    vector_trust: float
    n_groups: int | None

    @property
    def is_retrieved(self) -> BoolArray:
        """(n,) which of the candidates that the score orders a leg found; False for those that rules add."""
        is_retrieved = (self.keyword_ranks > 0) | (self.vector_ranks > 0)
        is_retrieved[self.n_ranked :] = False
        return is_retrieved


class _Selection(msgspec.Struct, frozen=True):
    """Slots of the candidates, and the ranks that they had in both legs."""

    slots: IntArray
    n_ranked: int
    keyword_ranks: IntArray
    vector_ranks: IntArray
    n_groups: int | None


def collect_candidates(prepared: PreparedSearch, retrieval: SearchRetrieval, k: int) -> Candidates:
    """Unite both legs' first k with what rules add, then add as much of the keyword leg's tail as the page needs.

    If the request sorts, or browses and nothing is boosted, the retrieved order is final; pinned documents come first.
    """
    request, reading, retrieved = prepared.request, prepared.reading, retrieval.retrieved
    if request.has_own_order or not (prepared.query.text or prepared.is_boosted):
        selection = _keep_order(reading, retrieved, request)
    else:
        selection = _unite_legs_and_tail(reading, retrieved, request, k)
    goes_with = _goes_with(prepared, selection.slots)
    return Candidates(
        slots=selection.slots,
        n_ranked=selection.n_ranked,
        text=reading.text_features(selection.slots, prepared.query),
        goes_with=goes_with,
        cosines=_cosines(reading, selection, retrieval.vector, retrieved),
        neighbourhood=_neighbourhood(reading, selection, retrieved, goes_with),
        keyword_ranks=selection.keyword_ranks,
        vector_ranks=selection.vector_ranks,
        vector_trust=retrieved.vector_trust,
        n_groups=selection.n_groups,
    )


def first_of_each(groups: IntArray) -> IntArray:
    """Return the positions of the first of each group, ascending. groups: (n,)."""
    _, first = np.unique(groups, return_index=True)
    first.sort()
    return first


def unite_legs(
    keyword: IntArray, nearest: IntArray, boosted: IntArray, pinned: IntArray
) -> tuple[IntArray, IntArray, IntArray]:
    """Return the distinct slots of all, ascending, and their ranks in the first two.

    Returns three (n,) arrays; ranks are 1-based, 0 where a slot is not in the leg.
    """
    slots = np.concatenate([keyword, nearest, boosted, pinned])
    slots.sort()
    ranks = np.zeros((2, len(slots)), np.int64)
    n = _unite(slots, keyword, nearest, ranks)
    return slots[:n], ranks[0, :n], ranks[1, :n]


def _keep_order(reading: Reading, retrieved: Retrieved, request: SearchRequest) -> _Selection:
    """Select candidates whose order is final."""
    slots, pinned = retrieved.keyword, retrieved.pinned
    if len(pinned):
        slots = np.concatenate([pinned, slots[~np.isin(slots, pinned)]])
    n_groups = None
    if request.distinct:
        first = first_of_each(reading.groups(request.distinct, slots))
        slots, n_groups = slots[first[: request.window + len(pinned)]], len(first)
    return _Selection(slots, 0, np.zeros(len(slots), np.int64), _ranks_in(slots, retrieved.nearest), n_groups)


def _unite_legs_and_tail(reading: Reading, retrieved: Retrieved, request: SearchRequest, k: int) -> _Selection:
    """Select candidates that the score orders, and then the tail in keyword order."""
    keyword, pinned = retrieved.keyword, retrieved.pinned
    slots, keyword_ranks, vector_ranks = unite_legs(keyword[:k], retrieved.nearest, retrieved.boosted, pinned)
    n_ranked, n_groups = len(slots), None
    # A page past the ranked candidates continues in keyword order.
    tail = keyword[k:]
    # Pinned documents may belong further down.
    reaches_tail = request.window > n_ranked - len(pinned)
    positions = np.flatnonzero(~np.isin(tail, slots)) if request.distinct or reaches_tail else tail[:0]
    if request.distinct:
        first = first_of_each(reading.groups(request.distinct, np.concatenate([slots, tail[positions]])))
        n_groups = len(first)
        positions = positions[first[first >= n_ranked] - n_ranked][: request.window + len(pinned)]
    if len(positions):
        slots = np.concatenate([slots, tail[positions]])
        keyword_ranks = np.concatenate([keyword_ranks, k + 1 + positions])
        vector_ranks = np.concatenate([vector_ranks, np.zeros(len(positions), np.int64)])
    return _Selection(slots, n_ranked, keyword_ranks, vector_ranks, n_groups)


def _cosines(reading: Reading, selection: _Selection, vector: FloatArray | None, retrieved: Retrieved) -> FloatArray:
    """Return (n,) cosines. The vector leg knows those of its own candidates; only the others are computed."""
    slots, vector_ranks = selection.slots, selection.vector_ranks
    cosines = np.zeros(len(slots), np.float32)
    if vector is not None:
        in_leg = vector_ranks > 0
        cosines[in_leg] = retrieved.cosines[vector_ranks[in_leg] - 1]
        cosines[~in_leg] = reading.cosines(slots[~in_leg], vector)
    return cosines


def _goes_with(prepared: PreparedSearch, slots: IntArray) -> BoolArray:
    thing = prepared.thing
    return prepared.reading.goes_with(slots, thing) if thing is not None else np.zeros(len(slots), np.bool_)


def _neighbourhood(reading: Reading, selection: _Selection, retrieved: Retrieved, goes_with: BoolArray) -> FloatArray:
    """Return (n,) cosines with the mean of the nearest documents: what kind of thing the query is after, as documents
    say it. Source: pseudo-relevance feedback, Rocchio 1971.

    goes_with: (n,) which documents do not say it, unless there are no others
    """
    slots, nearest = selection.slots, retrieved.nearest
    if not selection.n_ranked or not len(nearest):
        return np.zeros(len(slots), np.float32)
    weights = neighbour_weights(retrieved.cosines)
    says_it = ~np.isin(nearest, slots[goes_with])
    mean = np.add.reduce(reading.vectors(nearest) * (weights * says_it if says_it.any() else weights)[:, None])
    length = np.sqrt(np.add.reduce(mean * mean))
    return reading.cosines(slots, mean / max(length, np.float32(1e-9)))


@compiled("i8[1]! i8[1] i8[1] i8[2]!")
def _unite(slots: AnyArray, keyword: AnyArray, nearest: AnyArray, ranks: AnyArray) -> int:
    """Drop repeated slots in place, write their ranks in two legs, and return how many slots are left.

    slots: (m,) ascending, holding all slots of both legs.
    ranks: (2, m) of 0.
    """
    n = 0
    for i in range(slots.shape[0]):
        if i == 0 or slots[i] != slots[n - 1]:
            slots[n] = slots[i]
            n += 1
    for leg, leg_slots in enumerate((keyword, nearest)):
        for i in range(leg_slots.shape[0]):
            ranks[leg, np.searchsorted(slots[:n], leg_slots[i])] = i + 1
    return n


def _ranks_in(slots: IntArray, leg: IntArray) -> IntArray:
    """Return (n,) 1-based ranks in a leg of slots in any order; 0 where a slot is not in the leg."""
    rank_of: Mapping[int, int] = {slot: rank for rank, slot in enumerate(leg.tolist(), start=1)}
    return np.array([rank_of.get(slot, 0) for slot in slots.tolist()], np.int64)
