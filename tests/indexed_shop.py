"""Indexes over a log in memory, with storage that a test can hold up or make fail."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection
from pathlib import Path

import msgspec

from events import control
from events.codec import encode
from events.index_control import IndexControl
from events.log import Entry
from events.memory import MemoryEventLog
from events.settings import IndexSettings, SearchableField
from events.streams import catalog_subject
from events.types import ControlEvent, DocumentDeleted, DocumentUpserted, IndexConfigured, IndexDeleted
from searchsvc.behavior.query_counts import QueryCounts
from searchsvc.engines.embedded.indexes import EmbeddedIndexes
from searchsvc.engines.protocol import Engine, EngineSnapshot, Indexes, IndexStorage
from searchsvc.indexing.indexers import Indexers
from searchsvc.indexing.measurement_files import MeasurementFiles
from searchsvc.indexing.rebuild import CompareSnapshots, RebuildStatus
from searchsvc.rehearsal.canaries import Canaries
from searchsvc.search.searcher import Searcher
from searchsvc.state.serving import Serving
from tests.factories import NOW

TIMEOUT_S = 60.0
SETTINGS = IndexSettings(searchable=(SearchableField("title"),), title="title")
OTHER_SETTINGS = IndexSettings(searchable=(SearchableField("title"), SearchableField("brand")), title="title")


class IndexedShop:
    """A service's indexers and what they follow.

    compare: for rebuilds; the real canaries if None.
    log: of a service before this one.
    """

    def __init__(
        self,
        folder: Path,
        compare: CompareSnapshots | None = None,
        *,
        log: MemoryEventLog | None = None,
        indexes: Indexes | None = None,
    ) -> None:
        self.log, self.serving = log or MemoryEventLog(), Serving()
        canaries = Canaries(Searcher(None, n_candidates=10), self.serving, QueryCounts())
        indexes = indexes or EmbeddedIndexes(folder / "indexes", "", 0)
        files = MeasurementFiles(folder / "measurements")
        self.indexers = Indexers(indexes, self.log, self.serving, None, files, compare or canaries.compare)

    async def configure(self, settings: IndexSettings, index: str = "shop") -> None:
        """Create an index or change its settings."""
        seq = str(self._next_seq)
        await self._apply(IndexConfigured(id=seq, timestamp=NOW, index=index, settings=settings, default_weights={}))

    async def drop(self, index: str = "shop") -> None:
        """Delete an index."""
        await self._apply(IndexDeleted(id=str(self._next_seq), timestamp=NOW, index=index))

    async def write(self, document_id: str, *, index: str = "shop", **members: object) -> int:
        """Append a document to CATALOG; return its sequence."""
        text = msgspec.Raw(msgspec.json.encode({"id": document_id, **members}))
        created_seq = self.serving.current.control.index(index).created_seq
        event = DocumentUpserted(index=index, id=document_id, document=text)
        return await self.log.append("CATALOG", Entry(catalog_subject(index, created_seq, document_id), encode(event)))

    async def delete(self, document_id: str) -> int:
        """Append a deletion to CATALOG; return its sequence."""
        event = DocumentDeleted(index="shop", id=document_id)
        return await self.log.append("CATALOG", Entry(catalog_subject("shop", 1, document_id), encode(event)))

    async def served(self, seq: int, index: str = "shop") -> EngineSnapshot:
        """Return the snapshot that searches use, once it holds CATALOG up to `seq`."""
        state = await self.serving.wait_until(
            lambda s: index in s.snapshots and s.snapshots[index].catalog_seq >= seq, TIMEOUT_S, f"CATALOG {seq}"
        )
        return state.snapshots[index]

    async def rebuilt(self) -> RebuildStatus:
        """Return the status of the last rebuild, once it is done or failed."""
        status = self.indexers.last_rebuild("shop")
        assert status is not None
        async with asyncio.timeout(TIMEOUT_S):
            while status.phase not in ("done", "failed"):  # noqa: ASYNC110 - no event tells of it
                await asyncio.sleep(0.001)
        return status

    @property
    def _next_seq(self) -> int:
        return self.serving.current.control.seq + 1

    async def _apply(self, event: ControlEvent) -> None:
        await self.serving.set_control(control.fold(self.serving.current.control, event, self._next_seq))
        await self.indexers.reconcile()


class GatedIndexes:
    """Embedded indexes that wait before they adopt an engine, and can fail to save.

    about_to_adopt: set when an index is about to be adopted.
    may_adopt: it waits for this.
    may_open: an index waits for this before it is opened.
    full: names of indexes that cannot be saved or compacted.
    saved: names of indexes that were saved.
    """

    def __init__(self, folder: Path) -> None:
        self._indexes = EmbeddedIndexes(folder / "indexes", "", 0)
        self.about_to_adopt, self.may_adopt = threading.Event(), threading.Event()
        self.may_open = threading.Event()
        self.may_adopt.set()
        self.may_open.set()
        self.full: set[str] = set()
        self.saved: list[str] = []

    def storage(self, control: IndexControl) -> IndexStorage:
        return _GatedStorage(self, control.name, self._indexes.storage(control))

    def drop_others(self, controls: Collection[IndexControl]) -> None:
        self._indexes.drop_others(controls)

    def hold(self) -> None:
        """Let no index be adopted until `may_adopt` is set."""
        self.about_to_adopt.clear()
        self.may_adopt.clear()


class _GatedStorage:
    def __init__(self, gate: GatedIndexes, name: str, storage: IndexStorage) -> None:
        self._gate = gate
        self._name = name
        self._storage = storage

    def open(self) -> Engine:
        assert self._gate.may_open.wait(TIMEOUT_S)
        return self._storage.open()

    def create(self) -> Engine:
        return self._storage.create()

    def open_previous(self) -> Engine:
        return self._storage.open_previous()

    def adopt(self, engine: Engine) -> None:
        self._gate.about_to_adopt.set()
        assert self._gate.may_adopt.wait(TIMEOUT_S)
        if self._name in self._gate.full:
            raise OSError("no space left on the disk")
        self._storage.adopt(engine)

    def discard(self, engine: Engine) -> None:
        self._storage.discard(engine)

    def save(self) -> None:
        if self._name in self._gate.full:
            raise OSError("no space left on the disk")
        self._gate.saved.append(self._name)
        self._storage.save()

    def compact(self) -> Engine | None:
        if self._name in self._gate.full:
            raise OSError("no space left on the disk")
        return self._storage.compact()
