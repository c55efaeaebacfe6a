"""Searches of a moment ago made again under other weights: how much of what is looked at would move.

What was shown says little of what was not: weights learnt from first pages may bring up documents that never were on
one. So a step is measured on whole searches, with all of their candidates, and made smaller until it is small enough.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import msgspec

from events.control import ControlState
from events.errors import Unavailable
from events.types import RankingShown
from searchsvc.behavior.keyring import Keyring, open_ranking
from searchsvc.behavior.redaction import REDACTED
from searchsvc.search.answer import SearchAnswer
from searchsvc.search.request import SearchRequest
from tuning.gate.steps import DEPTH, MIN_MOVED, SHARES, exposure_difference
from tuning.metrics import ndcg

# Distinct searches of each index that are kept, and so many of them are made again.
N_KEPT: Final = 60
N_REPLAYED: Final = 40
MAX_MOVED: Final = 0.15
# Of nDCG@10 of judged queries: what is no more may be chance.
MAX_JUDGED_LOSS: Final = 0.005

Asking = Callable[[str, ControlState, ControlState, SearchRequest], Awaitable[tuple[SearchAnswer, SearchAnswer]]]


class Measured(msgspec.Struct, frozen=True):
    """weights: that may be tried. share: of the step that was asked for. moved: of what is looked at, on `searches`."""

    weights: Mapping[str, float]
    share: float
    moved: float
    searches: int


class Judged(msgspec.Struct, frozen=True):
    """best: nDCG@10 of judged queries, as they were answered best so far; 0 where there are none. worse: why weights
    are not to answer them; '' where they may."""

    best: float = 0.0
    worse: str = ""


class RepeatedSearches:
    """asking: makes a search by two states. Used on the event loop."""

    def __init__(self, asking: Asking, keyring: Keyring) -> None:
        self._asking = asking
        self._keyring = keyring
        self._kept: dict[str, OrderedDict[str, RankingShown]] = {}

    def keep(self, ranking: RankingShown) -> None:
        """Remember a search that was made."""
        if ranking.first_rank != 1 or ranking.typing or ranking.degraded or not ranking.document_ids:
            return
        of = self._kept.setdefault(ranking.index, OrderedDict())
        # Once each, the last ones of all.
        key = ranking.query_key or ranking.query
        of[key] = ranking
        of.move_to_end(key)
        if len(of) > N_KEPT:
            of.popitem(last=False)

    async def stepped(self, control: ControlState, index: str, wanted: Mapping[str, float]) -> Measured | None:
        """The largest part of the way from the weights in force to others that moves no more than it may; None where
        that would move next to nothing, or there is nothing to measure it on. Raises as a search does."""
        rankings = list(self._kept.get(index, {}).values())[-N_REPLAYED:]
        requests = await asyncio.to_thread(self._requests, rankings)
        now = control.index(index).weights
        if not requests:
            return None
        for share in SHARES:
            weights = {
                name: now.get(name, 0.0) + share * (wanted.get(name, 0.0) - now.get(name, 0.0))
                for name in dict.fromkeys((*now, *wanted))
            }
            moved = await self._moved(control, index, weights, requests)
            if moved < MIN_MOVED:
                return None
            if moved <= MAX_MOVED:
                return Measured(weights, share, moved, len(requests))
        return None

    async def judged(
        self, control: ControlState, index: str, before: Mapping[str, float], after: Mapping[str, float], best: float
    ) -> Judged:
        """How the judged queries of an index are answered by other weights. best: as they were answered best so far.
        Raises as a search does, and Unavailable where one of both lacked something."""
        judged = control.index(index).learning.judgments
        if not judged:
            return Judged()
        one, other = _with(control, index, before), _with(control, index, after)
        was = will_be = 0.0
        for query, grades in judged.items():
            pages = await self._asking(index, one, other, SearchRequest(query=query, limit=DEPTH))
            if pages[0].degraded != pages[1].degraded:
                raise Unavailable("a judged query was answered less well by one of two versions")
            was, will_be = (
                total + ndcg([hit.id for hit in page.hits], grades) / len(judged)
                for total, page in zip((was, will_be), pages, strict=True)
            )
        best = max(best, was)
        # Where documents have changed since, the best of then may be out of everybody's reach.
        if will_be >= min(was, best - MAX_JUDGED_LOSS):
            return Judged(best)
        return Judged(best, f"nDCG@{DEPTH} of {len(judged)} judged queries falls from {best:.4f} to {will_be:.4f}")

    async def _moved(
        self, control: ControlState, index: str, weights: Mapping[str, float], requests: Sequence[SearchRequest]
    ) -> float:
        other = _with(control, index, weights)
        total = 0.0
        for request in requests:
            before, after = await self._asking(index, control, other, request)
            total += exposure_difference([hit.id for hit in before.hits], [hit.id for hit in after.hits])
        return total / len(requests)

    def _requests(self, rankings: Sequence[RankingShown]) -> list[SearchRequest]:
        """Those whose query may be read. Reads the keyring: not for the event loop."""
        found = []
        for ranking in rankings:
            clear = open_ranking(ranking, self._keyring.by_pseudonym(ranking.user) if ranking.sealed_query else None)
            if clear is not None and clear.query and not REDACTED.search(clear.query + clear.request):
                request = SearchRequest.from_log(clear.query, clear.request)
                if not (request.sort or request.distinct or request.like):
                    found.append(msgspec.structs.replace(request, offset=0, limit=DEPTH, highlight=False, facets=()))
        return found


def _with(control: ControlState, index: str, weights: Mapping[str, float]) -> ControlState:
    """CONTROL as it would be with other weights of an index."""
    changed = msgspec.structs.replace(control.index(index), weights=MappingProxyType(dict(weights)))
    return msgspec.structs.replace(control, indexes=MappingProxyType({**control.indexes, index: changed}))
