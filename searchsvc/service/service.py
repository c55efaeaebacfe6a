"""The service behind the API: each public method is one call of it, free of HTTP. `app` builds one."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Final

import msgspec

from events.codec import encode
from events.control import ControlState, IndexControl
from events.errors import InvalidInput, NotFound, StorageFull, TooLarge, Unavailable, require
from events.learning import Ignored
from events.log import MAX_BATCH, Entry, EventLog
from events.settings import IndexSettings, check_index_name
from events.streams import catalog_subject
from events.types import DocumentDeleted, DocumentUpserted, RankingShown
from searchsvc.behavior.admission import Allowance
from searchsvc.behavior.dead_letters import DeadLetters
from searchsvc.behavior.intake import MAX_BATCH as MAX_EVENTS
from searchsvc.behavior.intake import EventInput, check_interaction
from searchsvc.behavior.keyring import Keyring, seal_ranking
from searchsvc.behavior.redaction import redacted
from searchsvc.behavior.state import BehaviorState
from searchsvc.behavior.writer import BehaviorWriter
from searchsvc.changes.commands import Author, Changed, Commands
from searchsvc.changes.drafts import Drafts
from searchsvc.indexing.documents import AcceptedDocument, RefusedDocument, parse_documents, refusal
from searchsvc.indexing.inference import infer_settings
from searchsvc.rehearsal.preview import Preview, compared, of_all
from searchsvc.runtime.batches import Batches
from searchsvc.runtime.limits import MAX_QUERY_CHARS, MAX_TOKEN_CHARS
from searchsvc.search.answer import SearchAnswer, SearchOutcome, SearchRequest, moment
from searchsvc.search.exploration import explores
from searchsvc.search.last_known import LastKnown
from searchsvc.search.query_ids import query_id
from searchsvc.search.searcher import Begun, Searcher
from searchsvc.search.suggestions import Suggestion, combined
from searchsvc.search.trials import draw
from searchsvc.state.serving import Serving, ServingState

READ_YOUR_WRITE_TIMEOUT_S: Final = 5.0
QUIET_CHECK_S: Final = 0.02
QUIET_WITHIN_S: Final = 20.0
MAX_SUGGESTIONS: Final = 50
# A longer page takes as long to write as to find.
MAX_SHORT_WINDOW: Final = 100
# One atomic batch of the log is held in the server's memory until it commits.
MAX_BATCH_BYTES: Final = 4 * 1024 * 1024


class DocumentsWritten(msgspec.Struct, frozen=True):
    accepted: int
    refused: list[RefusedDocument]
    catalog_seq: int
    created: IndexSettings | None


class Service:
    """What the API calls.

    searches: the executor that answers. encodings: the same, for searches that it only begins. late_searches: a small
    one in reserve, for answers without the vector leg once `deadline_s` has passed; None where that is not what takes
    long. last_known: shown while nothing can be found. max_waiting: searches under way or queued before one more is
    refused.
    """

    def __init__(
        self,
        event_log: EventLog,
        serving: Serving,
        commands: Commands,
        drafts: Drafts,
        searcher: Searcher,
        searches: ThreadPoolExecutor,
        encodings: Batches[Begun],
        late_searches: ThreadPoolExecutor | None,
        writer: BehaviorWriter,
        memory: BehaviorState,
        keyring: Keyring,
        dead: DeadLetters,
        last_known: LastKnown,
        *,
        max_events_per_s: float,
        deadline_s: float,
        max_waiting: int,
    ) -> None:
        self.serving = serving
        self.commands = commands
        self.drafts = drafts
        self.writer = writer
        self.rankings = memory.rankings
        self._memory = memory
        self._allowance = Allowance(max_events_per_s)
        self._keyring = keyring
        self.dead = dead
        self._log = event_log
        self._searcher = searcher
        self._last_known = last_known
        self._searches = searches
        self._encodings = encodings
        self._late_searches = late_searches
        self._deadline_s = deadline_s
        self._max_waiting = max_waiting
        self._n_searching = 0

    async def search(self, index: str, request: SearchRequest) -> SearchOutcome:
        """Raises InvalidInput, NotFound, or Unavailable where the index is being built or too many searches wait."""
        request.check()
        if self._n_searching >= self._max_waiting:
            raise Unavailable(f"{self._n_searching} searches are under way", retry_after_s=1.0)
        state = self.serving.current
        if request.min_seq > state.control.seq or request.min_catalog_seq:
            state = await self._caught_up(index, request)
        self._n_searching += 1
        try:
            if request.as_of is not None:
                return await self._found_as_of(state, index, request, moment(request.as_of, "as_of"))
            if request.draft:
                drafted = await self.drafts.control_with(index, request.draft)
                return await self._rehearsed(drafted, state, index, request)
            outcome = await self._found_or_last_known(state, index, request)
        finally:
            self._n_searching -= 1
        shown = self._kept_private(outcome.shown, request.user_token)
        self.rankings.add(shown)
        self.writer.offer(shown)
        return outcome

    async def preview(self, index: str, draft: str, requests: Sequence[SearchRequest]) -> Preview:
        """What a draft would do to some searches. Raises NotFound, InvalidInput, Unavailable."""
        base = self.serving.current.control
        drafted = await self.drafts.control_with(index, draft)
        previews = []
        for request in requests:
            previews.append(compared(request.query, *await self.both(index, base, drafted, request)))
        return of_all(previews)

    async def both(
        self, index: str, base: ControlState, other: ControlState, request: SearchRequest
    ) -> tuple[SearchAnswer, SearchAnswer]:
        """A search by the rules and weights of two states, over the same documents. Shoppers go first: while many of
        their searches wait, it waits. Raises as `search` does."""
        request.check()
        deadline = time.monotonic() + QUIET_WITHIN_S
        while self._n_searching >= max(self._max_waiting // 2, 1):
            if time.monotonic() > deadline:
                raise Unavailable(f"{self._n_searching} searches are under way", retry_after_s=1.0)
            await asyncio.sleep(QUIET_CHECK_S)
        state = self.serving.current
        self._n_searching += 1
        try:
            before = await self._rehearsed(base, state, index, request)
            return before.answer, (await self._rehearsed(other, state, index, request)).answer
        finally:
            self._n_searching -= 1

    async def _found_as_of(
        self, state: ServingState, index: str, request: SearchRequest, at: int | datetime
    ) -> SearchOutcome:
        """What is found by the rules and weights of a moment. No shopper sees it: it is not logged."""
        past = await asyncio.to_thread(self.commands.as_of, index, at, "as_of")
        # Of a time, rules are in force that were then; a sequence says nothing of time.
        rules_at = at if isinstance(at, datetime) else None
        return await self._rehearsed(past, state, index, request, rules_at=rules_at)

    async def _rehearsed(
        self,
        control: ControlState,
        state: ServingState,
        index: str,
        request: SearchRequest,
        *,
        rules_at: datetime | None = None,
    ) -> SearchOutcome:
        """What would be found by rules and weights that are not those in force. rules_at: when they are to be in force,
        where that is not now."""
        rehearsed = msgspec.structs.replace(state, control=control)
        return await self._search_in_time(rehearsed, index, request, rules_at=rules_at, rehearsal=True)

    async def _found_or_last_known(self, state: ServingState, index: str, request: SearchRequest) -> SearchOutcome:
        """What is found; where that cannot be now, what was found last. Raises Unavailable where that is not known."""
        control = state.control.index(index)
        try:
            outcome = await self._search_in_time(state, index, request)
        except Unavailable:
            now = datetime.now(UTC)
            last = self._last_known.find(control, request, query_id=query_id(now), now=now)
            if last is None:
                raise
            return last
        self._last_known.keep(control, request, outcome)
        return outcome

    async def _search_in_time(
        self,
        state: ServingState,
        index: str,
        request: SearchRequest,
        *,
        rules_at: datetime | None = None,
        rehearsal: bool = False,
    ) -> SearchOutcome:
        """The whole search if it is done by the deadline; else the same one without the vector leg. Raises Unavailable
        where that would take no less."""
        loop, searcher = asyncio.get_running_loop(), self._searcher
        now, asked_at = datetime.now(UTC), time.perf_counter()
        begin = partial(
            searcher.begin,
            state,
            index,
            request,
            now=rules_at or now,
            asked_at=asked_at,
            rehearsal=rehearsal,
            alone=self._n_searching == 1,
        )
        name, control = query_id(now), state.control.index(index)
        trial, learning = control.trial, control.learning
        drawn = None
        if trial is not None and not rehearsal:
            token = request.user_token
            who = self._keyring.user(token, now).keyed_hash(trial.id) if token else name
            drawn = draw(trial, who, request.query)
        may_explore = learning.mode == "automatic" and not rehearsal and not request.offset
        finish = partial(
            searcher.finish,
            state,
            index,
            request,
            query_id=name,
            now=now,
            drawn=drawn,
            explores=may_explore and explores(state.exploration(index, learning.exploration), name),
        )
        # What is short is done on the event loop, all but the encoding, which needs no lock of Python's. A search that
        # is alone need not share the lock, and stays on its thread.
        short = _is_short(state, index, request) and not rehearsal
        if short and searcher.is_encoded(state, index, request):
            # First, whoever else has come is counted, so that too many are refused here, too.
            await asyncio.sleep(0)
            return finish(begin())
        begun: asyncio.Future[Begun] | asyncio.Future[SearchOutcome]
        if short and self._n_searching > 1:
            begun = self._encodings.call(begin)
        else:
            begun = loop.run_in_executor(self._searches, lambda: finish(begin()))
        done, _ = await asyncio.wait([begun], timeout=self._deadline_s)
        if done:
            result = begun.result()
            return finish(result) if isinstance(result, Begun) else result
        # Whatever becomes of the late one, its outcome is not this answer's; one that has not begun is dropped.
        begun.add_done_callback(lambda late: late.cancelled() or late.exception())
        begun.cancel()
        if self._late_searches is None:
            raise Unavailable(f"nothing was found within {self._deadline_s:g} s")
        without = partial(begin, vector_leg=False)
        return await loop.run_in_executor(self._late_searches, lambda: finish(without()))

    async def suggest(self, index: str, typed: str, limit: int) -> list[Suggestion]:
        """What somebody who typed this may want: queries others made, and titles. Raises InvalidInput, NotFound."""
        require(len(typed) <= MAX_QUERY_CHARS, "q", typed, f"at most {MAX_QUERY_CHARS} characters")
        require(1 <= limit <= MAX_SUGGESTIONS, "limit", limit, f"1 to {MAX_SUGGESTIONS}")
        if self._n_searching >= self._max_waiting:
            raise Unavailable(f"{self._n_searching} searches are under way", retry_after_s=1.0)
        state = self.serving.current
        state.control.index(index)
        self._n_searching += 1
        try:
            loop = asyncio.get_running_loop()
            suggesting = partial(self._suggestions, state, index, typed, limit)
            return await loop.run_in_executor(self._searches, suggesting)
        finally:
            self._n_searching -= 1

    def _suggestions(self, state: ServingState, index: str, typed: str, limit: int) -> list[Suggestion]:
        counts = self._memory.query_counts.matching(index, typed, limit)
        queries = [Suggestion(count.text, "query", count.count) for count in counts]
        return combined(queries, self._searcher.titles(state, index, typed, limit, now=datetime.now(UTC)), limit)

    def _kept_private(self, shown: RankingShown, token: str) -> RankingShown:
        """The ranking as the log may hold it: what was typed is redacted, and sealed where it is tied to a user."""
        clear = msgspec.structs.replace(shown, query=redacted(shown.query), request=redacted(shown.request))
        return seal_ranking(clear, self._keyring.user(token, shown.timestamp)) if token else clear

    async def erase_user(self, token: str) -> int:
        """Destroy what ties the log to a user; return how many keys there were."""
        require(0 < len(token) <= MAX_TOKEN_CHARS, "user_token", token, f"1 to {MAX_TOKEN_CHARS} characters")
        return await asyncio.to_thread(self._keyring.erase, token, datetime.now(UTC))

    async def forget_behavior(
        self, index: str, since: datetime, until: datetime, token: str, author: Author
    ) -> Changed:
        """Have an index learn nothing from what one user, or all, did in a time; what it learnt is learnt anew. Raises
        InvalidInput, and NotFound where the log knows no such user."""
        users = [""]
        if token:
            require(len(token) <= MAX_TOKEN_CHARS, "user_token", token, f"at most {MAX_TOKEN_CHARS} characters")
            users = await asyncio.to_thread(self._keyring.pseudonyms, token, datetime.now(UTC))
            if not users:
                raise NotFound("the log knows no such user, or their keys were destroyed", field="user_token")
        windows = tuple(Ignored(since, until, user, author.reason) for user in users)
        return await self.commands.set_learning(
            index, lambda now: msgspec.structs.replace(now, ignored=(*now.ignored, *windows)), author
        )

    async def write_documents(self, index: str, body: bytes, author: Author) -> DocumentsWritten:
        """Append every good line to the log; where the index does not exist, create it with inferred settings.

        Raises InvalidInput where no line is good and there is no index to refuse them for.
        """
        check_index_name(index)
        results = await asyncio.to_thread(_parsed, body)
        documents = [result for result in results if isinstance(result, AcceptedDocument)]
        control, created = self.serving.current.control.indexes.get(index), None
        if control is None:
            if not documents:
                raise _nothing_to_infer_from(index, results)
            created = await asyncio.to_thread(infer_settings, [document.members for document in documents])
            changed = await self.commands.configure_index(index, created, author)
            control = changed.index
            if control is None:
                raise Unavailable(f"index {index} was deleted while it was created")
        checked = [refusal(document, control.settings) for document in documents]
        unfit = [refused for refused in checked if refused is not None]
        lines = {refused.line for refused in unfit}
        good = [document for document in documents if document.line not in lines]
        refused = [result for result in results if isinstance(result, RefusedDocument)] + unfit
        entries = await asyncio.to_thread(_entries, control, good)
        seq = await self._append_documents(entries)
        return DocumentsWritten(len(good), sorted(refused, key=lambda one: one.line), seq, created)

    async def delete_document(self, index: str, document_id: str) -> int:
        """The CATALOG sequence of the deletion. Raises NotFound where the document is not served."""
        control, _ = await self._served(index, document_id)
        subject = catalog_subject(index, control.created_seq, document_id)
        event = DocumentDeleted(index=index, id=document_id)
        return await self._stored([Entry(subject, encode(event), uuid.uuid4().hex)])

    async def document(self, index: str, document_id: str) -> msgspec.Raw:
        """Raises NotFound where the document is not served."""
        _, document = await self._served(index, document_id)
        return document

    def require_allowance(self) -> None:
        """Raise Overloaded where too many events came lately; to be asked before their bytes are looked at."""
        self._allowance.require(time.monotonic())

    async def record_events(self, events: list[EventInput]) -> list[str]:
        """Store all or none; return their ids once they are on disk. Raises InvalidInput naming the position."""
        self._allowance.take(len(events))
        if not 1 <= len(events) <= MAX_EVENTS:
            limit = f"1 to {MAX_EVENTS} events"
            raise TooLarge(f"{len(events)} events; allowed: {limit}", field="events", value=len(events), limit=limit)
        now = datetime.now(UTC)
        pseudonym = partial(self._keyring.pseudonym, now=now)
        known: Mapping[str, IndexControl] = self.serving.current.control.indexes
        records = []
        for position, event in enumerate(events):
            try:
                if event.index not in known:
                    self.serving.current.control.index(event.index)
                records.append(
                    check_interaction(
                        event,
                        index=event.index,
                        now=now,
                        source="http",
                        default_id=uuid.uuid4().hex,
                        rankings=self.rankings,
                        pseudonym=pseudonym,
                    )
                )
            except InvalidInput as refused:
                field = f"events[{position}].{refused.field}"
                raise InvalidInput(
                    f"events[{position}]: {refused.message}; none of the {len(events)} was stored",
                    field=field,
                    value=refused.value,
                    limit=refused.limit,
                ) from refused
        await self.writer.append(records)
        return [record.id for record in records]

    async def _served(self, index: str, document_id: str) -> tuple[IndexControl, msgspec.Raw]:
        """The index, and the document as its snapshot has it. Raises NotFound."""
        state = self.serving.current
        control, reading = state.control.index(index), state.snapshot(index).reading()

        def found() -> msgspec.Raw | None:
            slot = reading.find(document_id)
            return reading.read([slot])[0] if slot is not None else None

        document = await asyncio.get_running_loop().run_in_executor(self._searches, found)
        if document is None:
            message = f"index {index} has no document {document_id[:80]!r}"
            raise NotFound(message, field="document_id", value=document_id)
        return control, document

    async def _append_documents(self, entries: list[Entry]) -> int:
        """The sequence of the last; 0 where there are none. Each batch is stored whole or not at all."""
        seq, batch, size = 0, list[Entry](), 0
        for entry in entries:
            if batch and (len(batch) == MAX_BATCH or size + len(entry.data) > MAX_BATCH_BYTES):
                seq = await self._stored(batch)
                batch, size = [], 0
            batch.append(entry)
            size += len(entry.data)
        return await self._stored(batch) if batch else seq

    async def _stored(self, batch: list[Entry]) -> int:
        try:
            return await self._log.append_batch("CATALOG", batch)
        except StorageFull:
            raise
        except Unavailable:
            # Perhaps stored: the same ids are stored once.
            return await self._log.append_batch("CATALOG", batch)

    async def _caught_up(self, index: str, request: SearchRequest) -> ServingState:
        """Wait until the writes that the caller wants to see are served."""

        def holds(state: ServingState) -> bool:
            snapshot = state.snapshots.get(index)
            applied = snapshot.catalog_seq if snapshot else 0
            return state.control.seq >= request.min_seq and applied >= request.min_catalog_seq

        waiting_for = f"min_seq {request.min_seq} and min_catalog_seq {request.min_catalog_seq}"
        return await self.serving.until(holds, READ_YOUR_WRITE_TIMEOUT_S, waiting_for)


def _is_short(state: ServingState, index: str, request: SearchRequest) -> bool:
    """Whether all but the encoding takes a millisecond or two."""
    snapshot = state.snapshots.get(index)
    plain = not request.sort and not request.distinct and request.window <= MAX_SHORT_WINDOW
    return plain and snapshot is not None and snapshot.is_fast


def _parsed(body: bytes) -> list[AcceptedDocument | RefusedDocument]:
    return list(parse_documents(body))


def _entries(control: IndexControl, documents: list[AcceptedDocument]) -> list[Entry]:
    def entry(document: AcceptedDocument) -> Entry:
        event = DocumentUpserted(index=control.name, id=document.id, document=msgspec.Raw(document.text))
        subject = catalog_subject(control.name, control.created_seq, document.id)
        return Entry(subject, encode(event), uuid.uuid4().hex)

    return [entry(document) for document in documents]


def _nothing_to_infer_from(index: str, results: list[AcceptedDocument | RefusedDocument]) -> InvalidInput:
    first = next((result for result in results if isinstance(result, RefusedDocument)), None)
    detail = f"line {first.line}: {first.reason}" if first else "the body is empty"
    return InvalidInput(
        f"there is no index {index!r} and no good document to infer its settings from ({detail})",
        field="documents",
        limit="NDJSON, one document a line",
    )
