"""`events export` and `events import`: the log as a file."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import rich_click as click

from events import data_folder, server
from events.streams import StreamName
from searchsvc.app.archives import EXPORTED_STREAMS, Counts, export_log, import_archive
from searchsvc.app.log_clients import own_server, reading_log, writing_log
from searchsvc.cli.options import accept_clock_option, json_option, load_log_config, log_options
from searchsvc.cli.output import describe_counts, print_answer, say
from searchsvc.runtime.config import Config

PROGRESS_EVERY: Final = 1000


@click.command()
@log_options
@click.argument("file", type=click.Path(dir_okay=False, writable=True, path_type=Path))
@click.option("--stream", type=click.Choice(EXPORTED_STREAMS), multiple=True, help="Only this stream; may be repeated.")
@json_option
def export(
    data_dir: str | None, config_file: Path | None, file: Path, stream: tuple[StreamName, ...], as_json: bool
) -> None:
    """Write the log of a running service to FILE, one message a line."""
    config = load_log_config(config_file, data_dir)
    streams = [name for name in EXPORTED_STREAMS if not stream or name in stream]
    counts = asyncio.run(_export(config, file, streams))
    print_answer(counts, f"{describe_counts(counts)} written to {file}", as_json)


@click.command("import")
@log_options
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@accept_clock_option
@json_option
def import_(
    data_dir: str | None, config_file: Path | None, file: Path, accept_clock: bool | None, as_json: bool
) -> None:
    """Put the messages of FILE into the log of a stopped service.

    FILE was written by `events export`, or is a service's own control.ndjson. CONTROL keeps its sequences: what the log
    has must be the beginning of what FILE has. Every other stream must be empty; its checkpoints, and the indexes,
    which name its sequences, are rebuilt at the next start (vectors are not encoded again).
    """
    config = load_log_config(config_file, data_dir, accept_clock)
    data_folder.prepare(config.data_path)
    with own_server(config) as nats:
        counts = asyncio.run(_import(config, nats, file))
    print_answer(counts, f"{describe_counts(counts)} put into the log", as_json)


async def _export(config: Config, file: Path, streams: Sequence[StreamName]) -> Counts:
    async with reading_log(config) as event_log:
        return await export_log(event_log, file, streams)


async def _import(config: Config, nats: server.NatsServer | None, file: Path) -> Counts:
    async with writing_log(config, nats) as event_log:
        return await import_archive(event_log, config.data_path, file, _show_progress)


def _show_progress(n_messages: int) -> None:
    if n_messages % PROGRESS_EVERY == 0 and sys.stderr.isatty():
        say(f"{n_messages} messages", err=True)
