"""Receipts and their verification, as the API offers them."""

from __future__ import annotations

import asyncio

from events.control import ControlState
from events.errors import Corrupt
from events.history import ControlHistory
from events.index_control import IndexControl
from events.log import EventLog
from events.types import RankingShown
from searchsvc.behavior.keyring import Keyring
from searchsvc.behavior.recent_rankings import RecentRankings
from searchsvc.rehearsal.receipts.account import Receipt, account
from searchsvc.rehearsal.receipts.finding import RankingFinder
from searchsvc.rehearsal.receipts.located_ranking import LocatedRanking
from searchsvc.rehearsal.receipts.repetition import SearchRepeater
from searchsvc.rehearsal.receipts.verification import Verification, verification
from searchsvc.runtime.clock import Clock, utc_now
from searchsvc.search.request import SearchRequest
from searchsvc.search.searcher import Searcher
from searchsvc.state.serving import Serving


class Receipts:
    """Accounts for logged answers.

    history: past states of CONTROL
    serving: the documents served now
    searcher: repeats searches
    rankings: the newest rankings, by query id
    keyring: opens sealed queries
    """

    def __init__(
        self,
        event_log: EventLog,
        history: ControlHistory,
        serving: Serving,
        searcher: Searcher,
        rankings: RecentRankings,
        keyring: Keyring,
        clock: Clock = utc_now,
    ) -> None:
        self._finder = RankingFinder(event_log, rankings, keyring, clock)
        self._repeater = SearchRepeater(serving, searcher)
        self._history = history
        self._n_candidates = searcher.n_candidates

    async def receipt(self, query_id: str) -> Receipt:
        """Return the account of an answer. Raises as `RankingFinder.find` does."""
        located = await self._finder.find(query_id)
        return account(located, await asyncio.to_thread(self._index_then, located.shown))

    async def verify(self, query_id: str) -> Verification:
        """Return whether an answer can be computed again. Raises as `RankingFinder.find` does."""
        located = await self._finder.find(query_id)
        return await asyncio.to_thread(self._verify, located)

    def _verify(self, located: LocatedRanking) -> Verification:
        shown, control = located.shown, self._control_then(located.shown)
        request = SearchRequest.from_log(located.query, shown.request) if located.query is not None else None
        repeated = self._repeater.repeat(located, control, request)
        return verification(shown, control.index(shown.index), request, repeated, self._n_candidates)

    def _index_then(self, shown: RankingShown) -> IndexControl:
        return self._control_then(shown).index(shown.index)

    def _control_then(self, shown: RankingShown) -> ControlState:
        """Return CONTROL at the sequence that a ranking names. Raises Corrupt if it does not reach so far."""
        if shown.applied_seq > self._history.seq:
            raise Corrupt(f"ranking {shown.id} names CONTROL {shown.applied_seq}, which is not there")
        return self._history.state_at(shown.applied_seq)
