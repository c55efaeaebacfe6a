"""Write, read and delete documents."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, NamedTuple

import msgspec
import numpy as np

from events.codec import decode_catalog, encode
from events.errors import Conflict, InvalidInput, NotFound, StorageFull, Unavailable
from events.index_control import IndexControl
from events.log import MAX_BATCH, Entry, EventLog, Record
from events.settings import IndexSettings, check_index_name
from events.sizes import MIB
from events.streams import catalog_subject
from events.types import DocumentDeleted, DocumentUpserted
from searchsvc.analysis.query import Query
from searchsvc.changes.author import Author
from searchsvc.changes.commands import Commands
from searchsvc.engines.filters import Comparison, Exists, Filter, Range, excludes
from searchsvc.engines.protocol import EngineSnapshot, Reading
from searchsvc.engines.retrieval import Retrieval
from searchsvc.indexing.coverage import DocumentWarning, members_with_words, too_many_attributes, unsearched
from searchsvc.indexing.documents import (
    AcceptedDocument,
    RefusedDocument,
    check_signals,
    decode_members,
    parse_document,
    parse_documents,
)
from searchsvc.indexing.inference import infer_settings, left_out
from searchsvc.indexing.merging import merged
from searchsvc.indexing.texts_read import texts_read
from searchsvc.state.serving import Serving
from searchsvc.state.serving_state import ServingState

# The server holds one atomic batch in memory until it commits.
MAX_BATCH_BYTES: Final = 4 * MIB
# How often a change is tried because another writer was first.
PATCH_ATTEMPTS: Final = 8
PATCH_RETRY_S: Final = 0.02
# A round deletes at least ten thousand documents.
MAX_DELETE_ROUNDS: Final = 1000
DELETE_TIMEOUT_S: Final = 60.0
MAX_SEEN_MEMBERS: Final = 20_000
NO_DOCUMENT: Final = "there is no document with this id"


class DocumentsWritten(msgspec.Struct, frozen=True):
    """The result of writing documents.

    accepted: number of documents written
    refused: documents that were not, with the reason, by line
    catalog_seq: every accepted document is searchable once the index has applied this CATALOG sequence
    created: settings of the index if these documents created it; null otherwise
    readings: members of which all texts are read as numbers, dates, or true and false
    warnings: what is odd about accepted documents, such as a new member that is not searched
    """

    accepted: int
    refused: list[RefusedDocument]
    catalog_seq: int
    created: IndexSettings | None = None
    readings: list[DocumentWarning] = []
    warnings: list[DocumentWarning] = []


class DocumentsDeleted(msgspec.Struct, frozen=True):
    """The result of deleting documents.

    deleted: number of documents
    missing: ids of documents that were not there
    catalog_seq: CATALOG sequence of the last deletion; 0 without any
    warnings: what is odd about the filter
    """

    deleted: int
    missing: list[str]
    catalog_seq: int
    warnings: list[DocumentWarning] = []


class _Patched(NamedTuple):
    """Changed documents, and the lines that change none."""

    entries: list[Entry]
    refused: list[RefusedDocument]


class _BatchPatched(NamedTuple):
    """The result of changing a batch of documents. seq: CATALOG sequence of the last change"""

    seq: int
    refused: list[RefusedDocument]


class Documents:
    """The documents of every index. Writes go to CATALOG, reads to the index.

    threads: runs reads
    require_memory: raises StorageFull while there is no memory for more; documents can still be deleted then
    """

    def __init__(
        self,
        event_log: EventLog,
        serving: Serving,
        commands: Commands,
        threads: ThreadPoolExecutor,
        require_memory: Callable[[], None],
    ) -> None:
        self._log = event_log
        self._serving = serving
        self._commands = commands
        self._threads = threads
        self._require_memory = require_memory
        # Of each index, the members that were uploaded here: the snapshot that is served may not have them yet.
        self._seen_members: dict[str, set[str]] = {}

    async def write(self, index: str, body: bytes, author: Author) -> DocumentsWritten:
        """Append every valid line of `body` (NDJSON) to the log; create the index with inferred settings if missing.

        Raises InvalidInput if there is no index and no valid line to infer its settings from, and StorageFull.
        """
        check_index_name(index)
        self._require_memory()
        results = await asyncio.to_thread(_parse, body)
        documents = [result for result in results if isinstance(result, AcceptedDocument)]
        refused = [result for result in results if isinstance(result, RefusedDocument)]
        control, created = self._serving.current.control.indexes.get(index), None
        if control is None:
            if not documents:
                raise _nothing_to_infer_from(index, refused)
            created = await asyncio.to_thread(infer_settings, [document.members for document in documents])
            control = (await self._commands.configure_index(index, created, author)).index
            if control is None:
                raise Unavailable(f"index {index} was deleted while it was created")
        fitting = []
        for document in documents:
            unfit = check_signals(document, control.settings)
            if unfit is None:
                fitting.append(document)
            else:
                refused.append(unfit)
        before = self._serving.current.snapshots.get(index)
        entries = await asyncio.to_thread(_entries, control, fitting)
        seq = await self._append(entries)
        return await self._written(before, control, fitting, refused, seq, created)

    async def patch(self, index: str, body: bytes) -> DocumentsWritten:
        """Change members of documents: every line of `body` (NDJSON) has an id, and what changes.

        Each change is made to the newest version in the log. A document that is not there is refused. Raises NotFound
        for an unknown index, Unavailable if others write the same documents all the time.
        """
        control = self._serving.current.control.index(index)
        results = await asyncio.to_thread(_parse, body)
        refused = [result for result in results if isinstance(result, RefusedDocument)]
        before, seq = self._serving.current.snapshots.get(index), 0
        changes = [result for result in results if isinstance(result, AcceptedDocument)]
        for batch in _batches_by_id(changes):
            written = await self._patch_batch(control, batch)
            seq = max(seq, written.seq)
            refused += written.refused
        refused_lines = {document.line for document in refused}
        accepted = [change for change in changes if change.line not in refused_lines]
        return await self._written(before, control, accepted, refused, seq)

    async def patch_one(self, index: str, document_id: str, body: bytes) -> int:
        """Change members of one document; return the CATALOG sequence of the change.

        Raises InvalidInput, and NotFound if there is no such document.
        """
        changes = decode_members(body)
        if changes.get("id", document_id) != document_id:
            raise InvalidInput("the id of a document does not change", field="id", value=changes["id"])
        line = AcceptedDocument(1, document_id, body, changes)
        written = await self._patch_batch(self._serving.current.control.index(index), {document_id: [line]})
        if written.refused:
            (refused,) = written.refused
            if refused.reason == NO_DOCUMENT:
                raise _no_document(index, document_id)
            raise InvalidInput(refused.reason, field="document", value=document_id)
        return written.seq

    async def _patch_batch(
        self, control: IndexControl, changes: Mapping[str, Sequence[AcceptedDocument]]
    ) -> _BatchPatched:
        """Change up to a batch of documents. Raises StorageFull. changes: in order, by id"""
        self._require_memory()
        subjects = {name: catalog_subject(control.name, control.created_seq, name) for name in changes}
        for attempt in range(PATCH_ATTEMPTS):
            newest = await self._log.last("CATALOG", list(subjects.values()))
            stored = {name: newest[subject] for name, subject in subjects.items() if subject in newest}
            patched = await asyncio.to_thread(_patched, control, changes, stored)
            try:
                seq = await self._append(patched.entries)
            except Conflict:
                # Another writer changed one of them first. That change stays, and ours is made on top of it.
                await asyncio.sleep(attempt * PATCH_RETRY_S)
                continue
            return _BatchPatched(seq, patched.refused)
        raise Unavailable(f"others write the same documents of {control.name} all the time", retry_after_s=1.0)

    async def delete(self, index: str, document_id: str) -> int:
        """Delete a document; return the CATALOG sequence of the deletion. Raises NotFound if it is not served."""
        control, _ = await self._find(index, document_id)
        return await self._append_batch([_deletion(control, document_id)])

    async def delete_listed(self, index: str, ids: Sequence[str]) -> DocumentsDeleted:
        """Delete documents by their ids; those that are not there are named. Raises NotFound for an unknown index."""
        control = self._serving.current.control.index(index)
        subjects = {name: catalog_subject(control.name, control.created_seq, name) for name in dict.fromkeys(ids)}
        seq, missing = 0, list[str]()
        for batch in _batches(list(subjects)):
            newest = await self._log.last("CATALOG", [subjects[name] for name in batch])
            present = {name for name in batch if subjects[name] in newest and _is_document(newest[subjects[name]])}
            missing += [name for name in batch if name not in present]
            seq = max(seq, await self._append([_deletion(control, name) for name in batch if name in present]))
        return DocumentsDeleted(len(subjects) - len(missing), missing, seq)

    async def delete_matching(self, index: str, condition: Filter) -> DocumentsDeleted:
        """Delete the documents that pass a filter. Waits until searches no longer find them.

        A member that no document has matches none, and is warned of: what was deleted once may be asked for again.

        Raises NotFound, InvalidInput for such a member in a filter that excludes something, as that may pass all, and
        Unavailable if the index is being built, or documents that pass are written all the time.
        """
        control, state = self._serving.current.control.index(index), self._serving.current
        n_deleted, seq, warnings = 0, 0, list[DocumentWarning]()
        try:
            state.snapshot(index).check_filter(condition, "filter")
        except InvalidInput as error:
            if excludes(condition):
                raise
            warnings.append(DocumentWarning("filter", str(error)))
        for _ in range(MAX_DELETE_ROUNDS):
            reading = state.snapshot(index).reading()
            ids = await asyncio.get_running_loop().run_in_executor(self._threads, _passing, reading, condition)
            if not ids:
                return DocumentsDeleted(n_deleted, [], seq, warnings)
            seq = await self._append([_deletion(control, name) for name in ids])
            n_deleted += len(ids)
            is_applied = partial(_has_applied, index, seq)
            state = await self._serving.wait_until(is_applied, DELETE_TIMEOUT_S, f"CATALOG {seq}")
        raise Unavailable(f"documents of {index} that pass the filter are written all the time", retry_after_s=1.0)

    async def get(self, index: str, document_id: str) -> msgspec.Raw:
        """Read a document as it was written. Raises NotFound if it is not served."""
        _, document = await self._find(index, document_id)
        return document

    async def _written(
        self,
        before: EngineSnapshot | None,
        control: IndexControl,
        accepted: Sequence[AcceptedDocument],
        refused: Sequence[RefusedDocument],
        catalog_seq: int,
        created: IndexSettings | None = None,
    ) -> DocumentsWritten:
        """Return the result of writing documents.

        before: the index before they were written; None if it was not served
        accepted: what was sent of those that were accepted
        """
        new_members = await asyncio.to_thread(self._new_members, before, control.name, accepted)
        members = [document.members for document in accepted]
        read = await asyncio.to_thread(
            texts_read, members, lambda name, dates: _holds(before, Range(name, dates=dates))
        )
        if created is not None:
            not_searched = await asyncio.to_thread(left_out, members, created)
        else:
            not_searched = unsearched(new_members, control.settings)
        too_many = too_many_attributes(before.n_attributes if before is not None else 0, new_members)
        return DocumentsWritten(
            accepted=len(accepted),
            refused=sorted(refused, key=lambda document: document.line),
            catalog_seq=catalog_seq,
            created=created,
            readings=read.readings,
            warnings=[*too_many, *not_searched, *read.warnings],
        )

    def drop_others(self, indexes: Collection[str]) -> None:
        """Forget the members of all indexes but these."""
        self._seen_members = {name: seen for name, seen in self._seen_members.items() if name in indexes}

    def _new_members(
        self, before: EngineSnapshot | None, index: str, documents: Sequence[AcceptedDocument]
    ) -> list[str]:
        """Return the members with words that no document of the index had, as far as is known here."""
        names = members_with_words(document.members for document in documents)
        seen = self._seen_members.setdefault(index, set())
        unseen = [name for name in names if name not in seen]
        new = [name for name in unseen if not _holds(before, Exists(name))]
        if len(seen) < MAX_SEEN_MEMBERS:
            seen.update(unseen)
        return new

    async def _find(self, index: str, document_id: str) -> tuple[IndexControl, msgspec.Raw]:
        """Return the index, and the document in its snapshot. Raises NotFound."""
        state = self._serving.current
        control, reading = state.control.index(index), state.snapshot(index).reading()

        def read() -> msgspec.Raw | None:
            slot = reading.find(document_id)
            return reading.read([slot])[0] if slot is not None else None

        document = await asyncio.get_running_loop().run_in_executor(self._threads, read)
        if document is None:
            raise _no_document(index, document_id)
        return control, document

    async def _append(self, entries: Sequence[Entry]) -> int:
        """Append in batches, each stored whole or not at all; return the last sequence, 0 without entries."""
        seq, batch, n_bytes = 0, list[Entry](), 0
        for entry in entries:
            if batch and (len(batch) == MAX_BATCH or n_bytes + len(entry.data) > MAX_BATCH_BYTES):
                seq = await self._append_batch(batch)
                batch, n_bytes = [], 0
            batch.append(entry)
            n_bytes += len(entry.data)
        return await self._append_batch(batch) if batch else seq

    async def _append_batch(self, batch: list[Entry]) -> int:
        try:
            return await self._log.append_batch("CATALOG", batch)
        except StorageFull:
            raise
        except Unavailable:
            # It may have been stored: entries with the same ids are stored once.
            return await self._log.append_batch("CATALOG", batch)


def _holds(snapshot: EngineSnapshot | None, condition: Comparison) -> bool:
    """Return whether documents have a member, or the numbers or dates that a range of it needs. snapshot: None: no"""
    return snapshot is not None and bool(snapshot.n_documents) and snapshot.holds(condition)


def _parse(body: bytes) -> list[AcceptedDocument | RefusedDocument]:
    return list(parse_documents(body))


def _batches_by_id(changes: Sequence[AcceptedDocument]) -> Iterator[dict[str, list[AcceptedDocument]]]:
    """Yield the changes of up to a batch of documents at a time, each document's in order."""
    by_id: dict[str, list[AcceptedDocument]] = {}
    for change in changes:
        by_id.setdefault(change.id, []).append(change)
    for batch in _batches(list(by_id)):
        yield {name: by_id[name] for name in batch}


def _batches(names: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield up to as many names at a time as the log takes at once."""
    for start in range(0, len(names), MAX_BATCH):
        yield names[start : start + MAX_BATCH]


def _patched(
    control: IndexControl, changes: Mapping[str, Sequence[AcceptedDocument]], newest: Mapping[str, Record]
) -> _Patched:
    """Make the changes to the newest versions of the documents. newest: messages of CATALOG by document id"""
    entries, refused = list[Entry](), list[RefusedDocument]()
    for name, lines in changes.items():
        record = newest.get(name)
        event = decode_catalog(record.data) if record is not None else None
        if record is None or not isinstance(event, DocumentUpserted):
            refused += [RefusedDocument(line.line, NO_DOCUMENT, name) for line in lines]
            continue
        text, is_changed = bytes(event.document), False
        for line in lines:
            document = parse_document(line.line, merged(text, line.members))
            unfit = document if isinstance(document, RefusedDocument) else check_signals(document, control.settings)
            if unfit is not None:
                refused.append(unfit)
            elif isinstance(document, AcceptedDocument):
                text, is_changed = document.text, True
        if is_changed:
            upserted = encode(DocumentUpserted(index=control.name, id=name, document=msgspec.Raw(text)))
            entries.append(Entry(record.subject, upserted, uuid.uuid4().hex, record.seq))
    return _Patched(entries, refused)


def _deletion(control: IndexControl, document_id: str) -> Entry:
    event = DocumentDeleted(index=control.name, id=document_id)
    return Entry(catalog_subject(control.name, control.created_seq, document_id), encode(event), uuid.uuid4().hex)


def _is_document(record: Record) -> bool:
    return isinstance(decode_catalog(record.data), DocumentUpserted)


def _passing(reading: Reading, condition: Filter) -> list[str]:
    """Return the ids of documents that pass a filter: all, or as many as the engine returns at once."""
    n_signals = len(reading.snapshot.settings.signals)
    everything = Retrieval(Query(""), None, {}, np.zeros(n_signals, np.float32), k=1, window=None, filters=condition)
    return [reading.id(slot) for slot in reading.retrieve(everything).keyword.tolist()]


def _has_applied(index: str, seq: int, state: ServingState) -> bool:
    return state.catalog_seq(index) >= seq


def _no_document(index: str, document_id: str) -> NotFound:
    message = f"index {index} has no document {document_id[:80]!r}"
    return NotFound(message, field="document_id", value=document_id)


def _entries(control: IndexControl, documents: Sequence[AcceptedDocument]) -> list[Entry]:
    def entry(document: AcceptedDocument) -> Entry:
        event = DocumentUpserted(index=control.name, id=document.id, document=msgspec.Raw(document.text))
        subject = catalog_subject(control.name, control.created_seq, document.id)
        return Entry(subject, encode(event), uuid.uuid4().hex)

    return [entry(document) for document in documents]


def _nothing_to_infer_from(index: str, refused: Sequence[RefusedDocument]) -> InvalidInput:
    detail = f"line {refused[0].line}: {refused[0].reason}" if refused else "the body is empty"
    return InvalidInput(
        f"there is no index {index!r} and no valid document to infer its settings from ({detail})",
        field="documents",
        limit="NDJSON, one document a line",
    )
