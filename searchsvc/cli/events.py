"""`events`: show, check, move and repair the log."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import rich_click as click

from events.errors import SearchsvcError
from events.log import EventLog, Record
from events.sizes import MIB
from events.streams import StreamName
from events.tasks import Spawned
from searchsvc.app.log_clients import reading_log
from searchsvc.behavior.keyring import KEYRING_NAME, Keyring
from searchsvc.cli.dead import dead, replay
from searchsvc.cli.event_lines import EventPrinter
from searchsvc.cli.log import export, import_
from searchsvc.cli.options import json_option, load_log_config, log_options
from searchsvc.cli.repair import repair
from searchsvc.cli.verify import verify
from searchsvc.runtime.config import Config

TAILED_STREAMS: Final[tuple[StreamName, ...]] = ("CONTROL", "BEHAVIOR", "DEAD")
# Messages of BEHAVIOR to read for rankings that later interactions belong to.
LOOK_BACK: Final = 2_000
# Of each stream, what is held to be printed in order of time.
MAX_RECENT_BYTES: Final = 32 * MIB
QUEUE_SIZE: Final = 1_000


@click.group()
def events() -> None:
    """Show, check, move and repair the log."""


for command in (verify, export, import_, repair, dead, replay):
    events.add_command(command)


@events.command()
@log_options
@click.option("-n", "--last", default=10, show_default=True, help="Number of messages of each stream to start with.")
@click.option("--follow/--no-follow", "-f", default=True, help="Wait for more messages, or stop.  [default: follow]")
@click.option("--stream", type=click.Choice(TAILED_STREAMS), multiple=True, help="Only this stream; may be repeated.")
@json_option
def tail(
    data_dir: str | None,
    config_file: Path | None,
    last: int,
    follow: bool,
    stream: tuple[StreamName, ...],
    as_json: bool,
) -> None:
    """Print events as they are stored. Interactions name the query and the rank that they belong to.

    With --json, prints one line of JSON per event.
    """
    config = load_log_config(config_file, data_dir)
    keyring_path = config.data_path / KEYRING_NAME
    printer = EventPrinter(as_json, Keyring(keyring_path) if keyring_path.exists() else None)
    try:
        asyncio.run(_tail(config, stream or TAILED_STREAMS, last, follow, printer))
    except KeyboardInterrupt:
        return


async def _tail(
    config: Config, streams: tuple[StreamName, ...], last: int, follow: bool, printer: EventPrinter
) -> None:
    async with reading_log(config) as event_log:
        last_seqs: dict[StreamName, int] = {}
        for record in await recent(event_log, streams, last, printer, last_seqs):
            printer.print(record)
        if follow:
            async for record in _follow(event_log, last_seqs):
                printer.print(record)


async def recent(
    event_log: EventLog,
    streams: tuple[StreamName, ...],
    last: int,
    printer: EventPrinter,
    last_seqs: dict[StreamName, int],
) -> list[Record]:
    """Return the last messages of each stream, up to 32 MiB, in order of time; note where each ends in `last_seqs`.

    The printer remembers the rankings before them.
    """
    records: list[Record] = []
    for name in streams:
        stream_state = await event_log.stream_state(name)
        last_seqs[name] = stream_state.last_seq
        if stream_state.count:
            n_read = max(last, LOOK_BACK) if name == "BEHAVIOR" else last
            after = max(stream_state.last_seq - n_read, 0)
            newest, n_bytes = deque[Record](), 0
            async for record in event_log.read(name, after=after):
                newest.append(record)
                n_bytes += len(record.data)
                while len(newest) > last or n_bytes > MAX_RECENT_BYTES:
                    oldest = newest.popleft()
                    n_bytes -= len(oldest.data)
                    printer.remember(oldest)
            records += newest
    return sorted(records, key=lambda record: record.timestamp)


async def _follow(event_log: EventLog, last_seqs: dict[StreamName, int]) -> AsyncIterator[Record]:
    """Yield the messages of several streams after these sequences, as they come."""
    queue: asyncio.Queue[Record | SearchsvcError] = asyncio.Queue(QUEUE_SIZE)

    async def pump(name: StreamName) -> None:
        try:
            async for record in event_log.follow(name, after=last_seqs[name]):
                await queue.put(record)
        except SearchsvcError as error:
            await queue.put(error)

    async with Spawned() as pumps:
        for name in last_seqs:
            pumps.start(pump(name), f"follow {name}")
        while True:
            item = await queue.get()
            if isinstance(item, SearchsvcError):
                raise item
            yield item
