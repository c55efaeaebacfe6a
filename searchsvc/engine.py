"""What retrieval owes to the rest: an engine is written by one indexer and read through immutable snapshots.

Adapters: `searchsvc.embedded`. A snapshot never changes; a search takes one and uses nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from events.digest import DocumentsDigest
from events.settings import IndexSettings
from searchsvc.arrays import FloatArray, IntArray


class KeywordCandidates(msgspec.Struct, frozen=True):
    """slots: (n,) best first. scores: (n,) the leg's own. total: how many documents match, found or not."""

    slots: IntArray
    scores: FloatArray
    total: int


class VectorCandidates(msgspec.Struct, frozen=True):
    """slots: (n,) nearest first. cosines: (n,)."""

    slots: IntArray
    cosines: FloatArray


class EngineSnapshot(Protocol):
    """An index at one moment. A *slot* names a document within one snapshot.

    generation: changes whenever the index is built anew. catalog_seq: the last CATALOG message it holds. digest: of all
    its documents.
    """

    @property
    def settings(self) -> IndexSettings: ...
    @property
    def generation(self) -> str: ...
    @property
    def catalog_seq(self) -> int: ...
    @property
    def digest(self) -> DocumentsDigest: ...
    @property
    def n_documents(self) -> int: ...

    def keyword(self, terms: Sequence[str], boosts: Mapping[str, float], k: int) -> KeywordCandidates:
        """The k documents that match any term best. boosts: searchable field name -> factor, at least 0."""
        ...

    def nearest(self, vector: FloatArray, k: int) -> VectorCandidates:
        """The k documents nearest to a vector of length 1. Empty where the index embeds nothing."""
        ...

    def browse(self, weights: FloatArray, k: int) -> IntArray:
        """The first k slots of all, by signals @ weights (n_signals,), equal ones by id."""
        ...

    def bm25(self, slots: IntArray, terms: Sequence[str]) -> FloatArray:
        """(n, n_searchable) BM25 per field as a share of the query's ceiling."""
        ...

    def cosines(self, slots: IntArray, vector: FloatArray) -> FloatArray:
        """(n,) cosine of each document with a query vector."""
        ...

    def signals(self, slots: IntArray) -> FloatArray:
        """(n, n_signals) transformed and scaled."""
        ...

    def id(self, slot: int) -> str: ...

    def document(self, slot: int) -> msgspec.Raw: ...

    def find(self, document_id: str) -> int | None:
        """The slot of a document, None where it is not there."""
        ...


class Upsert(msgspec.Struct, frozen=True):
    """A document to write. text: its JSON as received. members: the same, decoded. vector: (dimension,) or None."""

    id: str
    text: bytes
    members: Mapping[str, object]
    vector: FloatArray | None


class Delete(msgspec.Struct, frozen=True):
    id: str


class Engine(Protocol):
    """The writing side, for one thread."""

    @property
    def settings(self) -> IndexSettings: ...

    def apply(self, changes: Sequence[Upsert | Delete], catalog_seq: int) -> EngineSnapshot:
        """Make changes visible together, in order, and return the snapshot that shows them."""
        ...

    def snapshot(self) -> EngineSnapshot: ...
