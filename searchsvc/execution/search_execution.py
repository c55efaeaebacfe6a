"""Where a search runs, and what happens if it is late.

    short, its vector cached        ->  on the event loop
    short, others in progress too   ->  encoded on a thread in a batch, the rest on the event loop
    any other                       ->  on a thread
    past the deadline               ->  again without the vector leg, on a reserved thread

Measured in docs/decisions/one-thread-a-search.md.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Final, TypeVar

import msgspec

from events.errors import Unavailable
from searchsvc.analysis.query_syntax import read_query
from searchsvc.execution.load import SearchLoad
from searchsvc.runtime.batches import Batches
from searchsvc.search.answer import SearchOutcome
from searchsvc.search.prepared_search import PreparedSearch
from searchsvc.search.request import SearchRequest
from searchsvc.search.searcher import Searcher
from searchsvc.search.trials import Draw
from searchsvc.state.serving_state import ServingState

# Writing out a longer page takes as long as finding it.
MAX_SHORT_WINDOW: Final = 100
# Characters of a query: more words take longer to correct and compare. A phrase may be looked for in every document.
MAX_SHORT_QUERY: Final = 80
# Marking words in a document takes as long as reading so many.
HIGHLIGHTED: Final = 32

T = TypeVar("T")

log = logging.getLogger(__name__)


class SearchJob(msgspec.Struct, frozen=True):
    """One search, all chance already drawn.

    state: the only serving state that it reads
    received_at: when the request came, as of `time.perf_counter`
    now: time of the search
    rules_at: time at which rules must be in force
    rehearsal: whether it is never shown or logged, and may use other rules than those in force
    draw: which weights a trial gives this search; None without a trial
    explores: whether neighbours may swap places
    """

    state: ServingState
    index: str
    request: SearchRequest
    query_id: str
    received_at: float
    now: datetime
    rules_at: datetime
    rehearsal: bool = False
    draw: Draw | None = None
    explores: bool = False

    @property
    def is_short(self) -> bool:
        """Whether everything except encoding takes a millisecond or two. Raises InvalidInput."""
        snapshot, request = self.state.snapshots.get(self.index), self.request
        is_simple = len(request.query) <= MAX_SHORT_QUERY and not read_query(request.query).has_signs
        plain = is_simple and not request.sort and not request.distinct and request.window <= MAX_SHORT_WINDOW
        if not plain or snapshot is None or not snapshot.is_fast or self.rehearsal:
            return False
        n_documents = request.limit * (HIGHLIGHTED if request.highlighting() is not None else 1)
        return snapshot.is_light(request.attributes(), n_documents)


class SearchThreads(msgspec.Struct, frozen=True):
    """The threads that search.

    searches: whole searches
    encodings: first parts of searches, several at a time
    late_searches: reserved for searches without the vector leg; None if the vector leg is not what is slow
    """

    searches: ThreadPoolExecutor
    encodings: Batches[PreparedSearch]
    late_searches: ThreadPoolExecutor | None


class SearchExecution:
    """Runs searches within a deadline.

    load: searches in progress; the caller counts its own before it runs it
    deadline_s: time after which a search is run again without the vector leg, or refused
    """

    def __init__(self, searcher: Searcher, threads: SearchThreads, load: SearchLoad, *, deadline_s: float) -> None:
        self._searcher = searcher
        self._threads = threads
        self._load = load
        self._deadline_s = deadline_s

    async def run(self, job: SearchJob) -> SearchOutcome:
        """Search, without the vector leg if it would be late.

        Raises NotFound, InvalidInput, and Unavailable while the index is being built or if the search is late and
        no thread is reserved.
        """
        # A search that has the machine to itself need not share Python's lock with the event loop: it stays on its
        # thread, and its encoder may use every core.
        alone = self._load.n_searching == 1
        if job.is_short and not self._searcher.needs_encoder(job.state, job.index, job.request):
            return await self._on_event_loop(job, alone=alone)
        if job.is_short and not alone:
            return await self._encoded_in_batch(job)
        return await self._on_thread(job, alone=alone)

    async def _on_event_loop(self, job: SearchJob, *, alone: bool) -> SearchOutcome:
        # Lets the other requests of this turn be counted first, so that too many are refused here too.
        await asyncio.sleep(0)
        return self._complete(job, self._prepare(job, alone=alone))

    async def _encoded_in_batch(self, job: SearchJob) -> SearchOutcome:
        prepared = await self._by_deadline(self._threads.encodings.call(lambda: self._prepare(job, alone=False)))
        return self._complete(job, prepared) if prepared is not None else await self._without_vectors(job)

    async def _on_thread(self, job: SearchJob, *, alone: bool) -> SearchOutcome:
        def search() -> SearchOutcome:
            return self._complete(job, self._prepare(job, alone=alone))

        loop = asyncio.get_running_loop()
        outcome = await self._by_deadline(loop.run_in_executor(self._threads.searches, search))
        return outcome if outcome is not None else await self._without_vectors(job)

    async def _by_deadline(self, work: asyncio.Future[T]) -> T | None:
        """Return the result, or None if it did not come in time."""
        done, _ = await asyncio.wait([work], timeout=self._deadline_s)
        if done:
            return work.result()
        # Drop the late result and its error; cancel work that has not begun.
        work.add_done_callback(lambda late: late.cancelled() or late.exception())
        work.cancel()
        return None

    async def _without_vectors(self, job: SearchJob) -> SearchOutcome:
        late_searches = self._threads.late_searches
        if late_searches is None:
            raise Unavailable(f"the search took longer than {self._deadline_s:g} s")

        def search() -> SearchOutcome:
            return self._complete(job, self._prepare(job, alone=False, vector_leg=False))

        return await asyncio.get_running_loop().run_in_executor(late_searches, search)

    def _prepare(self, job: SearchJob, *, alone: bool, vector_leg: bool = True) -> PreparedSearch:
        return self._searcher.prepare(
            job.state,
            job.index,
            job.request,
            now=job.rules_at,
            received_at=job.received_at,
            vector_leg=vector_leg,
            rehearsal=job.rehearsal,
            all_cores=alone,
        )

    def _complete(self, job: SearchJob, prepared: PreparedSearch) -> SearchOutcome:
        outcome = self._searcher.complete(
            prepared, query_id=job.query_id, now=job.now, draw=job.draw, explores=job.explores
        )
        if outcome.encoding_failure:
            log.warning("a query was answered without vectors: %s", outcome.encoding_failure)
        return outcome
