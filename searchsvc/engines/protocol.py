"""The protocol of a search engine. One indexer writes to an engine; searches read its immutable snapshots.

Adapters: `searchsvc.engines.embedded` and `searchsvc.engines.opensearch`. A search takes one snapshot and reads
nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol

import msgspec
import numpy as np

from events.control import IndexControl
from events.digest import DocumentsDigest
from events.settings import IndexSettings
from searchsvc.analysis.lexicon import Lexicon
from searchsvc.analysis.query import AskedOperator, Operator, Query
from searchsvc.engines.filters import Filter
from tuning.arrays import BoolArray, FloatArray, IntArray

# Operator `auto` requires all words where at least this many documents hold them all, and any word otherwise.
FULL_PAGE: Final = 10


class SortKey(msgspec.Struct, frozen=True):
    """Order by a member of the documents; those without it come last."""

    field: str
    descending: bool = False


class FacetRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Count the values of a member. disjunctive: as if the filters did not ask for any of its values, so that the
    others a shopper could choose beside it are counted too."""

    field: str
    max_values: int = 20
    disjunctive: bool = False


class Retrieval(msgspec.Struct, frozen=True):
    """What to find.

    query: without a text, every document that passes the filters. vector: (dimension,) of the query, length 1; None
    leaves the vector leg out; or what gives it once it is called, on any thread, for engines that have something to do
    meanwhile. boosts: searchable field -> factor of its BM25, at least 0. signal_weights: (n_signals,) order where
    there is no text. k: candidates of each leg. window: how far the keyword order has to reach; None for all of it.
    operator: what a document has to hold; auto is all where that fills a first page, else any. leave_out: a slot that
    is not wanted. distinct: the member that hits will be grouped by. at_s: the moment, in seconds since 1970, for
    signals that age.

    What rules want of it. within: what is there at all, for facets that look beyond `filters`, too. pinned: ids of
    documents that belong to the match set whether they match or not, if they pass. lifted: of what matches, the best k
    that pass this are found as well. marked: filters of which the ranking will ask what passes them.
    """

    query: Query
    vector: FloatArray | Callable[[], FloatArray | None] | None
    boosts: Mapping[str, float]
    signal_weights: FloatArray
    k: int
    window: int | None
    operator: AskedOperator = "auto"
    leave_out: int | None = None
    filters: Filter | None = None
    facets: tuple[FacetRequest, ...] = ()
    sort: tuple[SortKey, ...] = ()
    distinct: str | None = None
    at_s: float = 0.0
    within: Filter | None = None
    pinned: tuple[str, ...] = ()
    lifted: Filter | None = None
    marked: tuple[Filter, ...] = ()

    def encoded(self) -> FloatArray | None:
        """The query's vector, worked out now where it is not known yet."""
        return self.vector() if callable(self.vector) else self.vector


def _no_slots() -> IntArray:
    return np.empty(0, np.int64)


class Retrieved(msgspec.Struct, frozen=True):
    """What was found. The match set is what the keyword query matches, what the vector leg found, and what is pinned,
    of what passes.

    keyword: slots in keyword order (in the order of `sort` where one was given, then of the whole match set), at least
    `window` and k of them. nearest, cosines: the vector leg's k, nearest first. vector_trust: (0, 1]
    how far cosines tell what the query is about, 0 without a vector leg or where they tell nothing: then it finds
    nothing. total: size of the match set. operator: what a
    document had to hold; None where there was no text. left_out: places of terms that no document holds. facets: by
    field, over the match set. degraded: what it was found without. pinned: slots of those that are there, by slot.
    lifted: slots, best first, in keyword order.
    """

    keyword: IntArray
    nearest: IntArray
    cosines: FloatArray
    vector_trust: float
    total: int
    operator: Operator | None
    left_out: tuple[int, ...]
    facets: dict[str, Facet]
    degraded: tuple[str, ...] = ()
    pinned: IntArray = msgspec.field(default_factory=_no_slots)
    lifted: IntArray = msgspec.field(default_factory=_no_slots)


class FacetValue(msgspec.Struct, frozen=True):
    """A value as documents have it, and how many of the matching ones have it."""

    value: str
    count: int


class FacetStats(msgspec.Struct, frozen=True):
    """Of the numbers that matching documents have in a member."""

    min: float
    max: float
    mean: float
    sum: float


class Facet(msgspec.Struct, frozen=True):
    """values: the most frequent first. n_values: how many there are. stats: None where there are no numbers."""

    values: list[FacetValue]
    n_values: int
    stats: FacetStats | None


class TextFeatures(msgspec.Struct, frozen=True):
    """What of a query each of n candidates holds; all 0 where it holds nothing.

    bm25: (n, n_searchable) as a share of the query's ceiling. exact_title: (n,) 1 where the title is the query.
    all_terms: (n,) 1 where it holds every term that is known and no stop word. coverage: (n,) the share of the query's
    idf that it holds. phrase, proximity: (n,) in [0, 1], how many of the query's neighbours are neighbours, are near.
    """

    bm25: FloatArray
    exact_title: FloatArray
    all_terms: FloatArray
    coverage: FloatArray
    phrase: FloatArray
    proximity: FloatArray

    @staticmethod
    def none(n: int, n_searchable: int) -> TextFeatures:
        zeros = np.zeros(n, np.float32)
        return TextFeatures(np.zeros((n, n_searchable), np.float32), zeros, zeros, zeros, zeros, zeros)


class EngineSnapshot(Protocol):
    """An index at one moment. A *slot* names a document within one snapshot.

    generation: changes whenever the index is built anew. catalog_seq: the last CATALOG message it holds. digest: of all
    its documents. refused: documents that the log has and the index could not take, the last hundred, and why.
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
    def refused(self) -> Mapping[str, str]: ...
    @property
    def n_documents(self) -> int: ...
    @property
    def is_small(self) -> bool:
        """Whether finding a page here takes about a millisecond: less than handing it to a thread and back."""
        ...

    @property
    def looks_beside(self) -> bool:
        """Whether words are looked up on one core while the query is encoded on another."""
        ...

    @property
    def lexicon(self) -> Lexicon: ...

    def reading(self) -> EngineSnapshot:
        """The same for one search alone, with slots of its own where slots are given as documents are found."""
        ...

    def retrieve(self, asked: Retrieval) -> Retrieved:
        """Candidates, totals and counts. Raises InvalidInput where a filter, facet or sort names an unknown member."""
        ...

    def text_features(self, slots: IntArray, query: Query) -> TextFeatures:
        """What of the query's words each document holds."""
        ...

    def groups(self, field: str, slots: IntArray) -> IntArray:
        """(n,) equal for documents with the same value in a member; one without it is alone. Raises InvalidInput."""
        ...

    def passing(self, slots: IntArray, given: Filter) -> BoolArray:
        """(n,) which documents pass a filter that was checked."""
        ...

    def check_filter(self, given: Filter, field: str) -> None:
        """Raise InvalidInput where a filter names a member that no document has, or a range of one that has none of its
        kind. field: what the error calls the filter."""
        ...

    def cosines(self, slots: IntArray, vector: FloatArray) -> FloatArray:
        """(n,) cosine of each document with a query vector."""
        ...

    def vector(self, slot: int) -> FloatArray | None:
        """(dimension,) of a document; None where it has none."""
        ...

    def signals(self, slots: IntArray, at_s: float) -> FloatArray:
        """(n, n_signals) in [0, 1]: see `events.settings.Signal`. at_s: the moment, in seconds since 1970."""
        ...

    def id(self, slot: int) -> str: ...

    def read(self, slots: Sequence[int]) -> list[msgspec.Raw | None]:
        """The documents of several slots; None where one went since it was found, in an engine whose snapshots are not
        its own."""
        ...

    def find(self, document_id: str) -> int | None:
        """The slot of a document, None where it is not there."""
        ...


class Upsert(msgspec.Struct, frozen=True):
    """A document to write. text: its JSON as received. members: the same, decoded. vector: (dimension,) or None. seq:
    where in CATALOG it is said, 0 where that does not matter."""

    id: str
    text: bytes
    members: Mapping[str, object]
    vector: FloatArray | None
    seq: int = 0

    @staticmethod
    def of(text: bytes, seq: int = 0) -> Upsert:
        """Of a document's JSON, without its vector."""
        members: dict[str, object] = msgspec.json.decode(text)
        return Upsert(str(members["id"]), text, members, None, seq)


class Delete(msgspec.Struct, frozen=True):
    id: str
    seq: int = 0


class Engine(Protocol):
    """The writing side, for one thread."""

    @property
    def settings(self) -> IndexSettings: ...

    def apply(self, changes: Sequence[Upsert | Delete], catalog_seq: int) -> EngineSnapshot:
        """Make changes visible together, in order, and return the snapshot that shows them.

        Raises Unavailable where they cannot be kept now: the same call later makes it good, once.
        """
        ...

    def snapshot(self) -> EngineSnapshot: ...

    def belongs_to(self, created: datetime) -> bool:
        """Whether what it holds was read from the CATALOG that was made then, and from no other, whose sequences mean
        other messages. What holds nothing yet belongs to it from now on. Raises Unavailable."""
        ...

    @property
    def settling(self) -> bool:
        """Whether something is being built beside, which `settle` would take over."""
        ...

    @property
    def lost(self) -> bool:
        """Whether what was written is gone from where it is kept, so that the index has to be opened again."""
        ...

    def settle(self, patience_s: float | None = None) -> bool:
        """Tidy up after many writes: for a quiet moment. Returns whether it is done, or is to be asked for again."""
        ...


class IndexStorage(Protocol):
    """Where one index is kept between starts. For the indexing thread. Each method may raise Unavailable.

    An engine that was not adopted is found by no later start, and may be gone once another was.
    """

    def open(self) -> Engine:
        """The index as it was kept by these settings, or an empty one."""
        ...

    def beside(self) -> Engine:
        """Another one, empty."""
        ...

    def previous(self) -> Engine:
        """The one that was searched before the last was adopted. Raises NotFound."""
        ...

    def adopt(self, engine: Engine) -> None:
        """Let an engine that holds all documents take the place of the one before. Raises Corrupt where it does not."""
        ...

    def save(self) -> None:
        """Keep what the engine shows now."""
        ...

    def compacted(self, encoded: Callable[[list[Upsert]], Sequence[Upsert | Delete]]) -> Engine | None:
        """A new engine in place of the last where that is mostly of what was deleted; None where it is not. encoded:
        gives upserts their vectors."""
        ...


class Indexes(Protocol):
    """All indexes of a service."""

    def storage(self, control: IndexControl) -> IndexStorage: ...

    def drop_others(self, controls: Collection[IndexControl]) -> None:
        """Remove what was kept of all others."""
        ...
