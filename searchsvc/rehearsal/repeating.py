"""Repeats recent searches under other weights, to measure how much of what shoppers look at would move.

Logged rankings say little about documents that were not shown: weights learnt from first pages may bring up documents
that never were on one. So a step is measured on whole searches, with all candidates, and shortened until it is small
enough.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import msgspec

from events.control import ControlState
from events.errors import Unavailable
from events.types import RankingShown
from searchsvc.behavior.keyring import Keyring
from searchsvc.behavior.redaction import REDACTED
from searchsvc.rehearsal.rehearser import CompareSearches
from searchsvc.search.request import SearchRequest
from tuning.gate.steps import DEPTH, MIN_MOVED, SHARES, exposure_difference
from tuning.metrics import ndcg

# Distinct searches that are remembered of each index, and of those repeated.
N_REMEMBERED: Final = 60
N_REPEATED: Final = 40
MAX_MOVED_IN_SEARCHES: Final = 0.15
# A loss of nDCG@10 of the judged queries that may be chance.
MAX_JUDGED_LOSS: Final = 0.005


class MeasuredStep(msgspec.Struct, frozen=True):
    """A step of the weights, measured on whole searches.

    weights: weights after the step, by name.
    share: share of the requested step.
    exposure_moved: mean share of exposure that goes to other documents, over `n_searches`.
    """

    weights: Mapping[str, float]
    share: float
    exposure_moved: float
    n_searches: int


class Verdict(msgspec.Struct, frozen=True):
    """What judged queries say of weights.

    best: best nDCG@10 so far; 0 if there are no judgments.
    why_worse: why the weights are rejected; '' if they are not.
    """

    best: float = 0.0
    why_worse: str = ""


class RepeatedSearches:
    """Remembers recent searches, and repeats them. Used on the event loop.

    compare: searches under two CONTROL states.
    """

    def __init__(self, compare: CompareSearches, keyring: Keyring) -> None:
        self._compare = compare
        self._keyring = keyring
        # By index and query, the oldest first.
        self._remembered: dict[str, OrderedDict[str, RankingShown]] = {}

    def remember(self, ranking: RankingShown) -> None:
        """Remember a search that was made."""
        if ranking.first_rank != 1 or ranking.typing or ranking.degraded or not ranking.document_ids:
            return
        searches = self._remembered.setdefault(ranking.index, OrderedDict())
        key = ranking.query_key or ranking.query
        searches[key] = ranking
        searches.move_to_end(key)
        if len(searches) > N_REMEMBERED:
            searches.popitem(last=False)

    def drop_others(self, indexes: Collection[str]) -> None:
        """Forget the searches of all indexes but these."""
        self._remembered = {name: searches for name, searches in self._remembered.items() if name in indexes}

    async def largest_step(self, control: ControlState, index: str, target: Mapping[str, float]) -> MeasuredStep | None:
        """Return the largest part of the way to other weights that moves at most `MAX_MOVED_IN_SEARCHES` of exposure.

        target: weights by name.

        Returns None if it would move next to nothing, if even the smallest part moves too much, or if there are no
        searches to repeat. Raises as a search does.
        """
        rankings = list(self._remembered.get(index, {}).values())[-N_REPEATED:]
        requests = await asyncio.to_thread(self._requests, rankings)
        in_force = control.index(index).weights
        if not requests:
            return None
        for share in SHARES:
            weights = {
                name: in_force.get(name, 0.0) + share * (target.get(name, 0.0) - in_force.get(name, 0.0))
                for name in dict.fromkeys((*in_force, *target))
            }
            moved = await self._exposure_moved(control, index, weights, requests)
            if moved < MIN_MOVED:
                return None
            if moved <= MAX_MOVED_IN_SEARCHES:
                return MeasuredStep(weights, share, moved, len(requests))
        return None

    async def judge(
        self, control: ControlState, index: str, before: Mapping[str, float], after: Mapping[str, float], best: float
    ) -> Verdict:
        """Compare two sets of weights on the judged queries of an index.

        best: best nDCG@10 so far.

        Raises as a search does, and Unavailable if only one of two answers was degraded.
        """
        judgments = control.index(index).learning.judgments
        if not judgments:
            return Verdict()
        first, second = _with_weights(control, index, before), _with_weights(control, index, after)
        ndcg_before = ndcg_after = 0.0
        for query, grades in judgments.items():
            answers = await self._compare(index, first, second, SearchRequest(query=query, limit=DEPTH))
            if answers[0].degraded != answers[1].degraded:
                raise Unavailable("a judged query was answered in part by one of two versions")
            ndcg_before, ndcg_after = (
                total + ndcg([hit.id for hit in answer.hits], grades) / len(judgments)
                for total, answer in zip((ndcg_before, ndcg_after), answers, strict=True)
            )
        best = max(best, ndcg_before)
        # If documents have changed since, perhaps no weights reach the earlier best.
        if ndcg_after >= min(ndcg_before, best - MAX_JUDGED_LOSS):
            return Verdict(best)
        return Verdict(
            best, f"nDCG@{DEPTH} of {len(judgments)} judged queries falls from {best:.4f} to {ndcg_after:.4f}"
        )

    async def _exposure_moved(
        self, control: ControlState, index: str, weights: Mapping[str, float], requests: Sequence[SearchRequest]
    ) -> float:
        changed = _with_weights(control, index, weights)
        total = 0.0
        for request in requests:
            before, after = await self._compare(index, control, changed, request)
            total += exposure_difference([hit.id for hit in before.hits], [hit.id for hit in after.hits])
        return total / len(requests)

    def _requests(self, rankings: Sequence[RankingShown]) -> list[SearchRequest]:
        """Return the requests of rankings whose query may be read. Reads the keyring: not for the event loop."""
        requests = []
        for ranking in rankings:
            opened = self._keyring.opened(ranking)
            if opened is not None and opened.query and not REDACTED.search(opened.query + opened.request):
                request = SearchRequest.from_log(opened.query, opened.request)
                if not (request.sort or request.distinct or request.like):
                    requests.append(msgspec.structs.replace(request, offset=0, limit=DEPTH, highlight=False, facets=()))
        return requests


def _with_weights(control: ControlState, index: str, weights: Mapping[str, float]) -> ControlState:
    """Return CONTROL with other weights of one index."""
    changed = msgspec.structs.replace(control.index(index), weights=MappingProxyType(dict(weights)))
    return msgspec.structs.replace(control, indexes=MappingProxyType({**control.indexes, index: changed}))
