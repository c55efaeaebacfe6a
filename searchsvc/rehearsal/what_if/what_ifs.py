"""What-ifs as the API offers them: in the background, one at a time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from events.control import ControlState
from events.errors import NotFound, SearchsvcError
from events.log import EventLog
from events.tasks import end
from searchsvc.behavior.keyring import Keyring
from searchsvc.changes.draft import Draft
from searchsvc.changes.draft_edits import with_draft
from searchsvc.changes.drafts import Drafts
from searchsvc.rehearsal.rehearser import CompareSearches
from searchsvc.rehearsal.what_if.logged_searches import LoggedSearchReader
from searchsvc.rehearsal.what_if.repeated_pages import repeat
from searchsvc.rehearsal.what_if.report import NdcgChange, QueryNdcg, WhatIfInput, WhatIfReport, WhatIfStatus
from searchsvc.rehearsal.what_if.searches import FirstPages, RepeatableSearch
from searchsvc.rehearsal.what_if.summary import ndcg_change, summarize
from searchsvc.runtime.clock import Clock, utc_now
from searchsvc.state.serving import Serving
from tuning.metrics import ndcg

# Statuses that are kept: the last of each draft.
MAX_STATUSES: Final = 100

# Index and id of a draft.
_Key = tuple[str, str]

log = logging.getLogger(__name__)


class WhatIfs:
    """Starts what-ifs and keeps the last one of each draft.

    serving: the state without the draft
    keyring: opens sealed queries
    compare: searches by two states of CONTROL
    clock: the current time
    """

    def __init__(
        self,
        event_log: EventLog,
        serving: Serving,
        drafts: Drafts,
        keyring: Keyring,
        compare: CompareSearches,
        clock: Clock = utc_now,
    ) -> None:
        self._reader = LoggedSearchReader(event_log, keyring, clock)
        self._serving = serving
        self._drafts = drafts
        self._compare = compare
        self._clock = clock
        self._turn = asyncio.Semaphore(1)
        self._statuses: dict[_Key, WhatIfStatus] = {}
        self._tasks: dict[_Key, asyncio.Task[None]] = {}

    async def begin(self, index: str, draft_id: str, options: WhatIfInput) -> WhatIfStatus:
        """Start a what-if, or return the status of the one that runs. Raises NotFound and InvalidInput."""
        options.check()
        draft = await self._drafts.get(index, draft_id)
        key = index, draft_id
        task = self._tasks.get(key)
        if task is not None and not task.done():
            return self._statuses[key]
        self._drop_oldest(key)
        status = WhatIfStatus(index, draft_id, draft.version, "waiting", self._clock())
        self._statuses[key] = status
        self._tasks[key] = asyncio.create_task(self._run(draft, options, status), name=f"what-if {draft_id} of {index}")
        return status

    def status(self, index: str, draft_id: str) -> WhatIfStatus:
        """Return the status of the last what-if of a draft. Raises NotFound if none was started."""
        status = self._statuses.get((index, draft_id))
        if status is None:
            message = f"no what-if of draft {draft_id[:80]!r} of {index} was started; POST to this address starts one"
            raise NotFound(message, field="draft", value=draft_id)
        return status

    async def close(self) -> None:
        """Cancel what is running."""
        await end(self._tasks.values())

    def _drop_oldest(self, starting: _Key) -> None:
        """Make room for a status; those of what-ifs that run stay."""
        finished = [
            key for key, status in self._statuses.items() if status.phase in ("done", "failed") and key != starting
        ]
        for key in finished[: max(len(self._statuses) - MAX_STATUSES, 0)]:
            del self._statuses[key], self._tasks[key]

    async def _run(self, draft: Draft, options: WhatIfInput, status: WhatIfStatus) -> None:
        started = time.monotonic()
        try:
            async with self._turn:
                status.report = await self._report(draft, options, status)
            status.phase = "done"
        except SearchsvcError as error:
            status.phase, status.error = "failed", str(error)
        except Exception as error:
            # An engine may raise anything.
            log.exception("the what-if of draft %s of %s failed", draft.id, draft.index)
            status.phase, status.error = "failed", repr(error)
        finally:
            status.seconds = round(time.monotonic() - started, 3)

    async def _report(self, draft: Draft, options: WhatIfInput, status: WhatIfStatus) -> WhatIfReport:
        status.phase = "reading"
        # Both states stay the same even if something is published meanwhile: they differ by the draft alone.
        before = self._serving.current.control
        after = with_draft(before, draft)
        logged, acted_on = await self._reader.read(draft.index, timedelta(days=options.days))
        counts = Counter(entry.search for entry in logged if entry.search is not None)
        chosen = counts.most_common(options.max_queries)
        status.phase, status.n_queries = "searching", len(chosen) + len(options.judgments)
        pages: dict[RepeatableSearch, FirstPages] = {}
        for search, _ in chosen:
            repeated = await repeat(self._compare, draft.index, before, after, search)
            if repeated is not None:
                pages[search] = repeated
            status.n_done += 1
        judged = await self._judge(before, after, options.judgments, status) if options.judgments else None
        return await asyncio.to_thread(summarize, logged, acted_on, counts, pages, judged)

    async def _judge(
        self,
        before: ControlState,
        after: ControlState,
        judgments: Mapping[str, Mapping[str, int]],
        status: WhatIfStatus,
    ) -> NdcgChange:
        judged = []
        for query, grades in judgments.items():
            pages = await repeat(self._compare, status.index, before, after, RepeatableSearch(query, ""))
            if pages is not None:
                judged.append(QueryNdcg(query, ndcg(pages.before, grades), ndcg(pages.after, grades)))
            status.n_done += 1
        return ndcg_change(judged)
