"""The checks of `doctor`: of this machine, the service and what they use."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import msgspec
import rich_click as click

from events import data_folder
from events.errors import SearchsvcError
from events.log import EventLog
from events.server import read_address
from events.server_process import find_binary
from events.sizes import GIB, KIB
from events.streams import FORMAT, catalog_filter
from searchsvc.app.log_clients import reading_log
from searchsvc.cli.client import ServiceClient
from searchsvc.runtime.config import Config

if TYPE_CHECKING:
    from searchsvc.engines.opensearch.status import IndexStatus

Status = Literal["ok", "warn", "fail"]
Result = tuple[Status, str]

LOW_DISK_BYTES: Final = GIB
N_FSYNCS: Final = 10
SLOW_FSYNC_MS: Final = 50.0
BINARY_TIMEOUT_S: Final = 10
# A clock before this year was never set.
MIN_YEAR: Final = 2025
# Documents that are counted at most, of those that an OpenSearch index does not hold yet.
MAX_COUNTED: Final = 100_000


class Finding(msgspec.Struct, frozen=True):
    """The result of one check."""

    check: str
    status: Status
    detail: str


def run_checks(config: Config, url: str) -> list[Finding]:
    """Run all checks that apply to a configuration.

    url: address of the service.
    """
    checks: dict[str, Callable[[], Result]] = {
        "data folder": partial(_check_data_folder, config),
        "disk": partial(_check_disk, config),
        "fsync": partial(_check_fsync, config),
        "nats-server": _check_nats_binary,
        "model": partial(_check_model, config),
        "torch": _check_torch,
        "clock": _check_clock,
        "service": partial(_check_service, url),
        "log": partial(_check_log, config),
    }
    if config.opensearch.url:
        checks["opensearch"] = partial(_check_opensearch, config)
    return [run_check(name, check) for name, check in checks.items()]


def run_check(name: str, check: Callable[[], Result]) -> Finding:
    """Run a check. An error that it raises is a failure with the error's message."""
    try:
        status, detail = check()
    except click.ClickException as error:
        status, detail = "fail", error.message
    except (OSError, SearchsvcError, subprocess.SubprocessError) as error:
        status, detail = "fail", str(error)
    return Finding(name, status, detail)


def _existing(folder: Path) -> Path:
    """Return a folder, or the nearest one above it that exists."""
    while not folder.exists():
        folder = folder.parent
    return folder


def _check_disk(config: Config) -> Result:
    free = shutil.disk_usage(_existing(config.data_path)).free
    return "ok" if free > LOW_DISK_BYTES else "warn", f"{free / 1e9:.1f} GB free under {config.data_path}"


def _check_data_folder(config: Config) -> Result:
    folder = config.data_path
    if not folder.exists():
        return "ok", f"{folder} does not exist yet"
    data_folder.require_format(folder)
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        return "fail", f"{folder} is not a folder that can be written to"
    return "ok", f"{folder} is {f'of format {FORMAT}' if (folder / data_folder.MARKER_NAME).exists() else 'new'}"


def _check_fsync(config: Config) -> Result:
    with tempfile.NamedTemporaryFile(dir=_existing(config.data_path)) as file:
        started_s = time.perf_counter()
        for _ in range(N_FSYNCS):
            file.write(b"x" * KIB)
            file.flush()
            os.fsync(file.fileno())
        each_ms = (time.perf_counter() - started_s) * 1e3 / N_FSYNCS
    detail = f"{each_ms:.2f} ms each; every acknowledged write waits for one"
    return "ok" if each_ms < SLOW_FSYNC_MS else "warn", detail


def _check_nats_binary() -> Result:
    binary = find_binary()
    version = subprocess.run(
        [binary, "--version"], capture_output=True, text=True, timeout=BINARY_TIMEOUT_S, check=True
    )
    return "ok", f"{version.stdout.strip()} at {binary}"


def _check_model(config: Config) -> Result:
    from searchsvc.embedding.export import exported, read_manifest
    from searchsvc.embedding.model import find_model

    source = find_model(config.embedding.model)
    with tempfile.TemporaryDirectory() as temporary:
        # A check must create neither the data folder nor another folder of exports.
        parent = config.export_path if config.embedding.export_dir else config.data_path
        manifest = read_manifest(exported(source, config.export_path if parent.exists() else Path(temporary)))
    return "ok", f"{source.name}, {manifest.dimension} dimensions, weights {source.digest[:12]}…, exported and verified"


def _check_torch() -> Result:
    from importlib.util import find_spec

    if all(find_spec(name) for name in ("torch", "sentence_transformers")):
        return "ok", "installed: any sentence-transformers model can be exported"
    return "ok", "not installed; needed only to export models that are not plain BERT encoders"


def _check_clock() -> Result:
    now = time.gmtime()
    if now.tm_year < MIN_YEAR:
        return "fail", f"the year is {now.tm_year} on this machine"
    return "ok", time.strftime("%Y-%m-%d %H:%M:%S UTC", now)


def _check_service(url: str) -> Result:
    with ServiceClient(url) as client:
        health = client.call("GET", "/health/ready", dict)
    status = health.get("status")
    detail = "; ".join(health.get("reasons", [])) or f"indexes: {health.get('indexes')}, outbox: {health.get('outbox')}"
    return "ok" if status == "ready" else "warn", f"{status} at {url}: {detail}"


def _check_log(config: Config) -> Result:
    if config.nats.url:
        return "ok", f"NATS at {config.nats.url} (configured)"
    address = read_address(config.data_path)
    return "ok", f"NATS at {address.url} (own child, pid {address.pid}); accounts in {config.data_path / 'nats.json'}"


def _check_opensearch(config: Config) -> Result:
    from searchsvc.engines.opensearch.node import Node
    from searchsvc.engines.opensearch.status import status

    with closing(Node.from_config(config.opensearch)) as node:
        cluster = status(node, config.opensearch.prefix)
    try:
        behind = asyncio.run(_count_behind(config, cluster.indexes))
    except (SearchsvcError, OSError):
        behind = {}  # the check of the log reports it
    nodes = f"{cluster.nodes} node{'s' if cluster.nodes != 1 else ''}"
    phrases = [
        f"{cluster.version}, cluster {cluster.cluster} is {cluster.health} with {nodes}",
        f"plugins: {', '.join(cluster.plugins) or 'none'}",
        *(_describe_index(index, behind.get(index.name, "")) for index in cluster.indexes),
    ]
    if not cluster.knn:
        phrases.append("not every node has the k-NN plugin: vectors are searched in the service, and use its memory")
    detail = "; ".join(phrases)
    if cluster.health == "red" or not all(index.analyzes for index in cluster.indexes):
        return "fail", detail
    return "ok" if cluster.knn else "warn", detail


def _describe_index(index: IndexStatus, behind: str) -> str:
    aliases = ", ".join(index.aliases) or "no alias"
    text = f"{index.name} ({aliases}): {index.documents} documents, up to CATALOG {index.catalog_seq}"
    text += f", {behind} behind the log" if behind else ""
    return text if index.analyzes else f"{text}, ITS ANALYZER SPLITS TEXT IN ANOTHER WAY THAN THE SERVICE"


async def _count_behind(config: Config, indexes: Sequence[IndexStatus]) -> dict[str, str]:
    """Return, by concrete index, how many documents of the log it does not hold yet. Raises Unavailable."""
    async with reading_log(config) as event_log:
        return {index.name: await _count_missing(event_log, index) for index in indexes}


async def _count_missing(event_log: EventLog, index: IndexStatus) -> str:
    n_missing, subject = 0, catalog_filter(index.index, index.created_seq)
    async for _ in event_log.read("CATALOG", after=index.catalog_seq, subject=subject):
        n_missing += 1
        if n_missing > MAX_COUNTED:
            return f"more than {MAX_COUNTED} documents"
    return f"{n_missing} documents"
