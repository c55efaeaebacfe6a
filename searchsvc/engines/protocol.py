"""The protocol of a search engine.

The indexing thread of an index writes to its `Engine`. Each write makes the next `EngineSnapshot`, which is immutable
and shared by all searches. A search opens a `Reading` of one snapshot and reads from nothing else:

    engine.apply(changes, catalog_seq)  ->  EngineSnapshot  ->  reading()  ->  Reading.retrieve(...)

Adapters: `searchsvc.engines.embedded` and `searchsvc.engines.opensearch`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from events.digest import DocumentsDigest
from events.index_control import IndexControl
from events.settings import IndexSettings
from searchsvc.analysis.lexicon import Lexicon
from searchsvc.analysis.query import Query
from searchsvc.analysis.title_heads import SearchedThing
from searchsvc.engines.filters import Comparison, Filter
from searchsvc.engines.retrieval import Retrieval, Retrieved, TextFeatures
from tuning.arrays import BoolArray, FloatArray, IntArray


class EngineSnapshot(Protocol):
    """An immutable state of one index, safe to share between threads."""

    @property
    def settings(self) -> IndexSettings: ...

    @property
    def generation(self) -> str:
        """Name of this build of the index; a rebuild has another."""
        ...

    @property
    def catalog_seq(self) -> int:
        """Sequence of the last CATALOG message in the index."""
        ...

    @property
    def digest(self) -> DocumentsDigest:
        """Digest of all documents in the index."""
        ...

    @property
    def refusals(self) -> Mapping[str, str]:
        """Reasons by document id: the last hundred documents of CATALOG that the engine could not index."""
        ...

    @property
    def n_documents(self) -> int: ...

    @property
    def is_fast(self) -> bool:
        """Whether a search takes about a millisecond, so that handing it to another thread would cost more."""
        ...

    def is_light(self, attributes: Sequence[str], n_documents: int) -> bool:
        """Return whether comparing or counting all values of these attributes, and reading so many documents, takes a
        few milliseconds at most. An attribute that is named twice counts twice."""
        ...

    @property
    def encodes_concurrently(self) -> bool:
        """Whether `Reading.retrieve` computes the query vector on one core while it looks up words on another."""
        ...

    @property
    def lexicon(self) -> Lexicon: ...

    @property
    def n_attributes(self) -> int:
        """How many attributes it knows, of which it takes `searchsvc.engines.attributes.MAX_ATTRIBUTES`."""
        ...

    def holds(self, clause: Comparison) -> bool:
        """Return whether documents have the attribute of a clause, with values of the kind that a range needs."""
        ...

    def check_filter(self, condition: Filter, field: str) -> None:
        """Check that documents have the attributes that a filter names.

        condition: the filter to check
        field: name of the filter in error messages

        Raises InvalidInput if no document has an attribute, or none has values of the kind that a range needs.
        """
        ...

    def reading(self) -> Reading:
        """Return what one search reads from."""
        ...


class Reading(Protocol):
    """What one search reads from: a snapshot, and slots for the documents that the search found in it.

    A slot is meaningful only to the reading that returned it. An engine that numbers its documents itself may return
    the same reading to every search; one that asks a remote node keeps what the node replied here, for one thread.
    """

    @property
    def snapshot(self) -> EngineSnapshot: ...

    def retrieve(self, request: Retrieval) -> Retrieved:
        """Find candidates and count the match set.

        An attribute that no document has passes no filter, has no facet values, and sorts nothing.
        """
        ...

    def text_features(self, slots: IntArray, query: Query) -> TextFeatures:
        """Return how each document matches the text of a query."""
        ...

    def groups(self, field: str, slots: IntArray) -> IntArray:
        """Return (n,) group numbers: equal for documents with the same first value of an attribute.

        A document without the attribute is a group of its own.
        """
        ...

    def passes(self, slots: IntArray, condition: Filter) -> BoolArray:
        """Return (n,) which documents pass a filter that `EngineSnapshot.check_filter` accepted."""
        ...

    def cosines(self, slots: IntArray, vector: FloatArray) -> FloatArray:
        """Return (n,) the cosine of each document with a query vector."""
        ...

    def vectors(self, slots: IntArray) -> FloatArray:
        """Return the (n, dimension) vectors of documents, zeros for one without; (n, 0) in an index that has none."""
        ...

    def goes_with(self, slots: IntArray, thing: SearchedThing) -> BoolArray:
        """Return (n,) which documents go with what is searched for: see `searchsvc.analysis.title_heads.goes_with`."""
        ...

    def titles(self, slots: IntArray) -> list[list[str]]:
        """Return the stems of the first `MAX_TITLE_WORDS` words of each title."""
        ...

    def sample(self, n: int) -> IntArray:
        """Return slots of about n documents, of all if they are few; the same ones in all readings of a snapshot."""
        ...

    def signals(self, slots: IntArray, timestamp_s: float) -> FloatArray:
        """Return (n, n_signals) signals in [0, 1], see `events.settings.Signal`.

        timestamp_s: the moment at which ageing signals are valued, in seconds since 1970
        """
        ...

    def id(self, slot: int) -> str:
        """Return the id of a document."""
        ...

    def read(self, slots: Sequence[int]) -> list[msgspec.Raw | None]:
        """Return the documents as JSON; None for one that was deleted from a remote node since it was found."""
        ...

    def find(self, document_id: str) -> int | None:
        """Return the slot of a document, or None if the snapshot does not contain it."""
        ...


class Upsert(msgspec.Struct, frozen=True):
    """A document to write.

    text: its JSON as received
    members: the same, decoded
    vector: (dimension,) embedding, or None
    seq: sequence of its CATALOG message; 0 takes that of the batch
    """

    id: str
    text: bytes
    members: Mapping[str, object]
    vector: FloatArray | None
    seq: int = 0

    @staticmethod
    def from_json(text: bytes, seq: int = 0) -> Upsert:
        """Decode a document that has no vector yet."""
        members: dict[str, object] = msgspec.json.decode(text)
        return Upsert(str(members["id"]), text, members, None, seq)


class Delete(msgspec.Struct, frozen=True):
    """A document to delete. seq: as in `Upsert`."""

    id: str
    seq: int = 0


class Engine(Protocol):
    """The writing side of one index, for one thread."""

    @property
    def settings(self) -> IndexSettings: ...

    def apply(self, changes: Sequence[Upsert | Delete], catalog_seq: int) -> EngineSnapshot:
        """Apply changes in order, make them visible together and return the snapshot that contains them.

        catalog_seq: sequence of the last CATALOG message among the changes

        Raises Unavailable if they cannot be stored now. Call it again with the same changes: they take effect once.
        """
        ...

    def snapshot(self) -> EngineSnapshot:
        """Return the newest snapshot."""
        ...

    def was_built_from(self, log_created: datetime) -> bool:
        """Return whether the index was built from the CATALOG stream that was created at this time.

        The same sequence means another message in another stream. An empty index is assigned to this stream.
        Raises Unavailable.
        """
        ...

    @property
    def needs_maintenance(self) -> bool:
        """Whether `maintain` has work to do."""
        ...

    @property
    def is_lost(self) -> bool:
        """Whether the stored index is gone, so that it must be opened again."""
        ...

    def maintain(self, timeout_s: float | None = None) -> bool:
        """Merge what many writes left in parts. Call it when no write is waiting.

        timeout_s: how long to wait for work in the background; None waits until it is done

        Returns False if the work goes on in the background: call it again later.
        """
        ...


class IndexStorage(Protocol):
    """Where one index is stored between starts. For the indexing thread; each method may raise Unavailable.

    An engine that was never adopted is not found by a later start, and may be deleted once another is adopted.
    """

    def open(self) -> Engine:
        """Open the stored index if it was built by the same settings, else an empty one."""
        ...

    def create(self) -> Engine:
        """Create an empty index beside the stored one."""
        ...

    def open_previous(self) -> Engine:
        """Open the index that was in use before the current one was adopted. Raises NotFound."""
        ...

    def adopt(self, engine: Engine) -> None:
        """Make an engine with all documents the current one.

        Raises Corrupt if it lacks documents, and OSError if the disk takes no more: the next start does not find it.
        """
        ...

    def discard(self, engine: Engine) -> None:
        """Delete what an engine wrote that will not be adopted, unless a later start can go on with it."""
        ...

    def save(self) -> None:
        """Store the engine's newest snapshot. Raises OSError if the disk takes no more; what was stored stays."""
        ...

    def compact(self) -> Engine | None:
        """Replace the current engine by one without deleted documents, if they are most of it.

        Returns the new engine, or None if the current one stays. Raises OSError as `save` does; the current one stays.
        """
        ...


class Indexes(Protocol):
    """The stored indexes of a service."""

    def storage(self, control: IndexControl) -> IndexStorage:
        """Return the storage of one index."""
        ...

    def drop_others(self, controls: Collection[IndexControl]) -> None:
        """Delete the storage of every index that is not listed."""
        ...
