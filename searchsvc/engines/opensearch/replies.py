"""The replies of the node, as far as they are read. Members are named as the node names them, unless stated."""

from __future__ import annotations

import msgspec

from events.digest import DocumentsDigest


class Progress(msgspec.Struct):
    """How much of CATALOG an index contains, as its progress document stores it.

    catalog_seq: sequence of the last CATALOG message
    digest: of all live documents
    vector_sum: sum of their vectors
    log_created: when the CATALOG stream was created that the index was built from; '' before it was built from any
    """

    catalog_seq: int = 0
    digest: DocumentsDigest = DocumentsDigest()
    vector_sum: list[float] = msgspec.field(name="total", default_factory=list)
    log_created: str = msgspec.field(name="log", default="")


class Source(msgspec.Struct):
    """The stored members of a document, see `searchsvc.engines.opensearch.stored_documents`.

    state: only of the progress document
    """

    state: Progress = msgspec.field(default_factory=Progress)
    id: str = ""
    document: str = ""
    bytes: str = ""
    live: bool = False
    seq: int = 0
    refused: str = ""


class Hit(msgspec.Struct):
    """A hit of a search.

    fields: the requested fields
    matched_queries: score of each named clause that the document matches
    """

    score: float | None = msgspec.field(name="_score", default=None)
    source: Source = msgspec.field(name="_source", default_factory=Source)
    fields: dict[str, list[str | float | bool]] = {}
    matched_queries: dict[str, float] = {}


class Total(msgspec.Struct):
    value: int


class Hits(msgspec.Struct):
    hits: list[Hit]
    total: Total = msgspec.field(default_factory=lambda: Total(0))


class Bucket(msgspec.Struct):
    key: str
    doc_count: int


class Terms(msgspec.Struct):
    buckets: list[Bucket]
    sum_other_doc_count: int = 0


class Value(msgspec.Struct):
    value: float | None


class Stats(msgspec.Struct):
    count: int
    min: float | None
    max: float | None
    sum: float


class Counted(msgspec.Struct):
    doc_count: int


class Filtered(msgspec.Struct):
    buckets: dict[str, Counted] = {}


class Aggregation(msgspec.Struct):
    """The documents that match a filter, and the counts of a facet among them."""

    doc_count: int
    values: Terms = msgspec.field(default_factory=lambda: Terms([]))
    spellings: Terms = msgspec.field(default_factory=lambda: Terms([]))
    n_values: Value = msgspec.field(default_factory=lambda: Value(0.0))
    stats: Stats | None = None
    ranges: Filtered = msgspec.field(default_factory=Filtered)


class Shards(msgspec.Struct):
    failed: int = 0


class FromShards(msgspec.Struct, kw_only=True):
    """A reply that shards contribute to. `_shards` is required: the JSON of another server has none."""

    shards: Shards = msgspec.field(name="_shards")
    timed_out: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether every shard answered."""
        return not (self.timed_out or self.shards.failed)


class Searched(FromShards):
    """The reply to a search."""

    hits: Hits
    aggregations: dict[str, Aggregation] = {}


class Health(msgspec.Struct):
    status: str
    number_of_nodes: int


class Failure(msgspec.Struct):
    type: str
    reason: str = ""
    caused_by: Failure | None = None

    @property
    def chain(self) -> str:
        """The reason, followed by the reasons of its causes."""
        return f"{self.reason}: {self.caused_by.chain}" if self.caused_by is not None else self.reason


class Got(msgspec.Struct):
    """A document of `_mget`.

    error: why it could not be read
    found: whether there is a document with this id
    """

    error: Failure | None = None
    found: bool = False
    version: int = msgspec.field(name="_version", default=0)
    source: Source = msgspec.field(name="_source", default_factory=Source)


class GotAll(msgspec.Struct):
    docs: list[Got]


class Count(FromShards):
    count: int


class Written(msgspec.Struct):
    status: int
    error: Failure | None = None


class WrittenAll(msgspec.Struct):
    """The reply of `_bulk`. items: the outcome of each change, by the kind of change."""

    items: list[dict[str, Written]]


class CompositeBucket(msgspec.Struct):
    key: dict[str, str]
    doc_count: int


class Composite(msgspec.Struct):
    buckets: list[CompositeBucket]
    after_key: dict[str, str] | None = None


class CompositeSearched(FromShards):
    aggregations: dict[str, Composite]


class Meta(msgspec.Struct):
    """What the service noted in the mapping.

    fingerprint: of all that the index was built by
    prefix: of the service that made the index; '' if none did
    """

    fingerprint: str = ""
    prefix: str = ""


class Mapping(msgspec.Struct):
    meta: Meta = msgspec.field(name="_meta", default_factory=Meta)


class MappingOf(msgspec.Struct):
    mappings: Mapping


class Numbers(msgspec.Struct):
    number_of_shards: str = "1"


class Settings(msgspec.Struct):
    index: Numbers = msgspec.field(default_factory=Numbers)


class IndexDescription(MappingOf):
    """A concrete index as the node describes it, and the aliases that lead to it."""

    aliases: dict[str, msgspec.Raw] = {}
    settings: Settings = msgspec.field(default_factory=Settings)

    @property
    def n_shards(self) -> int:
        return int(self.settings.index.number_of_shards)
