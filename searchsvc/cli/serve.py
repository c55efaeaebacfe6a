"""`serve` and `demo`: run the service until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import rich_click as click
import uvloop
from granian.constants import Interfaces
from granian.server.embed import Server

from events.errors import InvalidInput, Unavailable
from searchsvc.app.app import App
from searchsvc.cli.client import ServiceClient
from searchsvc.cli.data import import_documents
from searchsvc.cli.sample import sample_catalogue
from searchsvc.http.api import build_api
from searchsvc.http.shapes.indexes import IndexList
from searchsvc.runtime import malloc as memory
from searchsvc.runtime.config import Config, load_config

# A thread that waits for the interpreter takes it over after this long; the default 5 ms is a whole search.
SWITCH_INTERVAL_S = 0.0005
DRAIN_TIMEOUT_S = 5.0


def service_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--port", type=int, help="Port to listen on; 0 takes a free one.  [default: 8000]"),
        click.option("--host", help="Address to listen on.  [default: 127.0.0.1]"),
        click.option("--data-dir", help="Folder of the log and the indexes."),
        click.option("--config", "config_file", type=click.Path(path_type=Path), help="Configuration file (TOML)."),
    ):
        command = option(command)
    return command


@click.command()
@service_options
@click.option(
    "--worker/--no-worker", default=None, help="Whether to run the worker in this process.  [default: worker]"
)
def serve(
    config_file: Path | None, data_dir: str | None, host: str | None, port: int | None, worker: bool | None
) -> None:
    """Run the service. SIGTERM or Ctrl-C finishes what is under way, saves, and stops."""
    flags = {"data_dir": data_dir, "host": host, "port": port, "worker": worker}
    run(load_config(config_file, flags).config)


@click.command()
@service_options
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--index", default=None, help="Name of the index.  [default: demo, or the file's name]")
def demo(
    config_file: Path | None,
    data_dir: str | None,
    host: str | None,
    port: int | None,
    file: Path | None,
    index: str | None,
) -> None:
    """Run the service with a catalogue: FILE (NDJSON, also .gz), or one made up on the spot."""
    config = load_config(config_file, {"data_dir": data_dir, "host": host, "port": port}).config
    name = index or (_index_name(file) if file else "demo")

    async def load(url: str) -> None:
        with ServiceClient(url) as client:
            listed = await asyncio.to_thread(client.call, "GET", "/v1/indexes", IndexList)
        if file is None and any(info.name == name and info.n_documents for info in listed.indexes):
            click.echo(f"index {name} is there from an earlier start")
        else:
            click.echo("loading the catalogue ...")
            report = await asyncio.to_thread(import_documents, url, name, file or sample_catalogue())
            click.echo(f"{report.accepted} documents in index {name}, {report.n_refused} refused")
        click.echo(
            f"\n  storefront  {url}/\n  search      curl '{url}/v1/indexes/{name}/search?query=wireless+headphones'"
        )
        click.echo(f"  API         {url}/schema/openapi.json\n\nCtrl-C stops it.")

    run(config, load)


def run(config: Config, when_up: Callable[[str], Awaitable[None]] | None = None) -> None:
    """Serve until SIGTERM or SIGINT. when_up: called with the address once the service answers."""
    logging.basicConfig(
        level=config.log_level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for noisy in ("httpx", "httpcore", "_granian", "granian"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    memory.hand_back_early()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(config, when_up))


async def _run(config: Config, when_up: Callable[[str], Awaitable[None]] | None) -> None:
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    port = _free_port(config.host, config.port)
    app = App(config)
    await app.start()
    http = Server(
        build_api(app.services, app.health),
        address=config.host,
        port=port,
        interface=Interfaces.ASGI,
        log_enabled=False,
        websockets=False,
        backlog=1024,
    )
    serving = asyncio.create_task(http.serve(), name="http")
    stopping = asyncio.create_task(told.wait(), name="signal")
    url = f"http://{config.host}:{port}"
    await _listening(config.host, port, serving)
    click.echo(f"searchsvc listens on {url} (data in {config.data_path})")
    extra = asyncio.create_task(_tell(when_up, url), name="when up")
    try:
        await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
    finally:
        app.drain()
        extra.cancel()
        http.stop()  # type: ignore[no-untyped-call]  # granian's own
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(serving, DRAIN_TIMEOUT_S)
        await app.stop()


async def _listening(host: str, port: int, serving: asyncio.Task[None]) -> None:
    """Wait until a connection is taken: granian binds its port some time after it was started."""
    while not serving.done():
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            await asyncio.sleep(0.01)
            continue
        writer.close()
        return


async def _tell(when_up: Callable[[str], Awaitable[None]] | None, url: str) -> None:
    if when_up is None:
        return
    try:
        await when_up(url)
    except click.ClickException as error:
        error.show()


def _free_port(host: str, port: int) -> int:
    """The port to listen on. granian shares a busy port without a word, so it is tried first without that option.

    Raises Unavailable where something listens there, InvalidInput where the host is no address of this machine.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            return int(probe.getsockname()[1])
    except OSError as error:
        if isinstance(error, socket.gaierror):
            raise InvalidInput(f"host {host!r} is no address: {error}", field="host", value=host) from error
        raise Unavailable(f"port {port} of {host} is not free: {error.strerror}; take another --port") from error


def _index_name(file: Path) -> str:
    name = file.name.partition(".")[0].lower()
    return (file.resolve().parent.name.lower() if name == "docs" else name) or "demo"
