"""Rebuild a damaged log from everything that is left of it.

CONTROL comes from its copy and the store, other streams from what the store can still read, and documents that are
missing there from saved indexes. The damaged store, and a damaged copy of CONTROL, are moved aside. There is always a
way forward: what nothing can read any more is listed, and left out.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from events import server
from events.archive import archive_line, read_line
from events.chain import GENESIS, link
from events.codec import decode_behavior, decode_catalog, decode_dead, decode_draft, decode_signal, encode
from events.control import ControlState, fold_message
from events.copy import COPY_NAME, read_archive
from events.data_folder import STORE_NAME
from events.digest import CatalogFold
from events.errors import Corrupt, LaterVersion
from events.log import EventLog, Record
from events.salvage import copied_messages, salvage_control
from events.streams import StreamName, catalog_subject
from events.types import DocumentDeleted, DocumentUpserted, Skipped
from searchsvc.app.archives import DERIVED_FOLDERS, Counts, delete_derived, import_archive
from searchsvc.app.checkpoints import CHECKPOINTS, require_saved_checkpoint
from searchsvc.app.log_clients import own_server, writing_log
from searchsvc.engines.embedded.storage import stored_documents
from searchsvc.runtime.config import Config
from searchsvc.runtime.files import open_private, replace_private

# Holds the report so far, from before the store is moved aside until the new one is complete.
INTERRUPTED_REPAIR: Final = "repairing"
# CONTROL is put together by `events.salvage`. INGEST is left out: the positions of its consumers are lost with the
# store.
SALVAGED_STREAMS: Final[dict[StreamName, Callable[[bytes], object]]] = {
    "DRAFTS": decode_draft,
    "CATALOG": decode_catalog,
    "BEHAVIOR": decode_behavior,
    "SIGNALS": decode_signal,
    "DEAD": decode_dead,
}

log = logging.getLogger(__name__)


class RepairReport(msgspec.Struct):
    """The result of a repair.

    imported: messages in the new log, by stream.
    n_documents: documents put back from saved indexes.
    lost: what the damaged store no longer gave, each as one phrase.
    damaged_store: where it is now.
    archive: file of everything that was read from it.
    """

    imported: Counts = {}
    n_documents: int = 0
    lost: list[str] = []
    damaged_store: str = ""
    archive: str = ""


def repair_log(config: Config) -> RepairReport:
    """Rebuild the log of a stopped service. Blocks. An interrupted repair is continued.

    Raises Unavailable if the service is running, and Corrupt if the clock may be far ahead and is not accepted.
    """
    data = config.data_path
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    damaged_store, archive = data / f"nats-damaged-{stamp}", data / f"repair-{stamp}.ndjson"
    report, marker = RepairReport(damaged_store=str(damaged_store), archive=str(archive)), data / INTERRUPTED_REPAIR
    if marker.exists():
        # The store is half of what an interrupted repair was importing; the archive that it had read is complete.
        report = msgspec.json.decode(marker.read_bytes(), type=RepairReport)
        archive = Path(report.archive)
    else:
        with own_server(config) as nats_server:
            asyncio.run(_salvage(config, nats_server, archive, report))
        for _ in read_archive(archive):  # raises before anything is changed
            pass
        replace_private(marker, msgspec.json.encode(report))
    _replace_copy(data / COPY_NAME, archive, data / f"control-damaged-{stamp}.ndjson")
    if (data / STORE_NAME).exists():  # not if it was interrupted just after this
        (data / STORE_NAME).rename(damaged_store)
    delete_derived(data, list(DERIVED_FOLDERS))
    with own_server(config) as nats_server:
        report.imported = asyncio.run(_import(config, nats_server, archive))
    marker.unlink()
    return report


async def _import(config: Config, nats: server.NatsServer | None, archive: Path) -> Counts:
    async with writing_log(config, nats) as event_log:
        return await import_archive(event_log, config.data_path, archive)


async def _salvage(config: Config, nats: server.NatsServer | None, file: Path, report: RepairReport) -> None:
    """Write everything that can be read to an archive."""
    catalog = CatalogFold()
    async with writing_log(config, nats) as event_log:
        await _check_checkpoints(config, event_log, report)
        with open_private(file) as output:
            control = await _salvage_control(config.data_path / COPY_NAME, event_log, output, report)
            for stream, decode in SALVAGED_STREAMS.items():
                await _salvage_stream(event_log, stream, decode, catalog, output, report)
            for record in _missing_documents(config, control, catalog):
                output.write(archive_line(record))
                report.n_documents += 1


async def _salvage_control(copy: Path, event_log: EventLog, output: BinaryIO, report: RepairReport) -> ControlState:
    """Write CONTROL, as far as its copy and the store have it, to an archive, and return its state."""
    copied = copied_messages(copy.read_bytes()) if copy.exists() else {}
    stored: dict[int, Record] = {}
    try:
        async for record in event_log.read("CONTROL"):
            stored[record.seq] = record
    except Corrupt as error:
        # What is missing is listed only if the copy lacks it too.
        log.warning("CONTROL in the store: %s", error)
    state, chain = ControlState(), GENESIS
    for record, loss in salvage_control(copied, stored, datetime.now(UTC)):
        report.lost += [loss] if loss else []
        chain = link(chain, record.data)
        output.write(archive_line(record, chain))
        if state.seq == record.seq - 1:
            with suppress(LaterVersion):
                state = fold_message(state, record.data, record.seq)
    return state


def _replace_copy(copy: Path, archive: Path, damaged: Path) -> None:
    """Replace the copy of CONTROL by the messages of the archive. A copy that differs is kept as `damaged`."""
    lines = (line + b"\n" for line in archive.read_bytes().split(b"\n") if line)
    complete = b"".join(line for line in lines if read_line(line).stream == "CONTROL")
    if copy.exists() and copy.read_bytes() == complete:
        return
    if copy.exists() and not damaged.exists():
        shutil.copy2(copy, damaged)
    replace_private(copy, complete)


async def _salvage_stream(
    event_log: EventLog,
    stream: StreamName,
    decode: Callable[[bytes], object],
    catalog: CatalogFold,
    output: BinaryIO,
    report: RepairReport,
) -> None:
    """Write the readable messages of a stream to an archive, and report the others as lost."""
    n_expected = (await event_log.stream_state(stream)).count
    n_read, n_lost_before = 0, len(report.lost)
    try:
        async for record in event_log.read(stream):
            event = _decode(record, decode, report)
            if event is None:
                continue
            output.write(archive_line(record))
            n_read += 1
            if isinstance(event, DocumentUpserted | DocumentDeleted | Skipped):
                catalog.apply(record.subject, event)
    except Corrupt as error:
        report.lost.append(str(error))
    if n_read < n_expected and len(report.lost) == n_lost_before:
        report.lost.append(f"{n_expected - n_read} messages of {stream}")


def _decode(record: Record, decode: Callable[[bytes], object], report: RepairReport) -> object | None:
    """Return the event of a message; None if it is damaged, which is reported. Events of later versions are kept."""
    try:
        return decode(record.data)
    except LaterVersion:
        return Skipped("of a later version")
    except Corrupt as error:
        report.lost.append(f"{record.stream} {record.seq}: {error}")
        return None


async def _check_checkpoints(config: Config, event_log: EventLog, report: RepairReport) -> None:
    """Report what the log held at a checkpoint and does not hold any more."""
    for checkpoint in CHECKPOINTS:
        try:
            await require_saved_checkpoint(config.data_path, checkpoint, event_log)
        except Corrupt as error:
            report.lost.append(str(error))


def _missing_documents(config: Config, control: ControlState, catalog: CatalogFold) -> Iterator[Record]:
    """Yield the documents of saved indexes that CATALOG has no message of, neither a document nor a deletion."""
    for name, index in control.indexes.items():
        folder = config.data_path / "indexes" / f"{name}-{index.created_seq}"
        for document_id, text in stored_documents(folder).items():
            subject = catalog_subject(name, index.created_seq, document_id)
            if not catalog.knows(subject):
                event = DocumentUpserted(index=name, id=document_id, document=msgspec.Raw(text))
                yield Record("CATALOG", subject, 0, datetime.now(UTC), encode(event))
