"""Keeps one index in step with CATALOG. `indexers` starts and ends the indexers.

open the newest good snapshot, or an empty index  ->  write what the log has after it  ->  serve it
then follow: take a batch, encode it, write it, serve it; save a snapshot while no documents come
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Final, TypeVar

from events.codec import decode_catalog
from events.errors import Unavailable
from events.index_control import IndexControl
from events.log import EventLog, Record
from events.settings import IndexSettings
from events.streams import catalog_filter
from events.tasks import run_together
from events.types import DocumentDeleted, DocumentUpserted
from searchsvc.engines.protocol import Delete, Engine, EngineSnapshot, IndexStorage, Upsert
from searchsvc.indexing.encoder import DocumentEncoder
from searchsvc.indexing.inbox import BATCH_DOCUMENTS, Batch, Inbox
from searchsvc.indexing.measurement_files import MeasurementFiles
from searchsvc.indexing.measuring import Measurer
from searchsvc.indexing.neighbour_cut import probe_texts
from searchsvc.runtime import malloc
from searchsvc.state.serving import Serving
from searchsvc.state.serving_state import Measurements

QUIET_S: Final = 2.0
RETRY_S: Final = 1.0
# How long maintenance may take, and so how long a new document may wait for it.
MAINTENANCE_TIMEOUT_S: Final = 0.5
# Unsaved documents are read from the log again at the next start; this limits how many.
SAVE_AFTER: Final = 1000
# Until storing is tried again after the disk did not take it.
STORE_RETRY_S: Final = 60.0

T = TypeVar("T")
log = logging.getLogger(__name__)


class Indexer:
    """Follows the documents of one index. `run` goes on until it is cancelled.

    control: the index as CONTROL has it.
    encoder: None if documents get no vectors.
    measurement_files: where its measurements are stored.
    engine: the engine that is searched; None before it is open.
    failure: why `run` does not go on; '' while it does.
    write_lock: held while the index is opened, and while documents are written and served. A rebuild takes it to
        replace the engine.
    is_on_thread: whether its thread works for it now.
    n_opened: how often the index was opened. Work begun before the last time may be based on an engine that is gone.
    """

    def __init__(
        self,
        control: IndexControl,
        storage: IndexStorage,
        event_log: EventLog,
        serving: Serving,
        encoder: DocumentEncoder | None,
        measurement_files: MeasurementFiles,
    ) -> None:
        self.control = control
        self.storage = storage
        self.engine: Engine | None = None
        self.failure = ""
        self.write_lock = asyncio.Lock()
        self.n_opened = 0
        self.is_on_thread = False
        self._log = event_log
        self._serving = serving
        self._encoder = encoder
        self._measurement_files = measurement_files
        # The engines of this index are written on it. Other indexes have others, and go on whatever this one does.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"indexing-{control.name}")
        self._n_unsaved = 0
        self._store_after = 0.0
        self._measurer: Measurer | None = None

    async def run(self) -> None:
        """Open the index and follow its documents.

        Raises Unavailable if the index must be opened again; LaterVersion before a document of a later version.
        """
        self.n_opened += 1
        # A rebuild replaces the engine either before it is opened here or after.
        async with self.write_lock:
            engine = await self._open()
        self.failure = ""
        inbox = Inbox()
        await run_together(self._read(inbox, engine.snapshot().catalog_seq), self._write_batches(inbox))

    async def close(self, *, save: bool = True) -> None:
        """Release the engine, after `run` has ended.

        save: save unsaved documents first. Not after an error, which may have left a batch half written.
        """
        engine, self.engine, self._store_after = self.engine, None, 0.0
        if engine is not None and save:
            await self.run_on_thread(partial(self._save, engine))

    def end_thread(self) -> None:
        """End the thread, after `close`."""
        self._thread.shutdown(wait=False)

    async def was_built_from_this_log(self, engine: Engine) -> bool:
        """See `Engine.was_built_from`. Raises Unavailable."""
        created = (await self._log.stream_state("CATALOG")).created
        return await self.run_on_thread(partial(engine.was_built_from, created))

    async def read_into(
        self,
        engine: Engine,
        *,
        through: int | None = None,
        batch: int = BATCH_DOCUMENTS,
        after_each: Callable[[float], Awaitable[None]] | None = None,
    ) -> None:
        """Write to an engine all documents that CATALOG has after what it holds.

        through: sequence of the last one to write; None for all that are there.
        batch: documents to write at a time, at most.
        after_each: awaited after each batch, with the seconds that the batch took.
        Raises Unavailable, and LaterVersion before a document of a later version.
        """

        async def write(records: Sequence[Record]) -> None:
            started = time.monotonic()
            await self.run_on_thread(partial(self._write, engine, records))
            if after_each is not None:
                await after_each(time.monotonic() - started)

        waiting = Batch(batch)
        async for record in self._log.read("CATALOG", after=engine.snapshot().catalog_seq, subject=self._subject):
            if through is not None and record.seq > through:
                break
            if waiting.is_full_with(record):
                await write(waiting.records)
                waiting = Batch(batch)
            waiting.add(record)
        await write(waiting.records)

    async def end_of_catalog(self) -> int:
        """Return the sequence of the newest document of any index. Raises Unavailable."""
        return (await self._log.stream_state("CATALOG")).last_seq

    def replace_engine(self, control: IndexControl, storage: IndexStorage, engine: Engine) -> None:
        """Go on with another engine, which `storage` has adopted. The caller holds `write_lock`."""
        self.control, self.storage, self.engine = control, storage, engine
        self._n_unsaved = 0

    async def serve_snapshot(self, *, is_quiet: bool = False) -> None:
        """Let searches use everything that is written so far. is_quiet: see `Measurer.update`"""
        if self.engine is not None:
            snapshot = self.engine.snapshot()
            measured = await self.run_on_thread(partial(self._measure, snapshot, is_quiet=is_quiet))
            await self._serving.set_snapshot(self.control.name, self.control.created_seq, snapshot, measured)

    async def run_on_thread(self, work: Callable[[], T]) -> T:
        """Run a function on the indexing thread."""

        def marked() -> T:
            self.is_on_thread = True
            try:
                return work()
            finally:
                self.is_on_thread = False

        return await asyncio.get_running_loop().run_in_executor(self._thread, marked)

    @property
    def _subject(self) -> str:
        return catalog_filter(self.control.name, self.control.created_seq)

    async def _open(self) -> Engine:
        """Open the stored index or an empty one, write all that the log has to it, and serve it."""
        engine = self.engine = await self.run_on_thread(self.storage.open)
        was_saved, is_new = bool(engine.snapshot().catalog_seq), False
        while True:
            try:
                if not await self.was_built_from_this_log(engine):
                    log.warning("%s was read from another log: rebuilding it", engine.snapshot().generation)
                    engine = self.engine = await self.run_on_thread(self.storage.create)
                    was_saved, is_new = False, True
                    continue
                await self.read_into(engine)
                break
            except Unavailable:
                if not (was_saved or is_new) or engine.is_lost:
                    raise
                if was_saved:
                    await self.serve_snapshot()  # an older state is better than nothing while the log is away
                await asyncio.sleep(RETRY_S)
        with self._storing():
            await self.run_on_thread(partial(self.storage.adopt, engine))
        await self.serve_snapshot()
        return engine

    async def _read(self, inbox: Inbox, after: int) -> None:
        async for record in self._log.follow("CATALOG", after=after, subject=self._subject):
            await inbox.put(record)

    async def _write_batches(self, inbox: Inbox) -> None:
        """Write and serve what the inbox holds; maintain the index while nothing comes."""
        while True:
            try:
                async with asyncio.timeout(QUIET_S):
                    batch = await inbox.take()
            except TimeoutError:
                async with self.write_lock:
                    await self._maintain()
                continue
            async with self.write_lock:
                await self._retry_while_away(partial(self._apply, batch))
                await self.serve_snapshot()

    async def _retry_while_away(self, work: Callable[[], T]) -> T:
        """Run a function on the indexing thread, again while the index's storage is unavailable.

        Raises Unavailable if the index is lost, so that it must be opened again.
        """
        while True:
            try:
                result = await self.run_on_thread(work)
                self.failure = ""
                return result
            except Unavailable as error:
                if self.engine is None or self.engine.is_lost:
                    raise
                if not self.failure:
                    log.warning("index %s waits: %s", self.control.name, error)
                self.failure = str(error)
                await asyncio.sleep(RETRY_S)

    async def _maintain(self) -> None:
        """Merge and save what is due. Raises Unavailable if the stored index is gone."""
        engine = self.engine
        if engine is None:
            return
        if engine.is_lost:
            raise Unavailable(f"the stored index {self.control.name} is gone; rebuilding it from the log")
        is_save_due = self._n_unsaved >= SAVE_AFTER and self._may_store
        if is_save_due or engine.needs_maintenance:
            done = await self._retry_while_away(partial(engine.maintain, MAINTENANCE_TIMEOUT_S))
            await self.serve_snapshot()
            if done and is_save_due:
                await self.run_on_thread(partial(self._save, engine))
                await self.run_on_thread(malloc.trim)
        if self._measurer is not None and self._measurer.is_behind(engine.snapshot()):
            await self.serve_snapshot(is_quiet=True)

    def _apply(self, batch: Sequence[Record]) -> None:
        engine = self.engine
        if engine is not None:
            self._write(engine, batch)
            if self._may_store:
                with self._storing():
                    compacted = self.storage.compact()
                    if compacted is not None:
                        self.engine, self._n_unsaved = compacted, 0

    def _write(self, engine: Engine, records: Sequence[Record]) -> None:
        """Write the records that an engine does not hold yet.

        Raises LaterVersion at a record of a later version, after writing those before it.
        """
        after = engine.snapshot().catalog_seq
        changes, seq = list[Upsert | Delete](), 0
        try:
            for record in records:
                if record.seq <= after:
                    continue
                change = _decode_change(record)
                changes += [change] if change is not None else []
                seq = record.seq
        finally:
            if seq:
                engine.apply(self._add_vectors(engine.settings, changes), seq)
                if engine is self.engine:
                    self._n_unsaved += len(changes)
                    if self._measurer is not None:
                        self._measurer.add_changes(len(changes))

    def _add_vectors(self, settings: IndexSettings, changes: Sequence[Upsert | Delete]) -> Sequence[Upsert | Delete]:
        if settings.embedding is None or self._encoder is None:
            return changes
        return self._encoder.add_vectors(changes, settings.embedding)

    def _measure(self, snapshot: EngineSnapshot, *, is_quiet: bool) -> Measurements:
        encoder = self._encoder if snapshot.settings.embedding is not None else None
        if self._measurer is None or self._measurer.has_vectors != (encoder is not None):
            self._measurer = Measurer(encoder.encode(probe_texts()) if encoder is not None else [])
            stored = self._measurement_files.read(self.control)
            if stored is not None:
                self._measurer.restore(stored, snapshot)
        before = self._measurer.value
        try:
            measured = self._measurer.update(snapshot, is_quiet=is_quiet)
        except Unavailable:
            return before  # measured again with the next snapshot
        if measured is not before:
            self._measurement_files.write(self.control, self._measurer.store(snapshot))
        return measured

    def _save(self, engine: Engine) -> None:
        if self._n_unsaved and self._may_store:
            with self._storing():
                self.storage.save()
                self._n_unsaved = 0
                if self._measurer is not None:
                    self._measurement_files.write(self.control, self._measurer.store(engine.snapshot()))

    @property
    def _may_store(self) -> bool:
        return time.monotonic() >= self._store_after

    @contextmanager
    def _storing(self) -> Iterator[None]:
        """Go on if the disk takes no more: the log has the documents. Storing is tried again `STORE_RETRY_S` later."""
        try:
            yield
        except OSError as error:
            self._store_after = time.monotonic() + STORE_RETRY_S
            log.warning("index %s cannot be stored; the next start reads it from the log: %s", self.control.name, error)


def _decode_change(record: Record) -> Upsert | Delete | None:
    """Return the change of a CATALOG record; None for an event that changes no document."""
    match decode_catalog(record.data):
        case DocumentUpserted(document=document):
            return Upsert.from_json(bytes(document), record.seq)
        case DocumentDeleted(id=document_id):
            return Delete(document_id, record.seq)
        case _:
            return None
