"""`events repair`: after a loss was named, a log of all that is left.

That is the copy of CONTROL, what the store still gives, and the documents that saved indexes hold.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import rich_click as click

from events import jetstream, server
from events.archive import archive_line
from events.codec import decode_behavior, decode_catalog, decode_dead, decode_draft, decode_signal, encode
from events.control import ControlState
from events.copy import COPY_NAME, ControlCopy, read_archive
from events.digest import CatalogFold
from events.errors import Corrupt, InvalidInput, LaterVersion
from events.log import EventLog, Record
from events.snapshot import Snapshots, require_checkpoint
from events.streams import StreamName, catalog_subject
from events.types import DocumentDeleted, DocumentUpserted, Skipped
from searchsvc.app.app import INTERRUPTED_REPAIR
from searchsvc.cli.log import KEPT_OF, import_archive, load_log_config, log_options
from searchsvc.cli.verify import CHECKPOINTS
from searchsvc.engines.embedded.storage import stored_documents
from searchsvc.runtime.config import Config

# CONTROL comes from its copy. INGEST is handed out to consumers, whose places are lost with the store.
READ: Final[dict[StreamName, Callable[[bytes], object]]] = {
    "DRAFTS": decode_draft,
    "CATALOG": decode_catalog,
    "BEHAVIOR": decode_behavior,
    "SIGNALS": decode_signal,
    "DEAD": decode_dead,
}


class Salvage(msgspec.Struct):
    """lost: what a damaged store did not give any more, in words. documents: put back from saved indexes."""

    lost: list[str] = []
    documents: int = 0


@click.command()
@log_options
def repair(data_dir: str | None, config_file: Path | None) -> None:
    """Make the log of a stopped service anew from all that is left of it, after a loss was named.

    CONTROL comes from its copy, everything else from what the store can still read, and documents that are missing
    there from the saved indexes. The damaged store is moved aside, not removed; what is lost for good is listed.
    Messages get new sequences, so indexes are built anew (vectors are not encoded again).
    """
    config = load_log_config(config_file, data_dir)
    if config.nats.url:
        raise click.ClickException("nats.url is set: the store is that server's, and so is its repair")
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    aside, kept = config.data_path / f"nats-damaged-{stamp}", config.data_path / f"repair-{stamp}.ndjson"
    salvage, marker = Salvage(), config.data_path / INTERRUPTED_REPAIR
    if marker.exists():
        # The store is half of what an interrupted repair was putting back; what that one had read is whole.
        kept = Path(marker.read_text())
    else:
        nats = server.start(config.data_path)
        try:
            asyncio.run(_salvage(config, nats, kept, salvage))
        finally:
            nats.stop()
        for _ in read_archive(kept):  # raises before anything is touched
            pass
        marker.write_text(str(kept))
    (config.data_path / "nats").rename(aside)
    for folder in {folder for folders in KEPT_OF.values() for folder in folders}:
        shutil.rmtree(config.data_path / folder, ignore_errors=True)
    nats = server.start(config.data_path, port=config.nats.port, ingest_password=config.nats.ingest_password)
    try:
        counts = asyncio.run(import_archive(config, nats, kept))
    finally:
        nats.stop()
    marker.unlink()
    click.echo(f"{', '.join(f'{name} {n}' for name, n in counts.items()) or 'nothing'} put into a new log")
    if salvage.documents:
        click.echo(f"{salvage.documents} documents that CATALOG had lost were put back from saved indexes")
    for lost in salvage.lost:
        click.echo(f"lost: {lost}")
    click.echo(f"the damaged store is {aside}, and what was read from it {kept}; remove them when you are content")


async def _salvage(config: Config, nats: server.NatsServer, file: Path, salvage: Salvage) -> None:
    account = nats.address.accounts["service"]
    event_log = await jetstream.connect(nats.address.url, user=account.user, password=account.password)
    copy = ControlCopy(config.data_path / COPY_NAME)
    catalog = CatalogFold()
    try:
        await event_log.ensure_streams()
        await _require_copy(event_log, copy)
        await _hold_checkpoints(config, event_log, salvage)
        with file.open("wb") as output:
            output.write(copy.path.read_bytes())
            for stream, decode in READ.items():
                n_counted = (await event_log.position(stream)).count
                n, n_lost = 0, len(salvage.lost)
                try:
                    async for record in event_log.read(stream):
                        event = _read(record, decode, salvage)
                        if event is None:
                            continue
                        output.write(archive_line(record))
                        n += 1
                        if isinstance(event, DocumentUpserted | DocumentDeleted | Skipped):
                            catalog.apply(record.subject, event)
                except Corrupt as error:
                    salvage.lost.append(str(error))
                if n < n_counted and len(salvage.lost) == n_lost:
                    salvage.lost.append(f"{n_counted - n} messages of {stream}")
            for record in _missing_documents(config, copy.state, catalog):
                output.write(archive_line(record))
                salvage.documents += 1
    finally:
        copy.close()
        await event_log.close()


def _read(record: Record, decode: Callable[[bytes], object], salvage: Salvage) -> object | None:
    """The event of a message; one of a later version is taken as it is; None where it is not what it was, and named."""
    try:
        return decode(record.data)
    except LaterVersion:
        return Skipped("of a later version")
    except Corrupt as error:
        salvage.lost.append(f"{record.stream} {record.seq}: {error}")
        return None


async def _hold_checkpoints(config: Config, event_log: EventLog, salvage: Salvage) -> None:
    """Name what was there once and is not any more."""
    for folder, schema in CHECKPOINTS:
        try:
            kept = Snapshots(config.data_path / folder, schema).checkpoint()
            if kept is not None:
                await require_checkpoint(event_log, kept, datetime.now(UTC))
        except Corrupt as error:
            salvage.lost.append(str(error))


async def _require_copy(event_log: EventLog, copy: ControlCopy) -> None:
    """Raise InvalidInput where CONTROL holds more than its copy: then the copy cannot stand in for it."""
    last_seq = (await event_log.position("CONTROL")).last_seq
    if last_seq > copy.seq:
        raise InvalidInput(
            f"CONTROL reaches {last_seq}, but {copy.path} ends at {copy.seq}: start the service once, so it follows",
            field="control.ndjson",
            value=copy.seq,
        )


def _missing_documents(config: Config, control: ControlState, catalog: CatalogFold) -> Iterator[Record]:
    """Documents of saved indexes of which CATALOG says nothing, neither that they are there nor that they are gone."""
    for name, index in control.indexes.items():
        folder = config.data_path / "indexes" / f"{name}-{index.created_seq}"
        for document_id, text in stored_documents(folder).items():
            subject = catalog_subject(name, index.created_seq, document_id)
            if not catalog.knows(subject):
                event = DocumentUpserted(index=name, id=document_id, document=msgspec.Raw(text))
                yield Record("CATALOG", subject, 0, datetime.now(UTC), encode(event))
