"""`events export` and `import`: the log as a file."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import rich_click as click

from events import data_folder, jetstream, server
from events.archive import archive_line
from events.chain import GENESIS, link
from events.copy import read_archive
from events.errors import Conflict, Corrupt, InvalidInput
from events.jetstream import JetStreamEventLog
from events.log import Entry, Record
from events.streams import STREAMS, StreamName
from searchsvc.runtime.config import Config, load_config

# CONTROL comes first: the subjects of all others name sequences of it.
EXPORTED: Final[tuple[StreamName, ...]] = ("CONTROL", "DRAFTS", "CATALOG", "BEHAVIOR", "SIGNALS", "DEAD")
TELL_EVERY: Final = 1000
# What the data folder holds that names sequences of a stream.
KEPT_OF: Final[dict[StreamName, tuple[str, ...]]] = {"CATALOG": ("catalog", "indexes"), "BEHAVIOR": ("behavior",)}


def log_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Where the log is: options `data_dir` and `config_file`."""
    for option in (
        click.option("--config", "config_file", type=click.Path(path_type=Path), help="Configuration file (TOML)."),
        click.option("--data-dir", help="Folder of the service."),
    ):
        command = option(command)
    return command


def load_log_config(config_file: Path | None, data_dir: str | None) -> Config:
    """Load the configuration of a command that reads a data folder. Raises Corrupt for one of another format."""
    config = load_config(config_file, {"data_dir": data_dir}).config
    data_folder.require_format(config.data_path)
    return config


async def connect_as_reader(config: Config) -> JetStreamEventLog:
    """Connect to the log of a running service, to read it. Raises Unavailable, and Corrupt for another format."""
    if config.nats.url:
        nats = config.nats
        event_log = await jetstream.connect(nats.url, user=nats.user, password=nats.password, role="reader")
        try:
            await event_log.require_format()
        except BaseException:
            await event_log.close()
            raise
        return event_log
    address = server.read_address(config.data_path)
    account = address.accounts["reader"]
    return await jetstream.connect(address.url, user=account.user, password=account.password, role="reader")


@click.command()
@log_options
@click.argument("file", type=click.Path(dir_okay=False, writable=True, path_type=Path))
@click.option("--stream", type=click.Choice(EXPORTED), multiple=True, help="Only this stream; may be repeated.")
def export(data_dir: str | None, config_file: Path | None, file: Path, stream: tuple[StreamName, ...]) -> None:
    """Write the log of a running service to FILE, one message a line."""
    config = load_log_config(config_file, data_dir)
    wanted = [name for name in EXPORTED if not stream or name in stream]
    counts = asyncio.run(_export(config, file, wanted))
    click.echo(f"{', '.join(f'{name} {n}' for name, n in counts.items())} written to {file}")


async def _export(config: Config, file: Path, streams: Sequence[StreamName]) -> dict[StreamName, int]:
    partial, counts = file.with_name(f"{file.name}.partial"), dict.fromkeys(streams, 0)
    event_log = await connect_as_reader(config)
    try:
        with partial.open("wb") as output:
            for name in streams:
                chain = GENESIS
                async for record in event_log.read(name):
                    chain = link(chain, record.data)
                    output.write(archive_line(record, chain if name == "CONTROL" else ""))
                    counts[name] += 1
    finally:
        await event_log.close()
    partial.rename(file)
    return counts


@click.command("import")
@log_options
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def import_(data_dir: str | None, config_file: Path | None, file: Path) -> None:
    """Put the messages of FILE into the log of a service that is stopped.

    FILE is what `events export` wrote, or a service's own control.ndjson. CONTROL keeps its sequences: what is there
    has to be the beginning of what FILE holds. Every other stream has to be empty; what was kept to vouch for it,
    and the indexes, which name its sequences, are made anew (vectors are not encoded again).
    """
    config = load_config(config_file, {"data_dir": data_dir}).config
    data_folder.prepare(config.data_path)
    nats = None
    if not config.nats.url:
        nats = server.start(config.data_path, port=config.nats.port, ingest_password=config.nats.ingest_password)
    try:
        counts = asyncio.run(import_archive(config, nats, file))
    finally:
        if nats is not None:
            nats.stop()
    click.echo(f"{', '.join(f'{name} {n}' for name, n in counts.items()) or 'nothing'} put into the log")


async def import_archive(config: Config, nats: server.NatsServer | None, file: Path) -> dict[StreamName, int]:
    """Put an archive into the log; return how many messages of each stream. nats: the child, where it is our own."""
    if nats is not None:
        account, url = nats.address.accounts["service"], nats.address.url
        event_log = await jetstream.connect(url, user=account.user, password=account.password)
    else:
        event_log = await jetstream.connect(config.nats.url, user=config.nats.user, password=config.nats.password)
    counts: dict[StreamName, int] = {}
    try:
        await event_log.ensure_streams(replicas=config.nats.replicas or event_log.default_replicas)
        positions = {name: await event_log.position(name) for name in STREAMS}
        there: list[Record] = [record async for record in event_log.read("CONTROL")]
        for archived in read_archive(file):
            name = archived.stream
            entry = Entry(archived.subject, bytes(archived.data), archived.msg_id)
            if name == "CONTROL" and archived.seq <= len(there):
                if there[archived.seq - 1].data != entry.data:
                    raise Corrupt(
                        f"CONTROL {archived.seq} is another message than the one in {file}: move the store "
                        f"({config.data_path / 'nats'}) away, then import again"
                    )
                continue
            if name != "CONTROL" and positions[name].last_seq:
                limit = "an empty stream"
                raise InvalidInput(f"{name} holds messages already; import into {limit}", field=name, limit=limit)
            expected = archived.seq - 1 if name == "CONTROL" else None
            try:
                await event_log.append(name, entry, expected_last_seq=expected)
            except Conflict as conflict:
                raise Corrupt(f"CONTROL ends at {conflict.actual}, so {archived.seq} cannot follow") from conflict
            counts[name] = counts.get(name, 0) + 1
            if sum(counts.values()) % TELL_EVERY == 0 and sys.stderr.isatty():
                click.echo(f"{sum(counts.values())} messages", err=True)
    finally:
        await event_log.close()
    for name, folder in KEPT_OF.items():
        if name in counts:
            for kept in folder:
                shutil.rmtree(config.data_path / kept, ignore_errors=True)
    return counts
