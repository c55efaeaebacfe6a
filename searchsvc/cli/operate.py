"""`config show` and `doctor`: what is set, and whether this machine and service are well."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import rich_click as click
from rich.console import Console
from rich.table import Table

from events import data_folder, jetstream
from events.errors import SearchsvcError
from events.server import read_address
from events.server_process import find_binary
from events.streams import FORMAT, catalog_filter
from searchsvc.cli.client import ServiceClient, json_option, url_option
from searchsvc.runtime.config import Config, load_config, shown

if TYPE_CHECKING:
    from searchsvc.engines.opensearch.status import IndexStatus

LOW_DISK_BYTES = 1 << 30
MAX_BEHIND = 100_000
SLOW_FSYNC_MS = 50.0


@click.group()
def config() -> None:
    """The configuration and where each value comes from."""


@config.command("show")
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="Configuration file (TOML).")
@click.option("--data-dir", help="As for serve.")
@click.option("--origin", is_flag=True, help="Say where each value comes from.")
@json_option
def show_config(config_file: Path | None, data_dir: str | None, origin: bool, as_json: bool) -> None:
    """Print every key; secrets are hidden."""
    rows = shown(load_config(config_file, {"data_dir": data_dir}))
    if as_json:
        values = {k: {"value": v, "origin": o} if origin else v for k, v, o in rows}
        click.echo(msgspec.json.format(msgspec.json.encode(values), indent=1).decode())
        return
    for key, value, source in rows:
        text = msgspec.json.encode(value).decode()
        click.echo(f"{key} = {text}" + (f"  # {source}" if origin else ""))


class Finding(msgspec.Struct, frozen=True):
    """status: ok, warn or fail."""

    check: str
    status: str
    detail: str


@click.command()
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="Configuration file (TOML).")
@click.option("--data-dir", help="As for serve.")
@url_option
@json_option
def doctor(config_file: Path | None, data_dir: str | None, url: str, as_json: bool) -> None:
    """Check disk, fsync, binaries, model, clock, the running service, OpenSearch where it is configured; say how other
    systems connect.

    The exit status is 1 where a check fails.
    """
    settings = load_config(config_file, {"data_dir": data_dir}).config
    checks: list[tuple[str, Callable[[], tuple[str, str]]]] = [
        ("data folder", lambda: _data_folder(settings)),
        ("disk", lambda: _disk(settings)),
        ("fsync", lambda: _fsync(settings)),
        ("nats-server", _nats_binary),
        ("model", lambda: _model(settings)),
        ("torch", _torch),
        ("clock", _clock),
        ("service", lambda: _service(url)),
        ("log", lambda: _address(settings)),
    ]
    if settings.opensearch.url:
        checks.append(("opensearch", lambda: _opensearch(settings)))
    findings = [_look(name, check) for name, check in checks]
    if as_json:
        click.echo(
            msgspec.json.format(
                msgspec.json.encode({"checks": findings, "nats": _connection(settings)}), indent=1
            ).decode()
        )
    else:
        colours = {"ok": "green", "warn": "yellow", "fail": "red"}
        table = Table("check", "status", "what was found")
        for found in findings:
            table.add_row(found.check, f"[{colours[found.status]}]{found.status}[/]", found.detail)
        Console().print(table)
    if any(found.status == "fail" for found in findings):
        sys.exit(1)


def _look(name: str, check: Callable[[], tuple[str, str]]) -> Finding:
    try:
        status, detail = check()
    except (OSError, SearchsvcError, click.ClickException, subprocess.SubprocessError) as error:
        status, detail = "fail", error.message if isinstance(error, click.ClickException) else str(error)
    return Finding(name, status, detail)


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder


def _data_folder(settings: Config) -> tuple[str, str]:
    folder = settings.data_path
    if not folder.exists():
        return "ok", f"{folder} does not exist yet"
    data_folder.require_format(folder)
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        return "fail", f"{folder} is not a folder that can be written to"
    return "ok", f"{folder} is of format {FORMAT}" if (
        folder / data_folder.MARKER_NAME
    ).exists() else f"{folder} is new"


def _disk(settings: Config) -> tuple[str, str]:
    free = shutil.disk_usage(_existing(settings.data_path)).free
    return "ok" if free > LOW_DISK_BYTES else "warn", f"{free / 1e9:.1f} GB free under {settings.data_path}"


def _fsync(settings: Config) -> tuple[str, str]:
    with tempfile.NamedTemporaryFile(dir=_existing(settings.data_path)) as file:
        started = time.perf_counter()
        for _ in range(10):
            file.write(b"x" * 1024)
            file.flush()
            os.fsync(file.fileno())
        each_ms = (time.perf_counter() - started) * 100
    return "ok" if each_ms < SLOW_FSYNC_MS else "warn", f"{each_ms:.2f} ms each; every acknowledged write waits for one"


def _nats_binary() -> tuple[str, str]:
    binary = find_binary()
    version = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10, check=True)
    return "ok", f"{version.stdout.strip()} at {binary}"


def _model(settings: Config) -> tuple[str, str]:
    from searchsvc.embedding.export import exported, read_manifest
    from searchsvc.embedding.model import find_model

    source = find_model(settings.embedding.model)
    with tempfile.TemporaryDirectory() as elsewhere:
        # A data folder is created by a service, not by looking at it.
        data = settings.data_path if settings.data_path.is_dir() else Path(elsewhere)
        manifest = read_manifest(exported(source, data / "models"))
    return "ok", f"{source.name}, {manifest.dimension} dimensions, weights {source.digest[:12]}…, exported and verified"


def _torch() -> tuple[str, str]:
    from importlib.util import find_spec

    found = [name for name in ("torch", "sentence_transformers") if find_spec(name)]
    if len(found) == 2:
        return "ok", "installed: any sentence-transformers model can be exported"
    return "ok", "not installed; needed only to export models that are no plain BERT encoders"


def _clock() -> tuple[str, str]:
    year = time.gmtime().tm_year
    return (
        ("ok", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()))
        if year >= 2025
        else ("fail", f"it is {year} here")
    )


def _service(url: str) -> tuple[str, str]:
    with ServiceClient(url) as client:
        said = client.call("GET", "/health/ready", dict)
    status = said.get("status")
    detail = "; ".join(said.get("reasons", [])) or f"indexes: {said.get('indexes')}, outbox: {said.get('outbox')}"
    return "ok" if status == "ready" else "warn", f"{status} at {url}: {detail}"


def _opensearch(settings: Config) -> tuple[str, str]:
    from searchsvc.engines.opensearch.node import Node
    from searchsvc.engines.opensearch.status import status

    with closing(Node.from_config(settings.opensearch)) as node:
        found = status(node, settings.opensearch.prefix)
    behind = _behind(settings, found.indexes)
    detail = f"{found.version}, cluster {found.cluster} is {found.health} with {found.nodes} node"
    detail += f"{'s' if found.nodes != 1 else ''}; plugins: {', '.join(found.plugins) or 'none'}"
    for index in found.indexes:
        aliases = ", ".join(index.aliases) or "no alias"
        detail += f"; {index.name} ({aliases}): {index.documents} documents, up to CATALOG {index.catalog_seq}"
        detail += f", {behind[index.name]} behind the log" if index.name in behind else ""
        detail += "" if index.analyzes else ", ITS ANALYZER SPLITS OTHERWISE THAN OURS"
    if not found.knn:
        detail += "; not every node has the k-NN plugin: vectors are searched in the service, and take its memory"
    if found.health == "red" or not all(index.analyzes for index in found.indexes):
        return "fail", detail
    return "ok" if found.knn else "warn", detail


def _behind(settings: Config, indexes: Sequence[IndexStatus]) -> dict[str, str]:
    """By concrete index, how many documents of the log it does not hold yet; nothing where the log cannot be asked."""

    async def counted() -> dict[str, str]:
        nats = settings.nats
        url, user, password, role = nats.url, nats.user, nats.password, "service"
        if not url:
            address = read_address(settings.data_path)
            account, role = address.accounts["reader"], "reader"
            url, user, password = address.url, account.user, account.password
        event_log = await jetstream.connect(url, user=user, password=password, role=role)
        found = {}
        try:
            for one in indexes:
                n, subject = 0, catalog_filter(one.index, one.created_seq)
                async for _ in event_log.read("CATALOG", after=one.catalog_seq, subject=subject):
                    n += 1
                    if n > MAX_BEHIND:
                        break
                found[one.name] = f"{n} documents" if n <= MAX_BEHIND else f"more than {MAX_BEHIND} documents"
        finally:
            await event_log.close()
        return found

    try:
        return asyncio.run(counted())
    except (SearchsvcError, OSError):
        return {}


def _address(settings: Config) -> tuple[str, str]:
    if settings.nats.url:
        return "ok", f"NATS at {settings.nats.url} (configured)"
    address = read_address(settings.data_path)
    return "ok", f"NATS at {address.url} (own child, pid {address.pid}); accounts in {settings.data_path / 'nats.json'}"


def _connection(settings: Config) -> dict[str, object] | None:
    """How another system publishes events: address and the ingest account."""
    try:
        address = read_address(settings.data_path)
    except SearchsvcError:
        return None
    return {"url": address.url, "ingest": address.accounts["ingest"], "subject": "ingest.<index>"}
