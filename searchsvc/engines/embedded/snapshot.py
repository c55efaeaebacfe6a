"""An immutable state of an embedded index, and what one search reads of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from types import MappingProxyType
from typing import Final, TypeVar

import msgspec
import numpy as np

from events.digest import DocumentsDigest
from events.settings import IndexSettings
from events.sizes import MIB
from searchsvc.analysis.query import Query
from searchsvc.analysis.title_heads import SearchedThing
from searchsvc.engines.columnar.lexicon_view import LexiconView
from searchsvc.engines.embedded.forward_view import ThingTerms
from searchsvc.engines.embedded.matching import QueryTerms
from searchsvc.engines.embedded.phrases import phrase_arrays
from searchsvc.engines.embedded.retriever import Retriever
from searchsvc.engines.embedded.views import IndexViews
from searchsvc.engines.filters import Comparison, Filter
from searchsvc.engines.retrieval import Retrieval, Retrieved, TextFeatures
from tuning.arrays import BoolArray, FloatArray, IntArray

K = TypeVar("K")
V = TypeVar("V")
# Up to this number of slots, a plain search takes about a millisecond.
MAX_FAST_SLOTS: Final = 32_768
# Values of attributes to go through, and bytes of documents to read, in a few milliseconds.
MAX_LIGHT_VALUES: Final = 131_072
MAX_LIGHT_BYTES: Final = MIB
# From this number of slots on, each leg takes milliseconds, most of them without Python's lock: the legs run at once.
CONCURRENT_FROM_SLOTS: Final = 200_000
# Queries whose terms a snapshot remembers.
MAX_CACHED_QUERIES: Final = 1_000


class EmbeddedSnapshot:
    """An `EngineSnapshot`.

    executor: runs the vector leg of a large index; None runs the legs one after the other
    """

    # Documents are checked before they are written, so none is refused later.
    refusals: Mapping[str, str] = MappingProxyType({})

    def __init__(self, views: IndexViews, executor: Executor | None = None) -> None:
        self.views = views
        self._executor = executor
        self._cached_terms: dict[Query, QueryTerms] = {}
        self._cached_things: dict[SearchedThing, ThingTerms] = {}

    @property
    def settings(self) -> IndexSettings:
        return self.views.settings

    @property
    def generation(self) -> str:
        return self.views.generation

    @property
    def catalog_seq(self) -> int:
        return self.views.catalog_seq

    @property
    def digest(self) -> DocumentsDigest:
        return self.views.digest

    @property
    def n_documents(self) -> int:
        return self.views.digest.count

    @property
    def is_fast(self) -> bool:
        return len(self.views.live) <= MAX_FAST_SLOTS

    def is_light(self, attributes: Sequence[str], n_documents: int) -> bool:
        n_values = sum(map(self.views.attributes.n_values, attributes))
        return n_values <= MAX_LIGHT_VALUES and n_documents * self.views.documents.longest <= MAX_LIGHT_BYTES

    @property
    def encodes_concurrently(self) -> bool:
        return self.concurrent_executor is not None

    @property
    def concurrent_executor(self) -> Executor | None:
        """What runs the vector leg while another thread runs the keyword leg; None in a small index."""
        return self._executor if len(self.views.live) >= CONCURRENT_FROM_SLOTS else None

    @property
    def lexicon(self) -> LexiconView:
        return self.views.forward.lexicon

    @property
    def n_attributes(self) -> int:
        return self.views.attributes.n_attributes

    def holds(self, clause: Comparison) -> bool:
        return self.views.attributes.holds(clause)

    def check_filter(self, condition: Filter, field: str) -> None:
        self.views.attributes.check(condition, field)

    def reading(self) -> EmbeddedReading:
        return EmbeddedReading(self)

    def query_terms(self, query: Query) -> QueryTerms:
        """Return the terms of a query. Remembers them: shoppers repeat queries."""
        return _remembered(self._cached_terms, query, self._look_up)

    def thing_terms(self, thing: SearchedThing) -> ThingTerms:
        """Return the terms of what is searched for. Remembers them, too."""
        return _remembered(self._cached_things, thing, self.views.forward.thing_terms)

    def _look_up(self, query: Query) -> QueryTerms:
        postings, forward = self.views.postings, self.views.forward
        statistics, phrases = forward.statistics(query), phrase_arrays(query, postings, forward)
        return QueryTerms(statistics, forward.plan(query, statistics, phrases))


def _remembered(results: dict[K, V], key: K, compute: Callable[[K], V]) -> V:
    """Return what was computed of a key, or compute it. results: by key, `MAX_CACHED_QUERIES` at most"""
    result = results.get(key)
    if result is None:
        if len(results) >= MAX_CACHED_QUERIES:
            results.clear()
        result = results[key] = compute(key)
    return result


class EmbeddedReading:
    """A `Reading`. Slots are the same in every reading of a snapshot."""

    def __init__(self, snapshot: EmbeddedSnapshot) -> None:
        self._snapshot = snapshot
        self._views = snapshot.views

    @property
    def snapshot(self) -> EmbeddedSnapshot:
        return self._snapshot

    def retrieve(self, request: Retrieval) -> Retrieved:
        terms = self._snapshot.query_terms(request.query)
        return Retriever(self._views, request, terms, self._snapshot.concurrent_executor).run()

    def text_features(self, slots: IntArray, query: Query) -> TextFeatures:
        return self._views.forward.features(slots, self._snapshot.query_terms(query).plan)

    def groups(self, field: str, slots: IntArray) -> IntArray:
        return self._views.attributes.groups(field, slots)

    def passes(self, slots: IntArray, condition: Filter) -> BoolArray:
        passes: BoolArray = self._views.attributes.mask(condition)[slots]
        return passes

    def cosines(self, slots: IntArray, vector: FloatArray) -> FloatArray:
        vectors = self._views.vectors
        return vectors.cosines(slots, vector) if vectors is not None else np.zeros(len(slots), np.float32)

    def vectors(self, slots: IntArray) -> FloatArray:
        vectors = self._views.vectors
        return vectors.vectors(slots) if vectors is not None else np.zeros((len(slots), 0), np.float32)

    def goes_with(self, slots: IntArray, thing: SearchedThing) -> BoolArray:
        return self._views.forward.goes_with(slots, self._snapshot.thing_terms(thing))

    def titles(self, slots: IntArray) -> list[list[str]]:
        return self._views.forward.stems_of_titles(slots)

    def sample(self, n: int) -> IntArray:
        slots = np.flatnonzero(self._views.live)
        return slots if len(slots) <= n else slots[np.linspace(0, len(slots) - 1, n).astype(np.int64)]

    def signals(self, slots: IntArray, timestamp_s: float) -> FloatArray:
        return self._views.signals(slots, timestamp_s)

    def id(self, slot: int) -> str:
        return self._views.ids[slot]

    def read(self, slots: Sequence[int]) -> list[msgspec.Raw | None]:
        return [self._views.documents.read(slot) for slot in slots]

    def find(self, document_id: str) -> int | None:
        return self._views.find(document_id)
