"""The embedded engine: one writer that turns changes into the next immutable snapshot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import numpy as np

from events.digest import DocumentsDigest
from events.settings import IndexSettings
from searchsvc.analysis.analyzer import analyze
from searchsvc.analysis.document_text import field_text
from searchsvc.analysis.query import Query
from searchsvc.engines import signals
from searchsvc.engines.columnar.columns import Column
from searchsvc.engines.columnar.lexicon import LexiconView
from searchsvc.engines.columnar.statistics import QueryStatistics
from searchsvc.engines.columnar.vectors import StoredVectors, VectorIndex, VectorView
from searchsvc.engines.embedded.attributes import Attributes, AttributesView, StoredAttribute
from searchsvc.engines.embedded.documents import DocumentFile, DocumentView
from searchsvc.engines.embedded.forward import ForwardIndex, ForwardView, StoredForward, Wanted
from searchsvc.engines.embedded.ids import Ids, IdsView, StoredIds
from searchsvc.engines.embedded.matching import Matched, Matching
from searchsvc.engines.embedded.order import first
from searchsvc.engines.embedded.postings import Postings, PostingsRun, PostingsView
from searchsvc.engines.filters import Filter, without_field
from searchsvc.engines.protocol import Delete, Upsert
from searchsvc.engines.retrieval import Facet, Retrieval, Retrieved, TextFeatures
from searchsvc.engines.vector_trust import N_COMPARED, vector_trust
from tuning.arrays import AnyArray, BoolArray, FloatArray, IntArray, ScoreArray

# More dead slots than this share, and than this number, and the index is worth building anew.
COMPACT_SHARE = 0.5
COMPACT_MIN = 10_000
# From so many slots on a leg takes milliseconds, most of them without Python's lock: then both are looked for at once.
BESIDE_FROM = 200_000
# Up to so many slots a plain search takes about a millisecond.
SMALL = 32_768
# Of so many queries it is remembered what their words tell.
MAX_REMEMBERED = 1_000
_beside = ThreadPoolExecutor(2, thread_name_prefix="nearest")


class StoredEngine(msgspec.Struct, frozen=True):
    """All columns of an engine as plain arrays; the rows of each are slots. Documents keep their file.

    vector_base: a FAISS index, or None."""

    generation: str
    catalog_seq: int
    digest: DocumentsDigest
    ids: StoredIds
    live: AnyArray
    signals: AnyArray
    document_ends: AnyArray
    vectors: StoredVectors
    vector_base: Any
    forward: StoredForward
    postings: PostingsRun
    attributes: dict[str, StoredAttribute]


class EmbeddedEngine:
    """An `Engine` in a folder of its own. `dimension` is that of the vectors, 0 where the index embeds nothing.

    stored: what a snapshot on disk held; None starts empty. The folder's documents must match it.
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
        self.documents = DocumentFile(folder / "documents", stored.document_ends if stored else None)
        title = [field.name for field in settings.searchable].index(settings.title)
        self._forward = ForwardIndex(n_fields, title, stored.forward if stored else None)
        self._postings = Postings(stored.postings if stored else None)
        self._attributes = Attributes(stored.attributes if stored else None)
        self._vectors: VectorIndex | None = None
        if self.dimension:
            vectors = (stored.vectors, stored.vector_base) if stored else ()
            self._vectors = VectorIndex(self.dimension, *vectors)
        self._signals = Column(np.float32, len(settings.signals), stored.signals if stored else None)
        self._live = Column(np.bool_, rows=np.array(stored.live) if stored else None)
        self._ids = Ids(stored.ids, self._live.view()) if stored else Ids()
        self._digest = stored.digest if stored else DocumentsDigest()
        self._snapshot = self._view(stored.catalog_seq if stored else 0)

    @property
    def settings(self) -> IndexSettings:
        return self._settings

    @property
    def wasteful(self) -> bool:
        """Whether most slots are dead, so that building anew would pay."""
        n_dead = len(self._ids) - self._digest.count
        return n_dead > max(COMPACT_MIN, COMPACT_SHARE * len(self._ids))

    def snapshot(self) -> EmbeddedSnapshot:
        return self._snapshot

    def apply(self, changes: Sequence[Upsert | Delete], catalog_seq: int) -> EmbeddedSnapshot:
        """Make changes visible together. Of several for one document the last counts."""
        last = {change.id: change for change in changes}
        upserts = [change for change in last.values() if isinstance(change, Upsert)]
        dead = [slot for name in last if (slot := self._ids.slot(name)) is not None]
        removed = [bytes(self._snapshot.document(slot)) for slot in dead]
        self._digest = self._digest.changed([upsert.text for upsert in upserts], removed)
        for slot in dead:
            self._forward.remove(slot)
        if self._vectors is not None:
            self._vectors.remove(dead)
        live = self._live.view().copy()
        live[dead] = False
        self._live = Column(np.bool_, rows=live)
        if upserts:
            self._append(upserts)
        # Only now: readers of the last snapshot look their documents up here while the new ones are written.
        for name, change in last.items():
            if isinstance(change, Delete):
                self._ids.drop(name)
        self._snapshot = self._view(catalog_seq)
        return self._snapshot

    def was_built_from(self, log_created: datetime) -> bool:
        """Always: its files stand beside the log, and go with it."""
        return True

    @property
    def needs_maintenance(self) -> bool:
        """Whether something is being built beside, which `maintain` would take over."""
        return self._vectors is not None and self._vectors.building

    @property
    def is_lost(self) -> bool:
        """Never: what it was given is in memory."""
        return False

    def maintain(self, timeout_s: float | None = None) -> bool:
        """Bring what many writes left in parts together, so that searches look in one place: for a quiet moment.

        Returns whether it is done; where that takes longer than timeout_s it goes on by itself, to be asked for again.
        """
        self._postings.merge(self._live.view())
        done = self._vectors is None or self._vectors.settle(timeout_s)
        self._snapshot = self._view(self._snapshot.catalog_seq)
        return done

    def live_slots(self) -> IntArray:
        return np.flatnonzero(self._live.view())

    def store(self) -> StoredEngine:
        """All columns, for a snapshot on disk."""
        return StoredEngine(
            generation=self.generation,
            catalog_seq=self._snapshot.catalog_seq,
            digest=self._digest,
            ids=self._ids.store(),
            live=self._live.view(),
            signals=self._signals.view(),
            document_ends=self.documents.store(),
            vectors=self._vectors.store() if self._vectors is not None else StoredVectors.empty(0),
            vector_base=self._vectors.base if self._vectors is not None else None,
            forward=self._forward.store(),
            postings=self._postings.store(self._live.view()),
            attributes=self._attributes.store(),
        )

    def _append(self, upserts: list[Upsert]) -> None:
        first_slot = len(self._ids)
        fields = [[analyze(field_text(u.members, field)) for field in self._settings.searchable] for u in upserts]
        terms, entries = self._forward.add(fields)
        self.documents.append([upsert.text for upsert in upserts])
        self._signals.extend(signals.stored(self._settings.signals, [upsert.members for upsert in upserts]))
        self._live.extend(np.ones(len(upserts), np.bool_))
        self._attributes.add(first_slot, [upsert.members for upsert in upserts])
        self._postings.add(terms, entries, self._live.view())
        if self._vectors is not None:
            rows = np.zeros((len(upserts), self.dimension), np.float32)
            for row, upsert in zip(rows, upserts, strict=True):
                if upsert.vector is not None:
                    row[:] = upsert.vector
            self._vectors.extend(rows)
        # Last: whoever finds a document here finds all of it.
        self._ids.append([upsert.id for upsert in upserts])

    def _view(self, catalog_seq: int) -> EmbeddedSnapshot:
        live, ids = self._live.view(), self._ids.view()
        return EmbeddedSnapshot(
            settings=self._settings,
            generation=self.generation,
            catalog_seq=catalog_seq,
            digest=self._digest,
            postings=self._postings.view(),
            attributes=self._attributes.view(ids, live),
            forward=self._forward.view(),
            vectors=self._vectors.view() if self._vectors else None,
            signals=self._signals.view(),
            live=live,
            ids=ids,
            documents=self.documents.view(),
        )


class Nearest(msgspec.Struct, frozen=True):
    """The k slots nearest to a vector, nearest first, equal ones by id, and their cosines with it."""

    vector: FloatArray
    slots: IntArray
    cosines: FloatArray


class EmbeddedSnapshot:
    """An `EngineSnapshot` of views. live: (n_slots,). What was checked as it came is never refused."""

    refusals: Mapping[str, str] = MappingProxyType({})

    def __init__(
        self,
        *,
        settings: IndexSettings,
        generation: str,
        catalog_seq: int,
        digest: DocumentsDigest,
        postings: PostingsView,
        attributes: AttributesView,
        forward: ForwardView,
        vectors: VectorView | None,
        signals: AnyArray,
        live: BoolArray,
        ids: IdsView,
        documents: DocumentView,
    ) -> None:
        self.settings = settings
        self.generation = generation
        self.catalog_seq = catalog_seq
        self.digest = digest
        self._postings = postings
        self._attributes = attributes
        self._forward = forward
        self._vectors = vectors
        self._signals = signals
        self.live = live
        self._ids = ids
        # What shoppers ask again and again, of this commit.
        self._asked: dict[Query, tuple[QueryStatistics, Wanted | None]] = {}
        self._documents = documents

    @property
    def n_documents(self) -> int:
        return self.digest.count

    @property
    def is_fast(self) -> bool:
        return len(self.live) <= SMALL

    @property
    def encodes_concurrently(self) -> bool:
        return len(self.live) >= BESIDE_FROM

    @property
    def lexicon(self) -> LexiconView:
        return self._forward.lexicon

    def reading(self) -> EmbeddedSnapshot:
        return self

    @property
    def snapshot(self) -> EmbeddedSnapshot:
        return self

    def retrieve(self, asked: Retrieval) -> Retrieved:
        allowed = self._allowed(asked, asked.filters)
        pinned = self._pinned(asked, allowed)
        beside = self._vector_leg(asked, allowed)
        matching = self._matching(asked.query) if asked.query.text else None
        matched = matching.within(allowed, asked.operator) if matching else None
        wanted = asked.window if asked.window is None else max(asked.k, asked.window, N_COMPARED)
        if matching is None or matched is None:
            ordered = self._in_signal_order(allowed, asked, wanted)
        else:
            ordered = self._in_keyword_order(matching, matched, asked, wanted)
        nearest, cosines, trust = self._trusted(asked, beside.result(), ordered)
        lifted = self._lifted(matching, matched, allowed, asked)
        match_set = allowed if matched is None else _with(matched.mask, nearest, pinned)
        if asked.sort:
            slots = np.flatnonzero(match_set)
            keys = [self._attributes.sort_key(one.field, slots, one.descending) for one in asked.sort]
            ordered = self._first(slots, keys, wanted)
        return Retrieved(
            keyword=ordered,
            nearest=nearest,
            cosines=cosines,
            vector_trust=trust,
            total=int(np.count_nonzero(match_set)),
            operator=matched.operator if matched is not None else None,
            unmatched_terms=matching.left_out if matching else (),
            facets=self._facets(asked, matching, matched, match_set, trusted=trust > 0.0),
            pinned=pinned,
            boosted=lifted,
        )

    def _in_signal_order(self, mask: BoolArray, asked: Retrieval, n: int | None) -> IntArray:
        """The first n of some slots where there is no query: by signals, then by id. mask: (n_slots,)."""
        slots = np.flatnonzero(mask)
        return self._first(slots, [-(self.signals(slots, asked.timestamp_s) @ asked.signal_weights)], n)

    def _in_keyword_order(self, matching: Matching, matched: Matched, asked: Retrieval, n: int | None) -> IntArray:
        slots, scores = matching.best(matched, self._by_field(asked.field_boosts), n)
        # Rounded, so that what adds up to the same in another order is the same.
        return self._first(slots, [-scores.round(5)], n)

    def _lifted(
        self, matching: Matching | None, matched: Matched | None, allowed: BoolArray, asked: Retrieval
    ) -> IntArray:
        if asked.boosted is None:
            return np.empty(0, np.int64)
        mask = self._attributes.mask(asked.boosted)
        if matching is None or matched is None:
            return self._in_signal_order(mask & allowed, asked, asked.k)
        mask = mask & matched.mask
        some = Matched(mask, int(np.count_nonzero(mask)), matched.operator)
        return self._in_keyword_order(matching, some, asked, asked.k)

    def _pinned(self, asked: Retrieval, allowed: BoolArray) -> IntArray:
        """Slots of the pinned documents that are there. allowed: (n_slots,)."""
        found = [slot for name in asked.pinned_ids if (slot := self.find(name)) is not None and allowed[slot]]
        return np.array(sorted(found), np.int64)

    def _first(self, slots: AnyArray, keys: list[AnyArray], n: int | None) -> IntArray:
        chosen: IntArray = slots[first(slots, keys, self._ids, len(slots) if n is None else n)]
        return chosen

    def _vector_leg(self, asked: Retrieval, allowed: BoolArray) -> Future[Nearest | None]:
        """What it finds, on its way: encoding and looking on another thread where that is worth the hand-over."""
        if self.encodes_concurrently and self._vectors is not None and asked.vector is not None:
            return _beside.submit(self._nearest, asked, allowed)
        found: Future[Nearest | None] = Future()
        found.set_result(self._nearest(asked, allowed))
        return found

    def _trusted(
        self, asked: Retrieval, found: Nearest | None, keyword: IntArray
    ) -> tuple[IntArray, FloatArray, float]:
        """The vector leg's findings, and how far they can be trusted: none of them where they cannot."""
        none = np.empty(0, np.int64), np.empty(0, np.float32), 0.0
        vectors = self._vectors
        if vectors is None or found is None:
            return none
        nearest, cosines = found.slots, found.cosines
        if asked.query.terms:
            by_words = vectors.cosines(keyword[:N_COMPARED], found.vector)
            n_documents = self.n_documents
            trust = vector_trust(by_words, cosines, vectors.mean_cosine(found.vector, n_documents), n_documents)
            return (nearest, cosines, trust) if trust else none
        return nearest, cosines, 1.0

    def _matching(self, query: Query) -> Matching:
        return Matching(self._postings, self._forward, query, *self._weighed(query), len(self.live))

    def _weighed(self, query: Query) -> tuple[QueryStatistics, Wanted | None]:
        known = self._asked.get(query)
        if known is None:
            if len(self._asked) >= MAX_REMEMBERED:
                self._asked = {}
            statistics = self._forward.statistics(query)
            known = self._asked[query] = statistics, self._forward.wanted(query, statistics)
        return known

    def groups(self, field: str, slots: IntArray) -> IntArray:
        return self._attributes.groups(field, slots)

    def _nearest(self, asked: Retrieval, allowed: BoolArray) -> Nearest | None:
        vector = asked.query_vector() if self._vectors is not None else None
        if self._vectors is None or vector is None:
            return None
        slots, cosines = self._vectors.nearest(vector, asked.k, allowed)
        best = first(slots, [-cosines], self._ids, asked.k)
        return Nearest(vector, slots[best], cosines[best])

    def _allowed(self, asked: Retrieval, filters: Filter | None) -> BoolArray:
        """(n_slots,) what can be found under these filters, in place of those of the search."""
        allowed = self.live
        for given in (asked.scope, filters):
            if given is not None:
                allowed = allowed & self._attributes.mask(given)
        if asked.excluded_slot is not None:
            allowed = allowed.copy()
            allowed[asked.excluded_slot] = False
        return allowed

    def _facets(
        self,
        asked: Retrieval,
        matching: Matching | None,
        matched: Matched | None,
        match_set: BoolArray,
        *,
        trusted: bool,
    ) -> dict[str, Facet]:
        """trusted: whether the vector leg found anything; a wider set is made as the match set was."""
        facets = {}
        for one in asked.facets:
            within = match_set
            others = without_field(asked.filters, one.field) if one.disjunctive else asked.filters
            if others != asked.filters:
                within = allowed = self._allowed(asked, others)
                if matching is not None and matched is not None:
                    nearest = self._nearest(asked, allowed) if trusted else None
                    found = [nearest.slots] if nearest is not None else []
                    within = _with(
                        matching.within(allowed, matched.operator).mask, self._pinned(asked, allowed), *found
                    )
            facets[one.field] = self._attributes.facet(one.field, within, one.max_values)
        return facets

    def _by_field(self, boosts: Mapping[str, float]) -> ScoreArray:
        return np.array([max(boosts.get(field.name, 1.0), 0.0) for field in self.settings.searchable])

    def text_features(self, slots: IntArray, query: Query) -> TextFeatures:
        return self._forward.features(slots, self._weighed(query)[1])

    def check_filter(self, condition: Filter, field: str) -> None:
        self._attributes.check(condition, field)

    def passes(self, slots: IntArray, condition: Filter) -> BoolArray:
        passing: BoolArray = self._attributes.mask(condition)[slots]
        return passing

    def cosines(self, slots: IntArray, vector: FloatArray) -> FloatArray:
        return self._vectors.cosines(slots, vector) if self._vectors else np.zeros(len(slots), np.float32)

    def vector(self, slot: int) -> FloatArray | None:
        return self._vectors.vector(slot) if self._vectors else None

    def signals(self, slots: IntArray, timestamp_s: float) -> FloatArray:
        return signals.values(self.settings.signals, self._signals[slots], timestamp_s)

    def id(self, slot: int) -> str:
        return self._ids[slot]

    def document(self, slot: int) -> msgspec.Raw:
        return self._documents.read(slot)

    def read(self, slots: Sequence[int]) -> list[msgspec.Raw | None]:
        return [self._documents.read(slot) for slot in slots]

    def find(self, document_id: str) -> int | None:
        return self._ids.slot(document_id, self.live)


def _with(mask: BoolArray, *beside: IntArray) -> BoolArray:
    whole = mask.copy()
    for slots in beside:
        whole[slots] = True
    return whole
