"""Rebuild an index from CATALOG beside the one that is searched, then replace that one.

read CATALOG, with pauses  ->  compare the answers of both to canary queries  ->  lock writes: read the rest, adopt the
new index, serve it

If any step fails, the index that is searched stays.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Final, Literal

import msgspec

from events.errors import LaterVersion, NotFound, SearchsvcError, Unavailable
from events.index_control import IndexControl
from events.tasks import finish_whole
from searchsvc.engines.protocol import Engine, EngineSnapshot, IndexStorage
from searchsvc.indexing.indexer import Indexer

# A search waits for at most one batch; after each batch there is a pause of the same length.
BATCH: Final = 64
PAUSE_SHARE: Final = 1.0
# With the same settings, an index finds other documents only where vectors are almost equally near.
MIN_OVERLAP: Final = 0.8

Trigger = Literal["request", "previous", "settings"]
Phase = Literal["reading", "comparing", "done", "failed"]
log = logging.getLogger(__name__)


class Canary(msgspec.Struct, frozen=True):
    """A query made on both indexes.

    before: ids of the first hits in the current index.
    after: ids of the first hits in the new index.
    """

    query: str
    before: list[str]
    after: list[str]

    @property
    def shared(self) -> float:
        """The share of the hits before that are still hits after; 1 if there were none."""
        return len({*self.before} & {*self.after}) / len(self.before) if self.before else 1.0

    @property
    def lost_all_hits(self) -> bool:
        """Whether the query found something before and finds nothing after."""
        return bool(self.before) and not self.after


class RebuildComparison(msgspec.Struct, frozen=True):
    """The current and the new index compared.

    documents_before: number of documents in the current index.
    documents_after: number of documents in the new index.
    n_canaries: queries made on both.
    overlap: mean share of the first hits that stayed, from 0 to 1.
    differing: the queries that kept the smallest share, smallest first.
    """

    documents_before: int
    documents_after: int
    n_canaries: int
    overlap: float
    differing: list[Canary]


class RebuildStatus(msgspec.Struct):
    """The progress of a rebuild.

    trigger: `request` by a person; `previous` by a person, back to the previous index; `settings` by changed settings.
    before: generation of the current index.
    after: generation of the new index; '' until it is open.
    n_read: documents in the new index so far.
    n_documents: documents in the current index, about what n_read will reach.
    seconds: from the start to the last change of phase.
    error: why it failed; '' if it did not.
    """

    index: str
    trigger: Trigger
    phase: Phase
    before: str
    after: str
    n_read: int
    n_documents: int
    started_at: datetime
    seconds: float = 0.0
    comparison: RebuildComparison | None = None
    error: str = ""


class RebuildRefused(SearchsvcError):
    """The new index differs too much from the current one, which stays."""


CompareSnapshots = Callable[[str, EngineSnapshot, EngineSnapshot], RebuildComparison]


class Rebuild:
    """One rebuild.

    control: the new index as CONTROL has it.
    storage: of the new index.
    compare: called with the index's name, its current and its new snapshot. Blocks.
    force: replace the index even if the comparison finds other hits.
    """

    def __init__(
        self,
        indexer: Indexer,
        control: IndexControl,
        storage: IndexStorage,
        compare: CompareSnapshots,
        *,
        trigger: Trigger,
        force: bool = False,
    ) -> None:
        self._indexer = indexer
        self._control = control
        self._storage = storage
        self._compare = compare
        self._force = force
        self._started_s = time.monotonic()
        self._n_opened = indexer.n_opened
        current = indexer.engine.snapshot() if indexer.engine is not None else None
        self.status = RebuildStatus(
            index=control.name,
            trigger=trigger,
            phase="reading",
            before=current.generation if current is not None else "",
            after="",
            n_read=0,
            n_documents=current.n_documents if current is not None else 0,
            started_at=datetime.now(UTC),
        )

    async def run(self) -> None:
        """Do all steps. Raises the error of the step that failed, after noting it in `status`."""
        status = self.status
        log.warning("index %s: rebuilding beside %s (%s)", status.index, status.before, status.trigger)
        engine: Engine | None = None
        try:
            engine = await self._open_new()
            await self._read_catalog(engine)
            await self._compare_with_current(engine)
            await self._swap(engine)
        except BaseException as error:
            if status.phase != "done":
                cancelled = isinstance(error, asyncio.CancelledError)
                status.error = "stopped before it was done" if cancelled else str(error) or type(error).__name__
                if engine is not None:
                    await self._indexer.run_on_thread(partial(self._storage.discard, engine))
                self._enter("failed")
                log.warning("index %s: rebuild failed, %s stays: %s", status.index, status.before, status.error)
            raise

    async def _open_new(self) -> Engine:
        """Open the engine to build, empty or from an earlier start, as the trigger says."""
        indexer, status, storage = self._indexer, self.status, self._storage
        self._n_opened = indexer.n_opened
        open_engine = {"request": storage.create, "previous": storage.open_previous, "settings": storage.open}
        engine: Engine = await indexer.run_on_thread(open_engine[status.trigger])
        if not await indexer.was_built_from_this_log(engine):
            if status.trigger == "previous":
                raise NotFound(f"{engine.snapshot().generation} was read from another log", field="previous")
            engine = await indexer.run_on_thread(storage.create)
            await indexer.was_built_from_this_log(engine)
        status.after = engine.snapshot().generation
        return engine

    async def _read_catalog(self, engine: Engine) -> None:
        """Read the documents that the log has now, with pauses for searches."""

        async def pause(batch_s: float) -> None:
            self.status.n_read = engine.snapshot().n_documents
            self._enter("reading")
            await asyncio.sleep(PAUSE_SHARE * batch_s)

        # An event of a later version stops the current index at the same place.
        with suppress(LaterVersion):
            await self._indexer.read_into(engine, batch=BATCH, after_each=pause)

    async def _compare_with_current(self, engine: Engine) -> None:
        """Compare both indexes. Raises RebuildRefused if they differ too much."""
        status = self.status
        self._enter("comparing")
        async with self._indexer.write_lock:
            # Both with the same documents: a change of one of them is no difference.
            current = self._current_engine()
            await self._catch_up(current, engine)
            before, after = current.snapshot(), engine.snapshot()
        status.comparison = await asyncio.to_thread(self._compare, status.index, before, after)
        self._require_alike(status.comparison)

    async def _swap(self, engine: Engine) -> None:
        """Read what was written meanwhile, and put the new index in place of the current one."""
        indexer, status = self._indexer, self.status
        async with indexer.write_lock:
            current = self._current_engine()
            await self._catch_up(current, engine)
            n_before, n_after = current.snapshot().n_documents, engine.snapshot().n_documents
            if status.comparison is not None:
                status.comparison = msgspec.structs.replace(
                    status.comparison, documents_before=n_before, documents_after=n_after
                )
            if current.snapshot().digest != engine.snapshot().digest:
                # The log is right, and only the new index was read from it just now.
                log.warning("index %s held other documents than the log: %d, now %d", status.index, n_before, n_after)
            # Adopting deletes the files of the current index, so a cancellation must not come in between.
            await finish_whole(self._take_over(engine))

    async def _catch_up(self, *engines: Engine) -> None:
        """Write to engines what CATALOG has now after what they hold, all the same. The caller holds `write_lock`."""
        end = await self._indexer.end_of_catalog()
        with suppress(LaterVersion):
            for engine in engines:
                await self._indexer.read_into(engine, through=end)

    async def _take_over(self, engine: Engine) -> None:
        await self._indexer.run_on_thread(lambda: self._storage.adopt(engine))
        self._indexer.replace_engine(self._control, self._storage, engine)
        await self._indexer.serve_snapshot()
        self._enter("done")
        status = self.status
        log.warning("index %s: now searched in %s, after %g s", status.index, status.after, status.seconds)

    def _enter(self, phase: Phase) -> None:
        """Set the phase, last: a reader that sees it also sees everything that belongs to it."""
        self.status.seconds = round(time.monotonic() - self._started_s, 3)
        self.status.phase = phase

    def _current_engine(self) -> Engine:
        """Return the engine that is searched. Raises Unavailable if it is not the one from the start of the rebuild."""
        engine = self._indexer.engine
        if engine is None or self._indexer.n_opened != self._n_opened:
            raise Unavailable(f"index {self.status.index} was opened again meanwhile")
        return engine

    def _require_alike(self, comparison: RebuildComparison) -> None:
        """Raise RebuildRefused if a query lost all hits or too many hits changed. Other settings may change them."""
        overlap = f"{comparison.overlap:.0%} of the first hits of {comparison.n_canaries} queries stayed"
        lost = next((canary.query for canary in comparison.differing if canary.lost_all_hits), None)
        if lost is not None:
            message = f"{lost!r} finds nothing any more; {overlap}"
        elif comparison.overlap < MIN_OVERLAP:
            message = overlap
        else:
            return
        if self._force or self.status.trigger == "settings":
            log.warning("index %s: %s", self.status.index, message)
            return
        raise RebuildRefused(f"{message}; use force to replace the index all the same")
