"""From CATALOG to what searches see: one indexer an index, following its documents.

open the newest good snapshot, or start empty  ->  read what the log has past it  ->  show it
then follow: batch what is there, encode, write, commit, show; save a snapshot when it is quiet
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, TypeVar

import msgspec

from events.codec import decode_catalog
from events.control import IndexControl
from events.errors import LaterVersion, Unavailable
from events.log import EventLog, Record
from events.streams import catalog_filter
from events.types import DocumentDeleted, DocumentUpserted
from searchsvc import memory
from searchsvc.analysis import embedding_text
from searchsvc.arrays import FloatArray
from searchsvc.embedding.cache import VectorCache, half_precision
from searchsvc.embedding.embedder import Embedder
from searchsvc.engine import Delete, Engine, Indexes, IndexStorage, Upsert
from searchsvc.serving import Serving
from searchsvc.tasks import end

BATCH: Final = 256
QUIET_S: Final = 2.0
RETRY_S: Final = 1.0
# A document that comes meanwhile waits for so long.
SETTLE_PATIENCE_S: Final = 0.5
# Unsaved documents are replayed from the log at the next start: this bounds how many.
SAVE_AFTER: Final = 1000

T = TypeVar("T")
log = logging.getLogger(__name__)


class DocumentEncoder:
    """Vectors for documents: from the cache where the text is known, else from the model. For the indexing thread."""

    def __init__(self, embedder: Embedder, cache: VectorCache) -> None:
        self._embedder = embedder
        self._cache = cache
        self.dimension = embedder.dimension
        self.digest = embedder.digest

    def encode(self, texts: Sequence[str]) -> list[FloatArray]:
        distinct = list(dict.fromkeys(texts))
        known = self._cache.get(distinct)
        missing = [text for text in distinct if text not in known]
        if missing:
            vectors = self._embedder.encode_documents(missing)
            self._cache.put(missing, vectors)
            # As the cache will give them: an index that is built again is the same to the last bit.
            known.update(zip(missing, half_precision(vectors), strict=True))
        return [known[text] for text in texts]


class Indexer:
    """Keeps one index in step with CATALOG. `run` goes on until it is cancelled."""

    def __init__(
        self,
        control: IndexControl,
        storage: IndexStorage,
        event_log: EventLog,
        serving: Serving,
        encoder: DocumentEncoder | None,
        thread: ThreadPoolExecutor,
    ) -> None:
        self.control = control
        self._storage = storage
        self._log = event_log
        self._serving = serving
        self._encoder = encoder
        self._thread = thread
        self._engine: Engine | None = None
        self._n_unsaved = 0

    async def run(self) -> None:
        subject = catalog_filter(self.control.name, self.control.created_seq)
        self._engine = await self._on_thread(self._storage.open)
        saved = bool(self._engine.snapshot().catalog_seq)
        while True:
            try:
                await self._catch_up(subject)
                break
            except Unavailable:
                if not saved:
                    raise
                await self.show()  # what was whole once is better than nothing while the log is away
                await asyncio.sleep(RETRY_S)
        await self.show()
        queue: asyncio.Queue[Record] = asyncio.Queue(2 * BATCH)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._fill(queue, self._engine.snapshot().catalog_seq, subject))
            tasks.create_task(self._drain(queue))

    async def _catch_up(self, subject: str) -> None:
        after = self._engine.snapshot().catalog_seq if self._engine is not None else 0
        batch: list[Record] = []
        async for record in self._log.read("CATALOG", after=after, subject=subject):
            batch.append(record)
            if len(batch) == BATCH:
                await self._on_thread(partial(self._apply, batch))
                batch = []
        await self._on_thread(partial(self._apply, batch))

    async def close(self, *, save: bool = True) -> None:
        """Let go of the files, after `run` has ended; save what is unsaved first, unless a write may be half done."""
        if self._engine is not None:
            self._engine = None
            if save:
                await self._on_thread(self._save)

    async def _fill(self, queue: asyncio.Queue[Record], after: int, subject: str) -> None:
        async for record in self._log.follow("CATALOG", after=after, subject=subject):
            await queue.put(record)

    async def _drain(self, queue: asyncio.Queue[Record]) -> None:
        while True:
            try:
                async with asyncio.timeout(QUIET_S):
                    batch = [await queue.get()]
            except TimeoutError:
                engine = self._engine
                if engine is not None and (self._n_unsaved >= SAVE_AFTER or engine.settling):
                    settled = await self._on_thread(partial(engine.settle, SETTLE_PATIENCE_S))
                    await self.show()
                    if settled and self._n_unsaved >= SAVE_AFTER:
                        await self._on_thread(self._save)
                        await self._on_thread(memory.trim)
                continue
            while len(batch) < BATCH and not queue.empty():
                batch.append(queue.get_nowait())
            await self._on_thread(partial(self._apply, batch))
            await self.show()

    async def show(self) -> None:
        """Let searches have what was written so far."""
        if self._engine is not None:
            snapshot = self._engine.snapshot()
            await self._serving.set_snapshot(self.control.name, self.control.created_seq, snapshot)

    def _apply(self, batch: Sequence[Record]) -> None:
        engine = self._engine
        if engine is None or not batch:
            return
        changes, seq = list[Upsert | Delete](), 0
        try:
            for record in batch:
                change = _decoded(record)
                changes += [change] if change is not None else []
                seq = record.seq
        finally:
            # Up to an event of a later version everything counts.
            if seq:
                engine.apply(self._encoded(changes), seq)
                self._n_unsaved += len(changes)
                self._engine = self._storage.compacted(self._encoded) or engine

    def _encoded(self, changes: Sequence[Upsert | Delete]) -> Sequence[Upsert | Delete]:
        embedding = self.control.settings.embedding
        upserts = [change for change in changes if isinstance(change, Upsert)]
        if embedding is None or self._encoder is None or not upserts:
            return changes
        vectors = self._encoder.encode([embedding_text(upsert.members, embedding) for upsert in upserts])
        with_vector = {id(u): msgspec.structs.replace(u, vector=v) for u, v in zip(upserts, vectors, strict=True)}
        return [with_vector.get(id(change), change) for change in changes]

    def _save(self) -> None:
        if self._n_unsaved:
            self._storage.save()
            self._n_unsaved = 0

    async def _on_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


class Indexers:
    """One running indexer for every index that CONTROL has; started, replaced and ended as CONTROL changes."""

    def __init__(
        self, indexes: Indexes, event_log: EventLog, serving: Serving, encoder: DocumentEncoder | None
    ) -> None:
        self._indexes = indexes
        self._log = event_log
        self._serving = serving
        self._encoder = encoder
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="indexing")
        self._running: dict[str, tuple[Indexer, asyncio.Task[None]]] = {}
        self.failed: dict[str, str] = {}

    async def reconcile(self) -> None:
        """Bring the running indexers in line with the current CONTROL state."""
        wanted = self._serving.current.control.indexes
        for name, (indexer, _) in list(self._running.items()):
            now = wanted.get(name)
            if now is None or (now.created_seq, now.settings) != (
                indexer.control.created_seq,
                indexer.control.settings,
            ):
                await self._stop(name)
        for name, control in wanted.items():
            if name not in self._running:
                storage = self._indexes.storage(control)
                indexer = Indexer(control, storage, self._log, self._serving, self._encoder, self._thread)
                task = asyncio.create_task(self._supervise(indexer), name=f"indexer {name}")
                self._running[name] = (indexer, task)
        drop = partial(self._indexes.drop_others, list(wanted.values()))
        await asyncio.get_running_loop().run_in_executor(self._thread, drop)

    async def close(self) -> None:
        for name in list(self._running):
            await self._stop(name)
        self._thread.shutdown()

    async def _stop(self, name: str) -> None:
        indexer, task = self._running.pop(name)
        await end([task])
        await indexer.close()

    async def _supervise(self, indexer: Indexer) -> None:
        name, said = indexer.control.name, ""
        while True:
            try:
                await indexer.run()
            except* LaterVersion as group:
                self.failed[name] = str(group.exceptions[0])
                log.error("index %s goes no further: %s", name, group.exceptions[0])
                await indexer.show()
                await asyncio.Event().wait()
            except* Unavailable as group:
                self.failed[name] = reason = str(group.exceptions[0])
                if reason != said:
                    log.warning("index %s waits: %s", name, reason)
                said = reason
            except* Exception as group:
                # What an engine can raise is open-ended; the index is named as failed and serves what it had.
                self.failed[name] = str(group.exceptions[0])
                log.exception("index %s failed; it is opened again", name)
            # An engine that raised may hold half of a batch: it is built again from the last good snapshot and the log.
            await indexer.close(save=False)
            await asyncio.sleep(RETRY_S)
            self.failed.pop(name, None)


def _decoded(record: Record) -> Upsert | Delete | None:
    match decode_catalog(record.data):
        case DocumentUpserted(document=document):
            return Upsert.of(bytes(document), record.seq)
        case DocumentDeleted(id=document_id):
            return Delete(document_id, record.seq)
        case _:
            return None
