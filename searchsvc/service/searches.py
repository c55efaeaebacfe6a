"""Search an index: as it is, as it was at a moment, or as a draft would make it."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Final

import msgspec

from events.errors import Unavailable
from events.point_in_time import parse_point_in_time
from events.types import RankingShown
from searchsvc.behavior.keyring import Keyring, seal_ranking
from searchsvc.behavior.recent_rankings import RecentRankings
from searchsvc.behavior.redaction import redacted
from searchsvc.behavior.writer import BehaviorWriter
from searchsvc.changes.commands import Commands
from searchsvc.changes.drafts import Drafts
from searchsvc.execution.load import SearchLoad
from searchsvc.execution.search_execution import SearchExecution, SearchJob
from searchsvc.rehearsal.rehearser import Rehearser
from searchsvc.search.answer import SearchOutcome
from searchsvc.search.exploration import is_exploring
from searchsvc.search.last_known import LastKnown
from searchsvc.search.query_ids import new_query_id
from searchsvc.search.request import SearchRequest
from searchsvc.search.trials import draw_weights
from searchsvc.state.serving import Serving
from searchsvc.state.serving_state import ServingState

READ_YOUR_WRITE_TIMEOUT_S: Final = 5.0


class RankingLog(msgspec.Struct, frozen=True):
    """Where the rankings that were shown go.

    writer: the outbox to BEHAVIOR
    rankings: the newest rankings, which interactions are checked against
    keyring: keys that seal what ties a ranking to a user
    """

    writer: BehaviorWriter
    rankings: RecentRankings
    keyring: Keyring

    def record(self, shown: RankingShown, user_token: str) -> None:
        """Remember a ranking and queue it for the log: redacted, and sealed if it is tied to a user."""
        private = msgspec.structs.replace(shown, query=redacted(shown.query), request=redacted(shown.request))
        if user_token:
            private = seal_ranking(private, self.keyring.user(user_token, shown.timestamp))
        self.rankings.add(private)
        self.writer.offer(private)


class Searches:
    """Answers shoppers' searches and logs what they were shown.

    last_known: answers to show while nothing can be retrieved
    """

    def __init__(
        self,
        serving: Serving,
        execution: SearchExecution,
        load: SearchLoad,
        ranking_log: RankingLog,
        last_known: LastKnown,
        rehearser: Rehearser,
        commands: Commands,
        drafts: Drafts,
    ) -> None:
        self._serving = serving
        self._execution = execution
        self._load = load
        self._ranking_log = ranking_log
        self._last_known = last_known
        self._rehearser = rehearser
        self._commands = commands
        self._drafts = drafts

    async def search(self, index: str, request: SearchRequest) -> SearchOutcome:
        """Search an index. A search that is no shopper's, is `as_of` a moment or with a draft is not logged.

        Raises InvalidInput, NotFound, and Unavailable if the index is being built or too many searches wait.
        """
        request.check()
        self._load.require_room()
        state = await self._state_with_writes(index, request)
        with self._load.counted():
            if request.as_of is not None:
                return await self._search_as_of(state, index, request, parse_point_in_time(request.as_of, "as_of"))
            if request.draft:
                drafted = await self._drafts.control_with(index, request.draft)
                return await self._rehearser.search(drafted, state, index, request)
            outcome = await self._search_or_last_known(state, index, request)
        if request.is_shown:
            self._ranking_log.record(outcome.shown, request.user_token)
        return outcome

    async def _state_with_writes(self, index: str, request: SearchRequest) -> ServingState:
        """Return the current state; wait until it includes the writes that the request names."""
        current = self._serving.current
        if request.min_seq <= current.control.seq and not request.min_catalog_seq:
            return current

        def holds(state: ServingState) -> bool:
            return state.control.seq >= request.min_seq and state.catalog_seq(index) >= request.min_catalog_seq

        waiting_for = f"min_seq {request.min_seq} and min_catalog_seq {request.min_catalog_seq}"
        return await self._serving.wait_until(holds, READ_YOUR_WRITE_TIMEOUT_S, waiting_for)

    async def _search_as_of(
        self, state: ServingState, index: str, request: SearchRequest, as_of: int | datetime
    ) -> SearchOutcome:
        past = await asyncio.to_thread(self._commands.as_of, index, as_of, "as_of")
        # A time also says which rules were in force then; a sequence does not.
        rules_at = as_of if isinstance(as_of, datetime) else None
        return await self._rehearser.search(past, state, index, request, rules_at=rules_at)

    async def _search_or_last_known(self, state: ServingState, index: str, request: SearchRequest) -> SearchOutcome:
        """Search; if that is not possible now, return the last known answer. Raises Unavailable if none is known."""
        control = state.control.index(index)
        try:
            outcome = await self._execution.run(self._job(state, index, request))
        except Unavailable:
            now = datetime.now(UTC)
            last = self._last_known.find(control, request, query_id=new_query_id(now), now=now)
            if last is None:
                raise
            return last
        self._last_known.keep(control, request, outcome)
        return outcome

    def _job(self, state: ServingState, index: str, request: SearchRequest) -> SearchJob:
        """Return the search with its chances drawn: which weights of a trial rank it, and whether it explores."""
        now, received_at = datetime.now(UTC), time.perf_counter()
        ranking_id, control = new_query_id(now), state.control.index(index)
        trial, learning, token = control.trial, control.learning, request.user_token
        drawn = None
        if trial is not None and request.is_shown:
            unit = self._ranking_log.keyring.user(token, now).keyed_hash(trial.id) if token else ranking_id
            drawn = draw_weights(trial, unit, request.query)
        may_explore = learning.mode == "automatic" and not request.offset and request.is_shown
        return SearchJob(
            state=state,
            index=index,
            request=request,
            query_id=ranking_id,
            received_at=received_at,
            now=now,
            rules_at=now,
            draw=drawn,
            explores=may_explore and is_exploring(state.exploration_share(index, learning.exploration), ranking_id),
        )
