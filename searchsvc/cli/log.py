"""`events verify`, `export` and `import`: check the log, and move it as a file."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import rich_click as click

from events import jetstream, server
from events.archive import archive_line
from events.chain import GENESIS, link
from events.control import ControlState, control_hash, fold_message
from events.copy import COPY_NAME, read_archive
from events.errors import Conflict, Corrupt, InvalidInput, SearchsvcError
from events.jetstream import JetStreamEventLog
from events.log import Entry, Record
from events.streams import STREAMS, StreamName
from searchsvc.cli.client import ServiceClient, json_option, url_option
from searchsvc.config import Config, load_config
from searchsvc.http.shapes import StateInfo

# CONTROL comes first: the subjects of all others name sequences of it.
EXPORTED: Final[tuple[StreamName, ...]] = ("CONTROL", "CATALOG", "BEHAVIOR", "SIGNALS", "DEAD")
TELL_EVERY: Final = 1000


def log_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Where the log is: options `data_dir` and `config_file`."""
    for option in (
        click.option("--config", "config_file", type=click.Path(path_type=Path), help="Configuration file (TOML)."),
        click.option("--data-dir", help="Folder of the service."),
    ):
        command = option(command)
    return command


async def connect_as_reader(config: Config) -> JetStreamEventLog:
    """The log of a running service, to be looked at."""
    if config.nats.url:
        nats = config.nats
        return await jetstream.connect(nats.url, user=nats.user, password=nats.password, role="reader")
    address = server.read_address(config.data_path)
    account = address.accounts["reader"]
    return await jetstream.connect(address.url, user=account.user, password=account.password, role="reader")


class Finding(msgspec.Struct, frozen=True):
    """One thing that was checked. holds: False where there is any doubt."""

    check: str
    holds: bool
    detail: str


@click.command()
@log_options
@url_option
@json_option
def verify(data_dir: str | None, config_file: Path | None, url: str, as_json: bool) -> None:
    """Check that CONTROL is whole, that its copy and the running service agree with it. Ends with 1 on any doubt."""
    config = load_config(config_file, {"data_dir": data_dir}).config
    findings = asyncio.run(_verify(config, url))
    holds = all(finding.holds for finding in findings)
    if as_json:
        click.echo(msgspec.json.encode({"holds": holds, "findings": findings}))
    else:
        for finding in findings:
            click.echo(f"{'holds' if finding.holds else 'DOUBT':6} {finding.check}: {finding.detail}")
        click.echo("the log is what it was" if holds else "the log cannot be vouched for")
    if not holds:
        sys.exit(1)


async def _verify(config: Config, url: str) -> list[Finding]:
    findings: list[Finding] = []

    def look(check: str, work: Callable[[], str]) -> None:
        try:
            findings.append(Finding(check, True, work()))
        except (SearchsvcError, click.ClickException, OSError) as error:
            said = error.message if isinstance(error, click.ClickException) else str(error)
            findings.append(Finding(check, False, said))

    # What is served has to be in the copy, and what is in the copy in the log: so they are read in this order.
    served: list[StateInfo] = []
    copied = [GENESIS]
    look("service", lambda: _served(url, served))
    look("copy", lambda: _copied(config.data_path / COPY_NAME, served, copied))
    states = [ControlState()]
    try:
        event_log = await connect_as_reader(config)
        try:
            last_seq = (await event_log.position("CONTROL")).last_seq
            async for record in event_log.read("CONTROL"):
                states.append(fold_message(states[-1], record.data, record.seq))
        finally:
            await event_log.close()
        whole = states[-1].seq >= last_seq
        detail = f"{states[-1].seq} messages, no gap, each an event; chain ends in {states[-1].chain[:12]}"
        ends = f"the stream says it ends at {last_seq}, but {states[-1].seq} can be read"
        findings.append(Finding("CONTROL", whole, detail if whole else ends))
    except SearchsvcError as error:
        findings.append(Finding("CONTROL", False, str(error)))
    if served:
        look("state", lambda: _same_state(states, served[0]))
    look("log and copy", lambda: _same_copy(copied, states))
    return findings


def _served(url: str, served: list[StateInfo]) -> str:
    with ServiceClient(url) as client:
        served.append(client.call("GET", "/v1/state", StateInfo))
    return f"serves CONTROL {served[0].seq}"


def _same_state(states: Sequence[ControlState], served: StateInfo) -> str:
    if served.seq >= len(states):
        raise Corrupt(f"the service serves CONTROL {served.seq}; the log ends at {len(states) - 1}")
    replayed = states[served.seq]
    if replayed.chain != served.chain:
        raise Corrupt(f"at CONTROL {served.seq} the log's chain is {replayed.chain[:12]}, the service's another")
    if control_hash(replayed) != served.control_hash:
        raise Corrupt(f"a replay up to CONTROL {served.seq} gives another state than the one that is served")
    return f"a replay up to CONTROL {served.seq} gives what is served, hash {served.control_hash[:12]}"


def _copied(path: Path, served: Sequence[StateInfo], chains: list[str]) -> str:
    chains += [archived.chain for archived in read_archive(path)]
    n = len(chains) - 1
    if served and n < served[0].seq:
        raise Corrupt(f"{path} ends at CONTROL {n}, but {served[0].seq} is served")
    return f"{path} holds {n} messages, their chain unbroken"


def _same_copy(copied: Sequence[str], states: Sequence[ControlState]) -> str:
    for seq, (chain, state) in enumerate(zip(copied, states, strict=False)):
        if chain != state.chain:
            raise Corrupt(f"CONTROL {seq} is not what the copy holds")
    if len(copied) > len(states):
        missing = f"CONTROL {len(states)} to {len(copied) - 1} are in the copy and not in the log"
        raise Corrupt(f"{missing}: `searchsvc events import` puts them back")
    return f"the same up to CONTROL {len(copied) - 1}"


@click.command()
@log_options
@click.argument("file", type=click.Path(dir_okay=False, writable=True, path_type=Path))
@click.option("--stream", type=click.Choice(EXPORTED), multiple=True, help="Only this stream; may be repeated.")
def export(data_dir: str | None, config_file: Path | None, file: Path, stream: tuple[StreamName, ...]) -> None:
    """Write the log of a running service to FILE, one message a line."""
    config = load_config(config_file, {"data_dir": data_dir}).config
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
    has to be the beginning of what FILE holds. Every other stream has to be empty.
    """
    config = load_config(config_file, {"data_dir": data_dir}).config
    nats = None
    if not config.nats.url:
        nats = server.start(config.data_path, port=config.nats.port, ingest_password=config.nats.ingest_password)
    try:
        counts = asyncio.run(_import(config, nats, file))
    finally:
        if nats is not None:
            nats.stop()
    click.echo(f"{', '.join(f'{name} {n}' for name, n in counts.items()) or 'nothing'} put into the log")


async def _import(config: Config, nats: server.NatsServer | None, file: Path) -> dict[StreamName, int]:
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
    return counts
