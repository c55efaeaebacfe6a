"""The writing side of an index in a cluster: what comes to the node, and what of it is counted here."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
import numpy as np

from events.digest import DocumentsDigest
from events.errors import Unavailable
from events.settings import IndexSettings
from searchsvc.engines.opensearch import dsl, mapping, replies
from searchsvc.engines.opensearch.concrete import ConcreteIndex
from searchsvc.engines.opensearch.node import MAX_SAID_CHARS, Node
from searchsvc.engines.opensearch.snapshot import Commit, OpenSearchSnapshot
from searchsvc.engines.opensearch.vectors import ServiceVectors
from searchsvc.engines.opensearch.vocabulary import Vocabulary
from searchsvc.engines.protocol import Delete, Upsert
from tuning.arrays import FloatArray, ScoreArray

PAGE_OF_TERMS: Final = 10_000
PAGE_OF_DOCUMENTS: Final = 1000
CONFLICT: Final = 409
BAD_REQUEST: Final = 400
log = logging.getLogger(__name__)


# Of what it refuses, it says so of the document; all else is said of itself, and passes.
REFUSED: Final = frozenset(
    {
        "document_parsing_exception",
        "mapper_parsing_exception",
        "max_bytes_length_exceeded_exception",
        "strict_dynamic_mapping_exception",
    }
)
MAX_REFUSED: Final = 100


class _Came(msgspec.Struct, frozen=True):
    """A document that is new to the node. words: the distinct ones of each field. packed: its vector, as it is kept."""

    upsert: Upsert
    words: list[set[str]]
    packed: str


class _Write(msgspec.Struct, frozen=True):
    """Changes on their way to the node, by id. lines: as `_bulk` takes each. came: those that are documents. went: what
    the node had of those that changed or go. refused: why the node did not take what is not among the others any
    more."""

    lines: dict[str, bytes]
    seqs: dict[str, int]
    came: dict[str, _Came]
    went: list[replies.Source]
    catalog_seq: int
    refused: dict[str, str]


class OpenSearchEngine:
    """An `Engine` on a node. name: of the node's index. knn: whether the node looks for the nearest vectors itself.
    n_shards: of the index."""

    def __init__(
        self, node: Node, name: str, settings: IndexSettings, dimension: int, *, knn: bool = True, n_shards: int = 1
    ) -> None:
        self._index = ConcreteIndex(node, name, n_shards)
        self._settings = settings
        self.dimension = dimension if settings.embedding is not None else 0
        self._vocabulary = Vocabulary(len(settings.searchable))
        self._knn = knn
        self._vectors = self._no_vectors()
        self._kinds: dict[str, frozenset[str]] = {}
        self._digest = DocumentsDigest()
        self._total = np.zeros(self.dimension)
        self._catalog_seq = 0
        self._has_tombstones = True
        self._log = ""
        self._refused: dict[str, str] = {}
        self._unsure: _Write | None = None
        self._snapshot = self._view()

    @property
    def settings(self) -> IndexSettings:
        return self._settings

    def snapshot(self) -> OpenSearchSnapshot:
        return self._snapshot

    @property
    def name(self) -> str:
        return self._index.name

    @property
    def is_lost(self) -> bool:
        return self._index.gone

    def was_built_from(self, log_created: datetime) -> bool:
        if not self._log:
            self._log = log_created.isoformat()
            self._note(replies.Progress(self._catalog_seq, self._digest, self._total.tolist(), self._log))
        return self._log == log_created.isoformat()

    @property
    def needs_maintenance(self) -> bool:
        """Whether there are tombstones, or vectors in parts: CATALOG is read up to the former by now, so nothing older
        comes any more."""
        return self._has_tombstones or (self._vectors is not None and self._vectors.building)

    def maintain(self, timeout_s: float | None = None) -> bool:
        """Remove the tombstones, and bring vectors together."""
        if self._has_tombstones:
            self._purge()
        done = self._vectors is None or self._vectors.settle(timeout_s)
        self._snapshot = self._view()
        return done

    def _purge(self) -> None:
        older = {"range": {"seq": {"gt": 0, "lte": self._catalog_seq}}}
        gone = {"bool": {"filter": [{"term": {"live": False}}, older], "must_not": [dsl.REFUSED]}}
        query = {"conflicts": "proceed", "refresh": "true"}
        self._index.call("POST", "/_delete_by_query", msgspec.Raw, {"query": gone}, query=query)
        self._has_tombstones = False

    def restore(self) -> None:
        """Take up what the node holds. Raises Unavailable, at once where some of its shards are nowhere: most requests
        would wait for them."""
        if self._index.health() == "red":
            raise Unavailable(f"{self.name} is red: not all of its shards are there")
        self._index.refresh()
        progress = self._index.documents([mapping.PROGRESS_ID], ["state"])[0].source.state
        self._catalog_seq, self._log = progress.catalog_seq, progress.log
        self._kinds = self._known_kinds()
        refused = {"query": dsl.REFUSED, "size": MAX_REFUSED, "_source": ["id", "refused"]}
        found = self._index.ask_all("/_search", replies.Searched, refused)
        self._refused = {hit.source.id: hit.source.refused for hit in found.hits.hits}
        self._vocabulary = Vocabulary(len(self._settings.searchable))
        if self._is_ahead():
            self._digest, self._total = self._counted_anew()
        else:
            self._digest = progress.digest
            self._total = np.array(progress.total or np.zeros(self.dimension))
        words, stems = self._terms("words"), self._terms("stems")
        by_field = {(int(key.partition(":")[0]), key.partition(":")[2]): n for key, n in stems.items()}
        self._vocabulary.restore(words, by_field, self._digest.count)
        self._vectors = self._no_vectors()
        if self._vectors is not None:
            for hits in self._pages(["id", "bytes"]):
                rows = [(hit.source.id, hit.source.bytes) for hit in hits if hit.source.bytes]
                vectors = self._unpacked([packed for _, packed in rows])
                self._vectors.change([], list(zip((name for name, _ in rows), vectors, strict=True)))
            self._vectors.settle()
        self._snapshot = self._view()

    def _no_vectors(self) -> ServiceVectors | None:
        return ServiceVectors(self.dimension) if self.dimension and not self._knn else None

    def _is_ahead(self) -> bool:
        """Whether the node was written to without its progress being noted: then what it adds up to is not known."""
        later = {"query": {"range": {"seq": {"gt": self._catalog_seq}}}}
        return bool(self._index.ask_all("/_count", replies.Count, later).count)

    def _counted_anew(self) -> tuple[DocumentsDigest, ScoreArray]:
        """What all live documents add up to, each looked at."""
        digest, total = DocumentsDigest(), np.zeros(self.dimension)
        for hits in self._pages(["document", "bytes"]):
            digest = digest.changed([hit.source.document.encode() for hit in hits], [])
            if self.dimension:
                total = total + self._unpacked([hit.source.bytes for hit in hits]).sum(axis=0, dtype=np.float64)
        return digest, total

    def _pages(self, members: Sequence[str]) -> Iterator[Sequence[replies.Hit]]:
        """Some members of all live documents, by their ids."""
        body: dict[str, Any] = {
            "size": PAGE_OF_DOCUMENTS,
            "query": {"bool": {"filter": [dsl.LIVE]}},
            "sort": [{"id": "asc"}],
            "_source": ["id", *members],
        }
        while hits := self._index.ask_all("/_search", replies.Searched, body).hits.hits:
            yield hits
            body["search_after"] = [hits[-1].source.id]

    def _terms(self, field: str) -> dict[str, int]:
        """How many live documents have each value of a field."""
        found: dict[str, int] = {}
        sources = [{"key": {"terms": {"field": field}}}]
        composite: dict[str, Any] = {"size": PAGE_OF_TERMS, "sources": sources}
        while True:
            body = {"size": 0, "query": dsl.LIVE, "aggs": {"terms": {"composite": composite}}}
            page = self._index.ask_all("/_search", replies.CompositeSearched, body)
            terms = page.aggregations["terms"]
            found |= {bucket.key["key"]: bucket.doc_count for bucket in terms.buckets}
            if terms.after_key is None:
                return found
            composite["after"] = terms.after_key

    def _known_kinds(self) -> dict[str, frozenset[str]]:
        found = self._index.call("GET", "/_mapping", dict[str, replies.MappingOf])
        members = found[self.name].mappings.properties.get("a", replies.Properties()).properties
        return {mapping.decoded(name): frozenset(kind.properties) for name, kind in members.items()}

    def apply(self, changes: Sequence[Upsert | Delete], catalog_seq: int) -> OpenSearchSnapshot:
        """Make changes visible together. Of several for one document the last counts; what the node has from a later
        place in the log stays.

        Where it raises Unavailable the node may have some of them: the next call sends them once more, before its own.
        """
        if self._unsure is not None:
            # An index that is gone would be made by the write, with another mapping.
            self._index.documents([mapping.PROGRESS_ID], ["live"])
            self._complete(self._unsure)
        self._complete(self._prepared(changes, catalog_seq))
        return self._snapshot

    def _prepared(self, changes: Sequence[Upsert | Delete], catalog_seq: int) -> _Write:
        """What of some changes is new to the node, and what it means for what is counted here."""
        last: dict[str, Upsert | Delete] = {}
        for change in changes:
            if change.id not in last or change.seq >= last[change.id].seq:
                last[change.id] = change
        before = self._got(list(last))
        write = _Write({}, {}, {}, [], catalog_seq, {})
        for name, change in last.items():
            seq = change.seq or catalog_seq
            known = before[name]
            if known.found and known.version >= seq:
                continue
            if isinstance(change, Upsert):
                analyses = mapping.analyses_of(change.members, self._settings)
                document = mapping.stored(
                    change, analyses, self._settings, seq, dimension=self.dimension, knn=self._knn
                )
                packed = document.get("bytes", "")
                write.came[name] = _Came(change, [*map(mapping.distinct_words, analyses)], packed)
            else:
                document = mapping.tombstone(name, seq)
                self._has_tombstones = True
            if known.found and known.source.live:
                write.went.append(known.source)
            write.lines[name], write.seqs[name] = _lines(name, seq, document), seq
        return write

    def _complete(self, write: _Write) -> None:
        """Have the node take it, then count it here. Raises Unavailable: then nothing is counted."""
        self._unsure = write
        self._write_documents(write)
        progress = self._progress(write)
        # Only once all of them are there: progress that vouches for what was not written would lose it.
        self._note(progress)
        # All of it is found from the same moment.
        self._index.refresh()
        self._unsure = None
        self._digest, self._catalog_seq, self._total = progress.digest, progress.catalog_seq, np.array(progress.total)
        self._vocabulary.remove(self._words_of(one.document.encode()) for one in write.went)
        self._vocabulary.add(one.words for one in write.came.values())
        upserts = [one.upsert for one in write.came.values()]
        if self._vectors is not None:
            pairs = [(one.id, one.vector) for one in upserts if one.vector is not None and one.vector.any()]
            self._vectors.change([one.id for one in write.went], pairs)
        for upsert in upserts:
            for name, kinds in mapping.kinds_of(upsert.members).items():
                self._kinds[name] = self._kinds.get(name, frozenset()) | kinds
        still = {name: reason for name, reason in self._refused.items() if name not in write.seqs}
        self._refused = dict(list((still | write.refused).items())[-MAX_REFUSED:])
        self._snapshot = self._view()

    def _write_documents(self, write: _Write) -> None:
        """What the node refuses is marked there as gone, so that nothing older of it is found, and all else goes on."""
        refused = self._write(write.lines)
        if not refused:
            return
        for name, reason in refused.items():
            log.error("document %s of %s is not searchable: OpenSearch refused it: %s", name, self.name, reason)
            write.came.pop(name, None)
            write.lines[name] = _lines(name, write.seqs[name], mapping.tombstone(name, write.seqs[name], reason))
        write.refused.update(refused)
        self._write({name: write.lines[name] for name in refused})

    def _progress(self, write: _Write) -> replies.Progress:
        """How far the index is with it."""
        texts = [one.upsert.text for one in write.came.values()]
        digest = self._digest.changed(texts, [one.document.encode() for one in write.went])
        total = self._total
        # As they are kept: what comes and goes again leaves nothing behind.
        packed = [one.packed for one in write.came.values()]
        for rows, sign in ((packed, 1.0), ([one.bytes for one in write.went], -1.0)):
            if self.dimension and rows:
                total = total + sign * self._unpacked(rows).sum(axis=0, dtype=np.float64)
        return replies.Progress(max(self._catalog_seq, write.catalog_seq), digest, total.tolist(), self._log)

    def _note(self, progress: replies.Progress) -> None:
        noted = msgspec.json.encode({"live": False, "seq": 0, "state": progress})
        action = msgspec.json.encode({"index": {"_id": mapping.PROGRESS_ID}})
        refused = self._write({"": action + b"\n" + noted + b"\n"})
        if refused:
            raise Unavailable(f"OpenSearch did not note the progress of {self.name}: {refused['']}")

    def _words_of(self, text: bytes) -> list[set[str]]:
        analyses = mapping.analyses_of(msgspec.json.decode(text), self._settings)
        return [mapping.distinct_words(analysis) for analysis in analyses]

    def _got(self, ids: Sequence[str]) -> dict[str, replies.Got]:
        """What the node has of some documents."""
        # With its progress: an index that is gone would be made by the write that follows, with another mapping.
        names = [mapping.PROGRESS_ID, *map(mapping.node_id, ids)]
        _, *got = self._index.documents(names, ["id", "document", "bytes", "live"])
        return dict(zip(ids, got, strict=True))

    def _write(self, lines: Mapping[str, bytes]) -> dict[str, str]:
        """Returns why the node refused what can never be written, by id. Raises Unavailable where anything else was not
        written; what another writer, who was further, had written does not count."""
        refused, failed = dict[str, str](), list[str]()
        for name, one in zip(lines, self._index.write(list(lines.values())), strict=True):
            if one.status >= 300 and one.status != CONFLICT:
                kind, reason = (one.error.type, one.error.said) if one.error is not None else ("", str(one.status))
                if one.status == BAD_REQUEST and _is_refusal(kind, reason):
                    refused[name] = reason[:MAX_SAID_CHARS]
                else:
                    failed.append(f"{kind}: {reason[:MAX_SAID_CHARS]}")
        if failed:
            raise Unavailable(f"OpenSearch did not write {len(failed)} documents: {failed[0]}")
        return refused

    def _unpacked(self, rows: Sequence[str]) -> FloatArray:
        return mapping.unpacked([mapping.of_base64(row) for row in rows], self.dimension)

    def _view(self) -> OpenSearchSnapshot:
        commit = Commit(
            index=self._index,
            settings=self._settings,
            dimension=self.dimension,
            catalog_seq=self._catalog_seq,
            digest=self._digest,
            vocabulary=self._vocabulary.view(),
            kinds=dict(self._kinds),
            total=self._total,
            vectors=self._vectors.view() if self._vectors is not None else None,
            refused=self._refused,
        )
        return OpenSearchSnapshot(commit)


def _is_refusal(kind: str, reason: str) -> bool:
    """Whether a node says of the document that it cannot be, and not of itself that it cannot write."""
    of_document = any(part in reason.lower() for part in ("limit of total fields", "immense term", "max allowed"))
    return kind in REFUSED or (kind == "illegal_argument_exception" and of_document)


def _lines(name: str, seq: int, document: Mapping[str, object]) -> bytes:
    """A document as `_bulk` takes it."""
    action = {"index": {"_id": mapping.node_id(name), "version": seq, "version_type": "external"}}
    return msgspec.json.encode(action) + b"\n" + msgspec.json.encode(document) + b"\n"
