"""The writer of an embedded index: it turns changes into the next immutable snapshot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from events.digest import DocumentsDigest
from events.settings import IndexSettings
from searchsvc.analysis.analyzer import Analysis, analyze
from searchsvc.analysis.document_text import field_text
from searchsvc.analysis.languages import Languages
from searchsvc.engines import signals
from searchsvc.engines.columnar.columns import Column
from searchsvc.engines.columnar.quantized import StoredVectors
from searchsvc.engines.columnar.vectors import VectorIndex
from searchsvc.engines.embedded.attributes import Attributes, StoredAttributes
from searchsvc.engines.embedded.documents import DOCUMENTS, DocumentFile
from searchsvc.engines.embedded.forward import ForwardIndex, StoredForward
from searchsvc.engines.embedded.ids import Ids, StoredIds
from searchsvc.engines.embedded.kernels.structs import RunArrays
from searchsvc.engines.embedded.postings import Postings
from searchsvc.engines.embedded.snapshot import EmbeddedSnapshot
from searchsvc.engines.embedded.views import IndexViews
from searchsvc.engines.protocol import Delete, Upsert
from tuning.arrays import AnyArray, FloatArray, IntArray

# An index is rebuilt once more slots are dead than this share, and than this number.
COMPACT_SHARE: Final = 0.5
COMPACT_MIN: Final = 10_000


class StoredEngine(msgspec.Struct, frozen=True):
    """All columns of an index as plain arrays. Row i is slot i. The JSON of the documents stays in its own file.

    live: (n_slots,) which slots hold a document
    signals: (n_slots, n_signals) as `signals.stored` returned them
    document_ends: (n_slots + 1,) offsets into the document file
    """

    catalog_seq: int
    digest: DocumentsDigest
    ids: StoredIds
    live: AnyArray
    signals: AnyArray
    document_ends: AnyArray
    vectors: StoredVectors
    forward: StoredForward
    postings: RunArrays
    attributes: StoredAttributes


class EmbeddedEngine:
    """An `Engine` in a folder of its own.

    dimension: of the vectors, 0 if there is no embedding model
    generation: name of this build of the index, never used again
    stored: the columns of a snapshot on disk, whose documents the folder contains; None starts empty
    vector_base: the FAISS index of that snapshot, None if it has none
    executor: runs the vector leg of searches in a large index; None runs the legs one after the other
    """

    def __init__(
        self,
        folder: Path,
        settings: IndexSettings,
        dimension: int,
        generation: str,
        stored: StoredEngine | None = None,
        vector_base: Any = None,
        executor: Executor | None = None,
    ) -> None:
        self._settings = settings
        self._executor = executor
        self.dimension = dimension if settings.embedding is not None else 0
        self.generation = generation
        folder.mkdir(parents=True, exist_ok=True)
        self.documents = DocumentFile(folder / DOCUMENTS, stored.document_ends if stored else None)
        title = [field.name for field in settings.searchable].index(settings.title)
        self._forward = ForwardIndex(
            len(settings.searchable), title, stored.forward if stored else None, Languages.of_index(settings)
        )
        self._postings = Postings(stored.postings if stored else None)
        self._attributes = Attributes(stored.attributes if stored else None)
        self._vectors: VectorIndex | None = None
        if self.dimension:
            self._vectors = VectorIndex(self.dimension, stored.vectors if stored else None, vector_base)
        self._signals = Column(np.float32, len(settings.signals), stored.signals if stored else None)
        self._live = Column(np.bool_, rows=np.array(stored.live) if stored else None)
        self._ids = Ids(stored.ids, self._live.view()) if stored else Ids()
        self._digest = stored.digest if stored else DocumentsDigest()
        self._snapshot = self._new_snapshot(stored.catalog_seq if stored else 0)

    @property
    def settings(self) -> IndexSettings:
        return self._settings

    @property
    def is_worth_compacting(self) -> bool:
        """Whether so many slots are dead that rebuilding the index pays."""
        n_dead = len(self._ids) - self._digest.count
        return n_dead > max(COMPACT_MIN, COMPACT_SHARE * len(self._ids))

    def snapshot(self) -> EmbeddedSnapshot:
        return self._snapshot

    def apply(self, changes: Sequence[Upsert | Delete], catalog_seq: int) -> EmbeddedSnapshot:
        """Apply changes and return the snapshot that contains them. Of several for one document the last counts."""
        last = {change.id: change for change in changes}
        upserts = [change for change in last.values() if isinstance(change, Upsert)]
        dead = [slot for document_id in last if (slot := self._ids.slot(document_id)) is not None]
        removed = {slot: bytes(self._snapshot.views.documents.read(slot)) for slot in dead}
        self._digest = self._digest.changed([upsert.text for upsert in upserts], list(removed.values()))
        self._forward.remove(dead)
        if self._vectors is not None:
            self._vectors.remove(dead)
        live = self._live.view().copy()
        live[dead] = False
        self._live = Column(np.bool_, rows=live)
        if upserts:
            self._append(upserts, removed)
        # Last: readers of the previous snapshot look up documents in the same table during the writes above.
        for document_id, change in last.items():
            if isinstance(change, Delete):
                self._ids.drop(document_id)
        self._snapshot = self._new_snapshot(catalog_seq)
        return self._snapshot

    def was_built_from(self, log_created: datetime) -> bool:
        """Return True: the folder of the index lies beside the log and is deleted with it."""
        return True

    @property
    def needs_maintenance(self) -> bool:
        """Whether the base of the vectors is being built, which `maintain` takes into use."""
        return self._vectors is not None and self._vectors.is_building

    @property
    def is_lost(self) -> bool:
        """False: the index is in memory."""
        return False

    def maintain(self, timeout_s: float | None = None) -> bool:
        """Merge all runs of postings, and bring the base of the vectors up to date. See `Engine.maintain`."""
        self._postings.merge(self._live.view())
        done = self._vectors is None or self._vectors.maintain(timeout_s)
        self._snapshot = self._new_snapshot(self._snapshot.catalog_seq)
        return done

    def live_slots(self) -> IntArray:
        """Return the slots that hold a document, ascending."""
        return np.flatnonzero(self._live.view())

    @property
    def vector_base(self) -> Any:
        """The FAISS index of the first vectors, None if there is none."""
        return self._vectors.base if self._vectors is not None else None

    def store(self) -> StoredEngine:
        """Return all columns at the last commit, as plain arrays."""
        return StoredEngine(
            catalog_seq=self._snapshot.catalog_seq,
            digest=self._digest,
            ids=self._ids.store(),
            live=self._live.view(),
            signals=self._signals.view(),
            document_ends=self.documents.store(),
            vectors=self._vectors.store() if self._vectors is not None else StoredVectors.empty(0),
            forward=self._forward.store(),
            postings=self._postings.store(self._live.view()),
            attributes=self._attributes.store(),
        )

    def _append(self, upserts: list[Upsert], removed: Mapping[int, bytes]) -> None:
        """Write documents to the next slots. removed: those that they replace, by slot"""
        members = [upsert.members for upsert in upserts]
        terms, entries = self._forward.add([self._words(upsert, removed) for upsert in upserts])
        self.documents.append([upsert.text for upsert in upserts])
        self._signals.extend(signals.stored(self._settings.signals, members))
        self._live.extend(np.ones(len(upserts), np.bool_))
        self._attributes.add(len(self._ids), members)
        self._postings.add(terms, entries, self._live.view())
        if self._vectors is not None:
            self._vectors.extend(_vector_rows(upserts, self.dimension))
        # Last: a reader that finds a document by its id finds all of it.
        self._ids.append([upsert.id for upsert in upserts])

    def _words(self, upsert: Upsert, removed: Mapping[int, bytes]) -> list[Analysis] | int:
        """Return the analyzed fields of a document, or the slot that it replaces if that has the same texts."""
        texts = self._texts(upsert.members)
        slot = self._ids.slot(upsert.id)
        if slot is not None and self._texts(msgspec.json.decode(removed[slot])) == texts:
            return slot
        return [analyze(text) for text in texts]

    def _texts(self, document: Mapping[str, object]) -> list[str]:
        return [field_text(document, field) for field in self._settings.searchable]

    def _new_snapshot(self, catalog_seq: int) -> EmbeddedSnapshot:
        live, ids = self._live.view(), self._ids.view()
        views = IndexViews(
            settings=self._settings,
            generation=self.generation,
            catalog_seq=catalog_seq,
            digest=self._digest,
            postings=self._postings.view(),
            attributes=self._attributes.view(ids, live),
            forward=self._forward.view(),
            vectors=self._vectors.view() if self._vectors is not None else None,
            signal_rows=self._signals.view(),
            live=live,
            ids=ids,
            documents=self.documents.view(),
        )
        return EmbeddedSnapshot(views, self._executor)


def _vector_rows(upserts: Sequence[Upsert], dimension: int) -> FloatArray:
    """Return (n, dimension) the vectors of documents, zeros for one without."""
    rows = np.zeros((len(upserts), dimension), np.float32)
    for row, upsert in zip(rows, upserts, strict=True):
        if upsert.vector is not None:
            row[:] = upsert.vector
    return rows
