"""One write to the node: the documents that change, and how the node answers."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from events.errors import Unavailable
from events.settings import IndexSettings
from searchsvc.engines.opensearch import mapping, replies
from searchsvc.engines.opensearch.columns import from_base64, unpack_vectors
from searchsvc.engines.opensearch.concrete import ConcreteIndex
from searchsvc.engines.opensearch.failures import MAX_REASON_CHARS
from searchsvc.engines.opensearch.stored_documents import analyses_of, distinct_words, stored_document, tombstone
from searchsvc.engines.protocol import Delete, Upsert

CONFLICT: Final = 409
BAD_REQUEST: Final = 400
# The node refuses a document for these reasons. Any other reason is about the node, and passes.
REFUSAL_TYPES: Final = frozenset(
    {
        "document_parsing_exception",
        "mapper_parsing_exception",
        "max_bytes_length_exceeded_exception",
        "strict_dynamic_mapping_exception",
    }
)
log = logging.getLogger(__name__)


class WrittenDocument(msgspec.Struct, frozen=True):
    """A document that is new to the node.

    words: (n_fields,) distinct words of each searchable field
    packed: its vector as the node stores it, '' without one
    """

    upsert: Upsert
    words: list[set[str]]
    packed: str


class Write(msgspec.Struct, frozen=True):
    """Changes to send to the node, by document id.

    lines: the lines of each as `_bulk` takes them
    seqs: the CATALOG sequence of each
    added: those that are documents
    removed: what the node stores now of those that change or are deleted
    catalog_seq: sequence of the last CATALOG message
    refusals: why the node refused documents; these are in no other member any more
    """

    lines: dict[str, bytes]
    seqs: dict[str, int]
    added: dict[str, WrittenDocument]
    removed: list[replies.Source]
    catalog_seq: int
    refusals: dict[str, str]

    @property
    def has_deletions(self) -> bool:
        return len(self.lines) > len(self.added) + len(self.refusals)

    def progress_after(self, before: replies.Progress, dimension: int) -> replies.Progress:
        """Return the progress of the index once this is written. dimension: of vectors, 0 without any."""
        texts = [document.upsert.text for document in self.added.values()]
        digest = before.digest.changed(texts, [source.document.encode() for source in self.removed])
        vector_sum = np.array(before.vector_sum)
        # As the node stores them, so that adding and removing a document leaves nothing behind.
        packed = [document.packed for document in self.added.values()]
        for rows, sign in ((packed, 1.0), ([source.bytes for source in self.removed], -1.0)):
            if dimension and rows:
                vectors = unpack_vectors([from_base64(row) for row in rows], dimension)
                vector_sum = vector_sum + sign * vectors.sum(axis=0, dtype=np.float64)
        catalog_seq = max(before.catalog_seq, self.catalog_seq)
        return replies.Progress(catalog_seq, digest, vector_sum.tolist(), before.log_created)


def prepare(
    index: ConcreteIndex,
    settings: IndexSettings,
    changes: Sequence[Upsert | Delete],
    catalog_seq: int,
    *,
    dimension: int,
    knn: bool,
) -> Write:
    """Prepare changes that the node does not have yet.

    Of several changes of one document the last counts. What the node has from a later message stays.

    dimension: as in `stored_document`
    knn: as in `stored_document`
    """
    last: dict[str, Upsert | Delete] = {}
    for change in changes:
        if change.id not in last or change.seq >= last[change.id].seq:
            last[change.id] = change
    before = _stored_now(index, list(last))
    write = Write({}, {}, {}, [], catalog_seq, {})
    for document_id, change in last.items():
        seq = change.seq or catalog_seq
        stored = before[document_id]
        if stored.found and stored.version >= seq:
            continue
        if isinstance(change, Upsert):
            analyses = analyses_of(change.members, settings)
            document = stored_document(change, analyses, settings, seq, dimension=dimension, knn=knn)
            words = [*map(distinct_words, analyses)]
            write.added[document_id] = WrittenDocument(change, words, document.get("bytes", ""))
        else:
            document = tombstone(document_id, seq)
        if stored.found and stored.source.live:
            write.removed.append(stored.source)
        write.lines[document_id], write.seqs[document_id] = _lines(document_id, seq, document), seq
    return write


def send(index: ConcreteIndex, write: Write) -> None:
    """Write to the node. A document that the node refuses is replaced by a tombstone, so that no older one is found.

    Raises Unavailable if anything else was not written.
    """
    refusals = _send_lines(index, write.lines)
    if not refusals:
        return
    for document_id, reason in refusals.items():
        log.error("document %s of %s is not searchable: OpenSearch refused it: %s", document_id, index.name, reason)
        write.added.pop(document_id, None)
        seq = write.seqs[document_id]
        write.lines[document_id] = _lines(document_id, seq, tombstone(document_id, seq, reason))
    write.refusals.update(refusals)
    _send_lines(index, {document_id: write.lines[document_id] for document_id in refusals})


def record_progress(index: ConcreteIndex, progress: replies.Progress) -> None:
    """Record how much of CATALOG the index contains. Raises Unavailable."""
    document = msgspec.json.encode({"live": False, "seq": 0, "state": progress})
    action = msgspec.json.encode({"index": {"_id": mapping.PROGRESS_ID}})
    refusals = _send_lines(index, {"": action + b"\n" + document + b"\n"})
    if refusals:
        raise Unavailable(f"OpenSearch did not record the progress of {index.name}: {refusals['']}")


def _stored_now(index: ConcreteIndex, ids: Sequence[str]) -> dict[str, replies.Got]:
    """Return what the node stores of some documents."""
    # With the progress, which always exists: `_mget` of an index that is gone fails, while a write would create it
    # with another mapping.
    names = [mapping.PROGRESS_ID, *map(mapping.node_id, ids)]
    _, *stored = index.documents(names, ["id", "document", "bytes", "live"])
    return dict(zip(ids, stored, strict=True))


def _send_lines(index: ConcreteIndex, lines: Mapping[str, bytes]) -> dict[str, str]:
    """Return why the node refused documents that it can never take, by id.

    Raises Unavailable if anything else was not written. A conflict is no failure: another writer was further.
    """
    refusals, failures = dict[str, str](), list[str]()
    for document_id, written in zip(lines, index.write(list(lines.values())), strict=True):
        if written.status < 300 or written.status == CONFLICT:
            continue
        error = written.error
        kind, reason = (error.type, error.chain) if error is not None else ("", str(written.status))
        if written.status == BAD_REQUEST and _is_refusal(kind, reason):
            refusals[document_id] = reason[:MAX_REASON_CHARS]
        else:
            failures.append(f"{kind}: {reason[:MAX_REASON_CHARS]}")
    if failures:
        raise Unavailable(f"OpenSearch did not write {len(failures)} documents: {failures[0]}")
    return refusals


def _is_refusal(kind: str, reason: str) -> bool:
    """Return whether the document is at fault, and not the node."""
    names_document = any(part in reason.lower() for part in ("limit of total fields", "immense term", "max allowed"))
    return kind in REFUSAL_TYPES or (kind == "illegal_argument_exception" and names_document)


def _lines(document_id: str, seq: int, document: Mapping[str, object]) -> bytes:
    """Return a document as `_bulk` takes it. The node keeps the version with the highest sequence."""
    action = {"index": {"_id": mapping.node_id(document_id), "version": seq, "version_type": "external"}}
    return msgspec.json.encode(action) + b"\n" + msgspec.json.encode(document) + b"\n"
