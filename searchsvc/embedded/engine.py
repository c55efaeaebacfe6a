"""The embedded engine: one writer that turns changes into the next immutable snapshot."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import msgspec
import numpy as np

from events.digest import DocumentsDigest
from events.settings import IndexSettings, Signal
from searchsvc.analysis import analyze, field_text
from searchsvc.arrays import AnyArray, BoolArray, FloatArray, IntArray
from searchsvc.embedded.columns import Column
from searchsvc.embedded.documents import DocumentFile, DocumentView
from searchsvc.embedded.forward import ForwardIndex, ForwardView, StoredForward
from searchsvc.embedded.keyword import REBUILD_HEAP_BYTES, KeywordIndex, KeywordView
from searchsvc.embedded.vectors import VectorIndex, VectorView
from searchsvc.engine import Delete, KeywordCandidates, Upsert, VectorCandidates

# More dead slots than this share, and than this number, and the index is worth building anew.
COMPACT_SHARE = 0.5
COMPACT_MIN = 10_000
# More segments than this, and a keyword search takes twice as long as on one.
MAX_SEGMENTS = 3
# The keyword index is written anew once so many slots, or this share of all, have come since the last time.
REBUILD_MIN = 1000
REBUILD_SHARE = 0.125


class StoredEngine(msgspec.Struct, frozen=True):
    """All columns of an engine as plain arrays; the rows of each are slots. Documents and tantivy keep their files."""

    generation: str
    catalog_seq: int
    digest: DocumentsDigest
    ids: list[str]
    live: AnyArray
    signals: AnyArray
    document_ends: AnyArray
    vectors: AnyArray
    forward: StoredForward


class RebuiltKeyword(msgspec.Struct, frozen=True):
    """A keyword index of what was live when it was begun. live: (n_slots,) at that moment."""

    index: KeywordIndex
    live: BoolArray


class EmbeddedEngine:
    """An `Engine` in a folder of its own. `dimension` is that of the vectors, 0 where the index embeds nothing.

    stored: what a snapshot on disk held; None starts empty. The folder's tantivy files and documents must match it.
    generation: a name for this build of the index, used once.
    """

    def __init__(
        self,
        folder: Path,
        settings: IndexSettings,
        dimension: int,
        generation: str,
        stored: StoredEngine | None = None,
    ) -> None:
        n_fields = len(settings.searchable)
        self._settings = settings
        self.folder = folder
        self.dimension = dimension if settings.embedding is not None else 0
        self.generation = generation
        folder.mkdir(parents=True, exist_ok=True)
        self.keyword_index = KeywordIndex(folder / "tantivy", n_fields)
        self.documents = DocumentFile(folder / "documents", stored.document_ends if stored else None)
        self._forward = ForwardIndex(n_fields, stored.forward if stored else None)
        self._vectors = VectorIndex(self.dimension, stored.vectors if stored else None) if self.dimension else None
        self._signals = Column(np.float32, len(settings.signals), stored.signals if stored else None)
        self._ids: list[str] = list(stored.ids) if stored else []
        self._live = Column(np.bool_, rows=np.array(stored.live) if stored else None)
        self._slots = {self._ids[slot]: int(slot) for slot in np.flatnonzero(self._live.view())}
        self._n_slots_rebuilt = 0
        self._digest = stored.digest if stored else DocumentsDigest()
        self._snapshot = self._view(self.keyword_index.view(), stored.catalog_seq if stored else 0)

    @property
    def settings(self) -> IndexSettings:
        return self._settings

    @property
    def wasteful(self) -> bool:
        """Whether most slots are dead, so that building anew would pay."""
        n_dead = len(self._ids) - len(self._slots)
        return n_dead > max(COMPACT_MIN, COMPACT_SHARE * len(self._ids))

    def snapshot(self) -> EmbeddedSnapshot:
        return self._snapshot

    def apply(self, changes: Sequence[Upsert | Delete], catalog_seq: int) -> EmbeddedSnapshot:
        """Make changes visible together. Of several for one document the last counts."""
        last = {change.id: change for change in changes}
        upserts = [change for change in last.values() if isinstance(change, Upsert)]
        dead = [self._slots.pop(name) for name in last if name in self._slots]
        removed = [bytes(self._snapshot.document(slot)) for slot in dead]
        self._digest = self._digest.changed([upsert.text for upsert in upserts], removed)
        for slot in dead:
            self._forward.remove(slot)
            self.keyword_index.remove(slot)
        live = self._live.view().copy()
        live[dead] = False
        self._live = Column(np.bool_, rows=live)
        if upserts:
            self._append(upserts)
        keyword = self.keyword_index.commit() if last else self.keyword_index.view()
        self._snapshot = self._view(keyword, catalog_seq)
        return self._snapshot

    @property
    def fragmented(self) -> bool:
        """Whether writing the keyword index anew would pay."""
        n_slots = len(self._ids)
        grown = n_slots - self._n_slots_rebuilt >= max(REBUILD_MIN, REBUILD_SHARE * n_slots)
        return grown and self.keyword_index.n_segments > MAX_SEGMENTS

    def rebuild_keyword(self, stopped: Callable[[], bool]) -> RebuiltKeyword | None:
        """The keyword index of the present snapshot in as few segments as can be; None once `stopped` says so.

        Reads only what no write touches, so it may run beside the writer, which then adopts the result.
        """
        snapshot = self._snapshot
        folder = self.folder / f"tantivy-{snapshot.catalog_seq}"
        shutil.rmtree(folder, ignore_errors=True)
        fresh = KeywordIndex(folder, len(self._settings.searchable), REBUILD_HEAP_BYTES)
        for slot in np.flatnonzero(snapshot.live).tolist():
            if stopped():
                fresh.close()
                shutil.rmtree(folder, ignore_errors=True)
                return None
            fresh.add(slot, self._texts(msgspec.json.decode(snapshot.document(slot))))
        fresh.commit()
        fresh.settle()
        return RebuiltKeyword(fresh, snapshot.live)

    def adopt_keyword(self, rebuilt: RebuiltKeyword) -> EmbeddedSnapshot:
        """Bring a rebuilt keyword index up to the last commit and use it from now on; merge the vectors too."""
        live, n_then = self._live.view(), len(rebuilt.live)
        for slot in np.flatnonzero(rebuilt.live & ~live[:n_then]).tolist():
            rebuilt.index.remove(slot)
        for slot in (np.flatnonzero(live[n_then:]) + n_then).tolist():
            rebuilt.index.add(slot, self._texts(msgspec.json.decode(self._snapshot.document(slot))))
        old, self.keyword_index = self.keyword_index, rebuilt.index
        self._n_slots_rebuilt = len(live)
        if self._vectors is not None:
            self._vectors.merge()
        self._snapshot = self._view(self.keyword_index.commit(), self._snapshot.catalog_seq)
        old.close()
        # Readers of older snapshots keep the removed files open.
        shutil.rmtree(old.folder, ignore_errors=True)
        return self._snapshot

    def live_slots(self) -> IntArray:
        return np.flatnonzero(self._live.view())

    def store(self) -> StoredEngine:
        """All columns, for a snapshot on disk."""
        return StoredEngine(
            generation=self.generation,
            catalog_seq=self._snapshot.catalog_seq,
            digest=self._digest,
            ids=self._ids,
            live=self._live.view(),
            signals=self._signals.view(),
            document_ends=self.documents.store(),
            vectors=self._vectors.store() if self._vectors else np.empty((0, 0), np.float16),
            forward=self._forward.store(),
        )

    def close(self) -> None:
        self.keyword_index.close()

    def _append(self, upserts: list[Upsert]) -> None:
        for upsert in upserts:
            texts = self._texts(upsert.members)
            slot = self._forward.add([analyze(text) for text in texts])
            self.keyword_index.add(slot, texts)
            self._slots[upsert.id] = slot
            self._ids.append(upsert.id)
        self.documents.append([upsert.text for upsert in upserts])
        self._signals.extend(_signal_rows(self._settings.signals, [upsert.members for upsert in upserts]))
        self._live.extend(np.ones(len(upserts), np.bool_))
        if self._vectors is not None:
            rows = np.zeros((len(upserts), self.dimension), np.float32)
            for row, upsert in zip(rows, upserts, strict=True):
                if upsert.vector is not None:
                    row[:] = upsert.vector
            self._vectors.extend(rows)

    def _texts(self, members: Mapping[str, object]) -> list[str]:
        return [field_text(members, field) for field in self._settings.searchable]

    def _view(self, keyword: KeywordView, catalog_seq: int) -> EmbeddedSnapshot:
        live = self._live.view()
        return EmbeddedSnapshot(
            settings=self._settings,
            generation=self.generation,
            catalog_seq=catalog_seq,
            digest=self._digest,
            keyword=keyword,
            forward=self._forward.view(),
            vectors=self._vectors.view(live) if self._vectors else None,
            signals=self._signals.view(),
            live=live,
            all_ids=self._ids,
            documents=self.documents.view(),
            slots=self._slots,
        )


class EmbeddedSnapshot:
    """An `EngineSnapshot` of views. live: (n_slots,)."""

    def __init__(
        self,
        *,
        settings: IndexSettings,
        generation: str,
        catalog_seq: int,
        digest: DocumentsDigest,
        keyword: KeywordView,
        forward: ForwardView,
        vectors: VectorView | None,
        signals: AnyArray,
        live: BoolArray,
        all_ids: list[str],
        documents: DocumentView,
        slots: Mapping[str, int],
    ) -> None:
        self.settings = settings
        self.generation = generation
        self.catalog_seq = catalog_seq
        self.digest = digest
        self._keyword = keyword
        self._forward = forward
        self._vectors = vectors
        self._signals = signals
        self.live = live
        self._all_ids = all_ids
        self._documents = documents
        self._slots = slots

    @property
    def n_documents(self) -> int:
        return self.digest.count

    def keyword(self, terms: Sequence[str], boosts: Mapping[str, float], k: int) -> KeywordCandidates:
        by_field = [max(boosts.get(field.name, 1.0), 0.0) for field in self.settings.searchable]
        return self._keyword.search(self._forward.held(terms), by_field, k)

    def nearest(self, vector: FloatArray, k: int) -> VectorCandidates:
        if self._vectors is None:
            return VectorCandidates(np.empty(0, np.int64), np.empty(0, np.float32))
        return VectorCandidates(*self._vectors.nearest(vector, k))

    def browse(self, weights: FloatArray, k: int) -> IntArray:
        scores = self._signals @ weights if len(weights) else np.zeros(len(self.live), np.float32)
        order = self._id_order
        return order[np.argsort(-scores[order], kind="stable")[:k]]

    def bm25(self, slots: IntArray, terms: Sequence[str]) -> FloatArray:
        return self._forward.bm25(slots, terms)

    def cosines(self, slots: IntArray, vector: FloatArray) -> FloatArray:
        return self._vectors.cosines(slots, vector) if self._vectors else np.zeros(len(slots), np.float32)

    def signals(self, slots: IntArray) -> FloatArray:
        rows: FloatArray = self._signals[slots]
        return rows

    def id(self, slot: int) -> str:
        return self._all_ids[slot]

    def document(self, slot: int) -> msgspec.Raw:
        return self._documents.read(slot)

    def find(self, document_id: str) -> int | None:
        slot = self._slots.get(document_id)
        if slot is None or (slot < len(self.live) and self.live[slot]):
            return slot
        # The writer's map is ahead of this snapshot while a new version of the document is being written.
        return next((old for old in np.flatnonzero(self.live).tolist() if self._all_ids[old] == document_id), None)

    @cached_property
    def _id_order(self) -> IntArray:
        """Live slots in the order of their ids."""
        live = np.flatnonzero(self.live)
        return live[np.argsort(np.array([self._all_ids[slot] for slot in live.tolist()], dtype=object), kind="stable")]


def signal_value(signal: Signal, members: Mapping[str, object]) -> float:
    """The feature of one signal, in [0, 1]; 0 where the document has no number there."""
    value = members.get(signal.field)
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        return 0.0
    scaled = (np.log1p(value) if signal.transform == "log1p" else float(value)) / signal.scale
    return float(min(scaled, 1.0))


def _signal_rows(signals: Sequence[Signal], documents: Sequence[Mapping[str, object]]) -> FloatArray:
    rows = [[signal_value(signal, members) for signal in signals] for members in documents]
    return np.array(rows, np.float32).reshape(len(documents), len(signals))
