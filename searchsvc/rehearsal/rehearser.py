"""Searches that are neither shown nor logged: by other rules and weights than those in force."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import msgspec

from events.control import ControlState
from searchsvc.execution.load import SearchLoad
from searchsvc.execution.search_execution import SearchExecution, SearchJob
from searchsvc.search.answer import SearchAnswer, SearchOutcome
from searchsvc.search.query_ids import new_query_id
from searchsvc.search.request import SearchRequest
from searchsvc.state.serving import Serving
from searchsvc.state.serving_state import ServingState

# `Rehearser.compare`: index, CONTROL before, CONTROL after, request -> the answer by each.
CompareSearches = Callable[
    [str, ControlState, ControlState, SearchRequest], Awaitable[tuple[SearchAnswer, SearchAnswer]]
]


class Rehearser:
    """Runs searches by a CONTROL state that may differ from the one in force, over the documents served now."""

    def __init__(self, execution: SearchExecution, load: SearchLoad, serving: Serving) -> None:
        self._execution = execution
        self._load = load
        self._serving = serving

    async def search(
        self,
        control: ControlState,
        state: ServingState,
        index: str,
        request: SearchRequest,
        *,
        rules_at: datetime | None = None,
    ) -> SearchOutcome:
        """Search by the rules and weights of `control`, and everything else of `state`.

        The caller counts the search in the load.

        rules_at: time at which rules must be in force; None for now

        Raises as `SearchExecution.run` does.
        """
        now = datetime.now(UTC)
        job = SearchJob(
            state=msgspec.structs.replace(state, control=control),
            index=index,
            request=request,
            query_id=new_query_id(now),
            received_at=time.perf_counter(),
            now=now,
            rules_at=rules_at or now,
            rehearsal=True,
        )
        return await self._execution.run(job)

    async def compare(
        self, index: str, before: ControlState, after: ControlState, request: SearchRequest
    ) -> tuple[SearchAnswer, SearchAnswer]:
        """Search twice, by two CONTROL states, over the same documents.

        Waits while many shoppers' searches are in progress.

        Raises as `SearchExecution.run` does, and Unavailable if it had to wait too long.
        """
        request.check()
        await self._load.wait_until_quiet()
        state = self._serving.current
        with self._load.counted():
            first = await self.search(before, state, index, request)
            second = await self.search(after, state, index, request)
        return first.answer, second.answer
