"""What the node answers, as far as it is read."""

from __future__ import annotations

import msgspec

from events.digest import DocumentsDigest


class Progress(msgspec.Struct):
    """How far an index is. total: the sum of its vectors. log: when the CATALOG was made that it is read from; ''
    before it is read from any."""

    catalog_seq: int = 0
    digest: DocumentsDigest = DocumentsDigest()
    total: list[float] = []
    log: str = ""


class Source(msgspec.Struct):
    state: Progress = msgspec.field(default_factory=Progress)
    id: str = ""
    document: str = ""
    bytes: str = ""
    live: bool = False
    seq: int = 0
    refused: str = ""


class Hit(msgspec.Struct):
    """fields: doc values by field. matched_queries: the score of each named clause that the document matches."""

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


class Aggregation(msgspec.Struct):
    """A filter, and of a facet what is counted within it."""

    doc_count: int
    values: Terms = msgspec.field(default_factory=lambda: Terms([]))
    n_values: Value = msgspec.field(default_factory=lambda: Value(0.0))
    stats: Stats | None = None


class Shards(msgspec.Struct):
    failed: int = 0


class FromShards(msgspec.Struct, kw_only=True):
    """What every such reply has is required: another server's JSON is none."""

    shards: Shards = msgspec.field(name="_shards")
    timed_out: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether every shard had its say."""
        return not (self.timed_out or self.shards.failed)


class Searched(FromShards):
    """One reply to a search."""

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
    def said(self) -> str:
        """The reason, with what lies behind it."""
        return f"{self.reason}: {self.caused_by.said}" if self.caused_by is not None else self.reason


class Got(msgspec.Struct):
    """found: whether there is a document of that id. error: why that is not known."""

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
    """items: of each, by what was done."""

    items: list[dict[str, Written]]


class CompositeBucket(msgspec.Struct):
    key: dict[str, str]
    doc_count: int


class Composite(msgspec.Struct):
    buckets: list[CompositeBucket]
    after_key: dict[str, str] | None = None


class CompositeSearched(FromShards):
    aggregations: dict[str, Composite]


class Kind(msgspec.Struct):
    properties: dict[str, msgspec.Raw] = {}


class Properties(msgspec.Struct):
    properties: dict[str, Kind] = {}


class Meta(msgspec.Struct):
    """prefix: of the service that made the index; '' where it did not say."""

    fingerprint: str = ""
    prefix: str = ""


class Mapping(msgspec.Struct):
    """properties: only of the members of documents can it be said what they hold."""

    properties: dict[str, Properties] = {}
    meta: Meta = msgspec.field(name="_meta", default_factory=Meta)


class MappingOf(msgspec.Struct):
    mappings: Mapping


class Numbers(msgspec.Struct):
    number_of_shards: str = "1"


class Settings(msgspec.Struct):
    index: Numbers = msgspec.field(default_factory=Numbers)


class IndexFound(MappingOf):
    """A concrete index, and the aliases that lead to it."""

    aliases: dict[str, msgspec.Raw] = {}
    settings: Settings = msgspec.field(default_factory=Settings)
