"""From CATALOG to what searches see: one indexer an index, following its documents. `indexers` starts and ends them.

open the newest good snapshot, or start empty  ->  read what the log has past it  ->  show it
then follow: batch what is there, encode, write, commit, show; save a snapshot when it is quiet
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, TypeVar

import msgspec

from events.codec import decode_catalog
from events.errors import Unavailable
from events.index_control import IndexControl
from events.log import EventLog, Record
from events.settings import IndexSettings
from events.streams import catalog_filter
from events.types import DocumentDeleted, DocumentUpserted
from searchsvc.analysis.document_text import embedding_text
from searchsvc.embedding.cache import VectorCache, half_precision
from searchsvc.embedding.embedder import Embedder
from searchsvc.engines.protocol import Delete, Engine, IndexStorage, Upsert
from searchsvc.runtime import malloc as memory
from searchsvc.state.serving import Serving
from tuning.arrays import FloatArray

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
    """Keeps one index in step with CATALOG. `run` goes on until it is cancelled.

    trouble: why it does not go on; '' while it does. writes: held while the index is opened, and while something is
    written and shown, so that nothing is by whoever takes it. n_opened: how often the index was opened; what was begun
    before the last time may stand on what is gone.
    """

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
        self.storage = storage
        self.writes = asyncio.Lock()
        self.n_opened = 0
        self.engine: Engine | None = None
        self.trouble = ""
        self._log = event_log
        self._serving = serving
        self._encoder = encoder
        self._thread = thread
        self._n_unsaved = 0

    async def run(self) -> None:
        self.n_opened += 1
        # An index that was built beside takes the place of this one before it is opened, or once it is.
        async with self.writes:
            engine = await self._open()
        self.trouble = ""
        queue: asyncio.Queue[Record] = asyncio.Queue(2 * BATCH)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._fill(queue, engine.snapshot().catalog_seq))
            tasks.create_task(self._drain(queue))

    async def _open(self) -> Engine:
        """The engine, with all that the log has, shown."""
        engine = self.engine = await self.on_thread(self.storage.open)
        saved, is_new = bool(engine.snapshot().catalog_seq), False
        while True:
            try:
                if not await self.is_of_this_log(engine):
                    log.warning("%s was read from another log: built anew", engine.snapshot().generation)
                    engine = self.engine = await self.on_thread(self.storage.create)
                    saved, is_new = False, True
                    continue
                await self.read_into(engine)
                break
            except Unavailable:
                if not (saved or is_new) or engine.is_lost:
                    raise
                if saved:
                    await self.show()  # what was whole once is better than nothing while the log is away
                await asyncio.sleep(RETRY_S)
        await self.on_thread(partial(self.storage.adopt, engine))
        await self.show()
        return engine

    async def is_of_this_log(self, engine: Engine) -> bool:
        """See `Engine.belongs_to`. Raises Unavailable."""
        created = (await self._log.position("CATALOG")).created
        return await self.on_thread(partial(engine.was_built_from, created))

    async def read_into(
        self, engine: Engine, *, batch: int = BATCH, after_each: Callable[[float], Awaitable[None]] | None = None
    ) -> None:
        """Write all that CATALOG has past what an engine holds.

        after_each: is told how many seconds a batch took, and waited for. Raises Unavailable and LaterVersion.
        """

        async def write(records: Sequence[Record]) -> None:
            began = time.monotonic()
            await self.on_thread(partial(self._write, engine, records))
            if after_each is not None:
                await after_each(time.monotonic() - began)

        records: list[Record] = []
        async for record in self._log.read("CATALOG", after=engine.snapshot().catalog_seq, subject=self._subject):
            records.append(record)
            if len(records) == batch:
                await write(records)
                records = []
        await write(records)

    def replace(self, control: IndexControl, storage: IndexStorage, engine: Engine) -> None:
        """Go on with another engine, which `storage` has adopted. For who holds `writes`."""
        self.control, self.storage, self.engine = control, storage, engine
        self._n_unsaved = 0

    async def close(self, *, save: bool = True) -> None:
        """Let go of the files, after `run` has ended; save what is unsaved first, unless a write may be half done."""
        if self.engine is not None:
            self.engine = None
            if save:
                await self.on_thread(self._save)

    async def show(self) -> None:
        """Let searches have what was written so far."""
        if self.engine is not None:
            snapshot = self.engine.snapshot()
            await self._serving.set_snapshot(self.control.name, self.control.created_seq, snapshot)

    async def on_thread(self, work: Callable[[], T]) -> T:
        """Do something on the thread that indexes."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    @property
    def _subject(self) -> str:
        return catalog_filter(self.control.name, self.control.created_seq)

    async def _fill(self, queue: asyncio.Queue[Record], after: int) -> None:
        async for record in self._log.follow("CATALOG", after=after, subject=self._subject):
            await queue.put(record)

    async def _drain(self, queue: asyncio.Queue[Record]) -> None:
        while True:
            try:
                async with asyncio.timeout(QUIET_S):
                    batch = [await queue.get()]
            except TimeoutError:
                async with self.writes:
                    await self._tidy_up()
                continue
            while len(batch) < BATCH and not queue.empty():
                batch.append(queue.get_nowait())
            async with self.writes:
                await self._patiently(partial(self._apply, batch))
                await self.show()

    async def _patiently(self, work: Callable[[], T]) -> T:
        """Do something on the thread that indexes, again and again while what keeps the index is away: only an index
        that is lost is opened again."""
        while True:
            try:
                done = await self.on_thread(work)
                self.trouble = ""
                return done
            except Unavailable as error:
                if self.engine is None or self.engine.is_lost:
                    raise
                if not self.trouble:
                    log.warning("index %s waits: %s", self.control.name, error)
                self.trouble = str(error)
                await asyncio.sleep(RETRY_S)

    async def _tidy_up(self) -> None:
        """In a quiet moment. Raises Unavailable where the index is gone from where it is kept."""
        engine = self.engine
        if engine is None:
            return
        if engine.is_lost:
            raise Unavailable(f"index {self.control.name} is gone from where it is kept: it is built again")
        if self._n_unsaved >= SAVE_AFTER or engine.needs_maintenance:
            settled = await self._patiently(partial(engine.maintain, SETTLE_PATIENCE_S))
            await self.show()
            if settled and self._n_unsaved >= SAVE_AFTER:
                await self.on_thread(self._save)
                await self.on_thread(memory.trim)

    def _apply(self, batch: Sequence[Record]) -> None:
        engine = self.engine
        if engine is not None:
            self._write(engine, batch)
            self.engine = self.storage.compact(partial(self._encoded, engine.settings)) or engine

    def _write(self, engine: Engine, records: Sequence[Record]) -> None:
        """Records of CATALOG into an engine that may know some. Raises LaterVersion, after what comes before it."""
        after = engine.snapshot().catalog_seq
        changes, seq = list[Upsert | Delete](), 0
        try:
            for record in records:
                if record.seq <= after:
                    continue
                change = _decoded(record)
                changes += [change] if change is not None else []
                seq = record.seq
        finally:
            # Up to an event of a later version everything counts.
            if seq:
                engine.apply(self._encoded(engine.settings, changes), seq)
                self._n_unsaved += len(changes) if engine is self.engine else 0

    def _encoded(self, settings: IndexSettings, changes: Sequence[Upsert | Delete]) -> Sequence[Upsert | Delete]:
        embedding = settings.embedding
        upserts = [change for change in changes if isinstance(change, Upsert)]
        if embedding is None or self._encoder is None or not upserts:
            return changes
        vectors = self._encoder.encode([embedding_text(upsert.members, embedding) for upsert in upserts])
        with_vector = {id(u): msgspec.structs.replace(u, vector=v) for u, v in zip(upserts, vectors, strict=True)}
        return [with_vector.get(id(change), change) for change in changes]

    def _save(self) -> None:
        if self._n_unsaved:
            self.storage.save()
            self._n_unsaved = 0


def _decoded(record: Record) -> Upsert | Delete | None:
    match decode_catalog(record.data):
        case DocumentUpserted(document=document):
            return Upsert.from_json(bytes(document), record.seq)
        case DocumentDeleted(id=document_id):
            return Delete(document_id, record.seq)
        case _:
            return None
