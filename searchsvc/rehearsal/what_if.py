"""What a draft would do to the searches that shoppers made, before anybody sees it.

    the newest rankings of the log, with their clicks  ->  the most frequent searches of them
    each searched as it is now, and as it would be     ->  how much of the first page stays, who wins, who loses
    the clicks, weighed by what was left to chance     ->  how many more or fewer there would be, or why nobody can say

It takes a while, and goes on beside searches, one at a time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, Literal

import msgspec

from events.codec import decode_behavior
from events.control import ControlState
from events.errors import InvalidInput, NotFound, SearchsvcError, Unavailable, require
from events.log import EventLog, first_stored_since
from events.types import InteractionRecorded, RankingShown
from searchsvc.behavior.keyring import Keyring, User, open_ranking
from searchsvc.changes.draft import Draft
from searchsvc.changes.draft_edits import with_draft
from searchsvc.changes.drafts import Drafts
from searchsvc.rehearsal.preview import Asking, overlap, top_changed
from searchsvc.runtime.tasks import end
from searchsvc.search.last_known import LAST_KNOWN
from searchsvc.search.request import SearchRequest
from searchsvc.state.serving import Serving
from tuning.clicks.offpolicy import DEPTH, Estimate, LoggedRanking, NoEstimate, estimate_change, exposure
from tuning.metrics import ndcg

MAX_DAYS: Final = 90
MAX_QUERIES: Final = 1000
MAX_JUDGED: Final = 1000
MAX_GRADE: Final = 10
# The newest ones; a message holds up to three hundred events.
MAX_MESSAGES: Final = 5000
MAX_RANKINGS: Final = 100_000
MAX_KEPT: Final = 100
ATTEMPTS: Final = 3
# A query that is tied to users is shown where so many made it, as a suggestion would be.
MIN_USERS: Final = 3
N_LISTED: Final = 10
KINDS: Final = {"click": "clicks", "add_to_cart": "carts", "purchase": "purchases"}

_States = tuple[ControlState, ControlState]
log = logging.getLogger(__name__)


class WhatIfInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """days: how far back to look. max_queries: so many of the most frequent searches are made again. judgments: by
    query, grades of documents by id, from 0."""

    days: float = 7.0
    max_queries: int = 200
    judgments: dict[str, dict[str, int]] = {}

    def check(self) -> None:
        """Raise InvalidInput naming the first member out of its limits."""
        require(0 < self.days <= MAX_DAYS, "days", self.days, f"above 0, at most {MAX_DAYS}")
        require(0 <= self.max_queries <= MAX_QUERIES, "max_queries", self.max_queries, f"0 to {MAX_QUERIES}")
        n = len(self.judgments)
        require(n <= MAX_JUDGED, "judgments", n, f"at most {MAX_JUDGED} queries")
        for query, grades in self.judgments.items():
            for name, grade in grades.items():
                field = f"judgments.{query[:80]}.{name[:80]}"
                require(0 <= grade <= MAX_GRADE, field, grade, f"0 to {MAX_GRADE}")


class DocumentMoved(msgspec.Struct, frozen=True):
    """A document over all searches. exposure_change: what it wins or loses of a look a search, where the first rank
    gets one."""

    id: str
    exposure_change: float
    n_searches: int


class QueryChanged(msgspec.Struct, frozen=True):
    """n: how often it was made. overlap: the share of the first ten that stays. before, after: the first ids."""

    query: str
    request: dict[str, Any]
    n: int
    overlap: float
    top_changed: bool
    before: list[str]
    after: list[str]


class QueryNdcg(msgspec.Struct, frozen=True):
    """nDCG@10."""

    query: str
    before: float
    after: float


class NdcgChange(msgspec.Struct, frozen=True):
    """Mean nDCG@10 over n queries, and those that win and lose most."""

    n: int
    before: float
    after: float
    winners: list[QueryNdcg]
    losers: list[QueryNdcg]


class WhatIfReport(msgspec.Struct, frozen=True):
    """since, until: of the rankings that were read. n_rankings: first pages of finished searches. n_sealed: of them,
    whose query nobody can read any more. n_queries: different searches that were made again, which stand for the
    share `covered` of all that can be read. overlap, top_changed: of the first ten, and whether the first three are
    others or in another order; means over searches as often as they were made. expected: by kind of interaction, of a
    search, with a 95 % interval; or why nobody can say."""

    since: datetime | None
    until: datetime | None
    n_rankings: int
    n_sealed: int
    n_queries: int
    coverage: float
    overlap: float
    top_changed: float
    winners: list[DocumentMoved]
    losers: list[DocumentMoved]
    most_changed: list[QueryChanged]
    expected: dict[str, Estimate | NoEstimate]
    ndcg: NdcgChange | None


class WhatIfStatus(msgspec.Struct):
    """How far it is. version: of the draft, as in its status. n_done: of n_queries searches. error: why it failed."""

    index: str
    draft: str
    version: int
    phase: Literal["waiting", "reading", "searching", "done", "failed"]
    started_at: datetime
    n_done: int = 0
    n_queries: int = 0
    seconds: float = 0.0
    report: WhatIfReport | None = None
    error: str = ""


class _Search(msgspec.Struct, frozen=True):
    """A search that was made, to be made again. asked: see `RankingShown`."""

    query: str
    asked: str

    def request(self) -> SearchRequest:
        return msgspec.structs.replace(SearchRequest.from_log(self.query, self.asked), offset=0, limit=DEPTH)


class _Logged(msgspec.Struct, frozen=True):
    """search: None where its query is sealed for good."""

    shown: RankingShown
    search: _Search | None


class _Pages(msgspec.Struct, frozen=True):
    """Ids of the first ten, as it is and as it would be."""

    before: list[str]
    after: list[str]

    @property
    def overlap(self) -> float:
        return overlap(self.before, self.after)

    @property
    def top_changed(self) -> bool:
        return top_changed(self.before, self.after)


class WhatIfs:
    """One at a time; the last one of each draft is kept, up to `MAX_KEPT`. asking: searches by two states."""

    def __init__(self, event_log: EventLog, serving: Serving, drafts: Drafts, keyring: Keyring, asking: Asking) -> None:
        self._log = event_log
        self._serving = serving
        self._drafts = drafts
        self._turn = asyncio.Semaphore(1)
        self._keyring = keyring
        self._asking = asking
        self._statuses: dict[tuple[str, str], WhatIfStatus] = {}
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def begin(self, index: str, draft: str, given: WhatIfInput) -> WhatIfStatus:
        """Start one, or say how far the one under way is. Raises NotFound and InvalidInput."""
        given.check()
        found = await self._drafts.get(index, draft)
        key, task = (index, draft), self._tasks.get((index, draft))
        if task is not None and not task.done():
            return self._statuses[key]
        status = WhatIfStatus(index, draft, found.version, "waiting", datetime.now(UTC))
        done = [name for name, one in self._statuses.items() if one.phase in ("done", "failed") and name != key]
        for name in done[: max(len(self._statuses) - MAX_KEPT, 0)]:
            del self._statuses[name], self._tasks[name]
        self._statuses[key] = status
        self._tasks[key] = asyncio.create_task(self._run(found, given, status), name=f"what if {draft} of {index}")
        return status

    def status(self, index: str, draft: str) -> WhatIfStatus:
        """Raises NotFound where none was begun."""
        found = self._statuses.get((index, draft))
        if found is None:
            message = f"nobody asked what draft {draft[:80]!r} of {index} would do; POST to this address does"
            raise NotFound(message, field="draft", value=draft)
        return found

    async def close(self) -> None:
        await end(self._tasks.values())

    async def _run(self, draft: Draft, given: WhatIfInput, status: WhatIfStatus) -> None:
        began = time.monotonic()
        try:
            async with self._turn:
                status.report = await self._report(draft, given, status)
            status.phase = "done"
        except SearchsvcError as error:
            status.phase, status.error = "failed", str(error)
        except Exception as error:
            # What an engine can raise is open-ended.
            log.exception("what draft %s of %s would do could not be worked out", draft.id, draft.index)
            status.phase, status.error = "failed", repr(error)
        finally:
            status.seconds = round(time.monotonic() - began, 3)

    async def _report(self, draft: Draft, given: WhatIfInput, status: WhatIfStatus) -> WhatIfReport:
        status.phase = "reading"
        # By these two, whatever is published meanwhile: what differs is the draft.
        base = self._serving.current.control
        states = base, with_draft(base, draft)
        logged, acted = await self._read(draft.index, timedelta(days=given.days))
        counts = Counter(one.search for one in logged if one.search is not None)
        chosen = counts.most_common(given.max_queries)
        status.phase, status.n_queries = "searching", len(chosen) + len(given.judgments)
        pages: dict[_Search, _Pages] = {}
        for search, _ in chosen:
            found = await self._pages(draft.index, states, search)
            if found is not None:
                pages[search] = found
            status.n_done += 1
        judged = await self._judged(draft.index, states, given.judgments, status) if given.judgments else None
        return await asyncio.to_thread(_summed_up, logged, acted, counts, pages, judged)

    async def _read(self, index: str, back: timedelta) -> tuple[list[_Logged], Mapping[str, Mapping[str, set[str]]]]:
        """The newest rankings, and by ranking and kind the documents that were acted on."""
        position = await self._log.position("BEHAVIOR")
        first = await first_stored_since(self._log, "BEHAVIOR", datetime.now(UTC) - back, position)
        first = max(first, position.last_seq - MAX_MESSAGES + 1)
        shown: dict[str, RankingShown] = {}
        acted: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        async for record in self._log.read("BEHAVIOR", after=first - 1):
            for event in (await asyncio.to_thread(decode_behavior, record.data)).events:
                if event.index != index:
                    continue
                if isinstance(event, InteractionRecorded):
                    # A ranking stands before what was done on it.
                    if event.query_id in shown and event.kind in KINDS:
                        acted[event.query_id][event.kind].add(event.document_id)
                elif event.first_rank == 1 and not event.typing and LAST_KNOWN not in event.degraded:
                    shown[event.id] = msgspec.structs.replace(
                        event, features=(), scores=(), rule_factors=(), pinned_ids=()
                    )
                    if len(shown) > MAX_RANKINGS:
                        oldest = next(iter(shown))
                        del shown[oldest]
                        acted.pop(oldest, None)
        return await asyncio.to_thread(self._opened, list(shown.values())), acted

    def _opened(self, rankings: Sequence[RankingShown]) -> list[_Logged]:
        users: dict[str, User | None] = {}
        found = []
        for shown in rankings:
            if shown.sealed_query and shown.user not in users:
                users[shown.user] = self._keyring.by_pseudonym(shown.user)
            clear = open_ranking(shown, users.get(shown.user))
            search = _Search(clear.query, _without_page(clear.request)) if clear is not None else None
            found.append(_Logged(shown, search))
        return found

    async def _pages(self, index: str, states: _States, search: _Search) -> _Pages | None:
        """None where it cannot be made any more: a member that it names is gone, for instance; or where, again and
        again, one of both lacked something, so that they cannot be compared. Raises Unavailable where none can."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                before, after = await self._asking(index, *states, search.request())
            except InvalidInput:
                return None
            except Unavailable:
                if attempt == ATTEMPTS:
                    raise
                await asyncio.sleep(attempt)
                continue
            if before.degraded == after.degraded:
                return _Pages([hit.id for hit in before.hits], [hit.id for hit in after.hits])
        return None

    async def _judged(
        self, index: str, states: _States, judgments: Mapping[str, Mapping[str, int]], status: WhatIfStatus
    ) -> NdcgChange:
        found = []
        for query, grades in judgments.items():
            pages = await self._pages(index, states, _Search(query, ""))
            if pages is not None:
                found.append(QueryNdcg(query, ndcg(pages.before, grades), ndcg(pages.after, grades)))
            status.n_done += 1
        moved = sorted(found, key=lambda one: one.before - one.after)
        n = max(len(found), 1)
        return NdcgChange(
            len(found),
            sum(one.before for one in found) / n,
            sum(one.after for one in found) / n,
            [one for one in moved[:N_LISTED] if one.after > one.before],
            [one for one in reversed(moved[-N_LISTED:]) if one.after < one.before],
        )


@lru_cache(maxsize=1000)
def _without_page(asked: str) -> str:
    """Who asks for more hits asks for the same."""
    given: dict[str, Any] = msgspec.json.decode(asked) if asked else {}
    kept = {name: value for name, value in given.items() if name not in ("limit", "offset")}
    return msgspec.json.encode(kept).decode() if kept else ""


def _summed_up(
    logged: Sequence[_Logged],
    acted: Mapping[str, Mapping[str, Collection[str]]],
    counts: Counter[_Search],
    pages: Mapping[_Search, _Pages],
    judged: NdcgChange | None,
) -> WhatIfReport:
    n = sum(counts[search] for search in pages)
    public = _public(logged)
    looks: dict[str, float] = defaultdict(float)
    n_moved: Counter[str] = Counter()
    changed = []
    for search, page in pages.items():
        here: dict[str, float] = defaultdict(float)
        for ids, sign in ((page.before, -1.0), (page.after, 1.0)):
            for rank, name in enumerate(ids, start=1):
                here[name] += sign * exposure(rank)
        for name, gained in here.items():
            if gained:
                looks[name] += gained * counts[search] / n
                n_moved[name] += counts[search]
        if page.before != page.after and search in public:
            asked = msgspec.json.decode(search.asked) if search.asked else {}
            row = QueryChanged(
                search.query, asked, counts[search], page.overlap, page.top_changed, page.before, page.after
            )
            changed.append(row)
    changed.sort(key=lambda one: -one.n * (1.0 - one.overlap + one.top_changed))
    moved = sorted((DocumentMoved(name, gained, n_moved[name]) for name, gained in looks.items()), key=_by_looks)
    times = [one.shown.timestamp for one in logged]
    return WhatIfReport(
        since=min(times, default=None),
        until=max(times, default=None),
        n_rankings=len(logged),
        n_sealed=sum(one.search is None for one in logged),
        n_queries=len(pages),
        coverage=n / counts.total() if counts else 0.0,
        overlap=sum(counts[search] * page.overlap for search, page in pages.items()) / n if n else 1.0,
        top_changed=sum(counts[search] * page.top_changed for search, page in pages.items()) / n if n else 0.0,
        winners=[one for one in reversed(moved[-N_LISTED:]) if one.exposure_change > 0],
        losers=[one for one in moved[:N_LISTED] if one.exposure_change < 0],
        most_changed=changed[:N_LISTED],
        expected={said: estimate_change(_trials(logged, acted, kind, pages)) for kind, said in KINDS.items()},
        ndcg=judged,
    )


def _public(logged: Sequence[_Logged]) -> set[_Search]:
    """Searches that nobody can be known by: made by somebody without a name, or by several."""
    users: dict[_Search, set[str]] = defaultdict(set)
    for one in logged:
        if one.search is not None:
            users[one.search].add(one.shown.user)
    return {search for search, names in users.items() if "" in names or len(names) >= MIN_USERS}


def _trials(
    logged: Sequence[_Logged],
    acted: Mapping[str, Mapping[str, Collection[str]]],
    kind: str,
    pages: Mapping[_Search, _Pages],
) -> Iterator[LoggedRanking]:
    for one in logged:
        page = pages.get(one.search) if one.search is not None else None
        if page is not None:
            shown, done = one.shown, acted.get(one.shown.id, {}).get(kind, ())
            yield LoggedRanking(shown.document_ids, shown.exploration, done, shown.user, page.before, page.after)


def _by_looks(one: DocumentMoved) -> tuple[float, str]:
    return one.exposure_change, one.id
