"""`serve` and `demo`: run the service until a signal stops it."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import rich_click as click
import uvloop

from events.errors import InvalidInput, Unavailable
from events.tasks import end
from searchsvc.app.app import App
from searchsvc.cli.client import ServiceClient
from searchsvc.cli.data import import_documents
from searchsvc.cli.options import Command, accept_clock_option, config_option, data_dir_option
from searchsvc.cli.output import say
from searchsvc.cli.sample import sample_catalogue
from searchsvc.http.api import build_api
from searchsvc.http.connections import Limits
from searchsvc.http.server import HttpServer
from searchsvc.http.shapes.indexes import IndexList
from searchsvc.runtime import malloc
from searchsvc.runtime.config import Config
from searchsvc.runtime.config_sources import load_config
from searchsvc.runtime.printable import printable

# How long a thread keeps the interpreter while another waits for it; the default 5 ms is a whole search.
SWITCH_INTERVAL_S: Final = 0.0005
# A closed terminal (SIGHUP) and Ctrl-\\ (SIGQUIT) end a service like the others: what it holds is saved.
STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
DRAIN_TIMEOUT_S: Final = 5.0
# Their messages of every request would hide our own.
QUIET_LOGGERS: Final = ("httpx", "httpcore", "uvicorn.error")

# Called with the address of the service, once it answers.
WhenUp = Callable[[str], Awaitable[None]]


class PrintableFormatter(logging.Formatter):
    """Formats messages of the log, which may hold text from outside, without control characters."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        record.message = printable(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        # Indented, so that no line of it looks like a message.
        return "\n".join(f"  {printable(line)}" for line in super().formatException(ei).split("\n"))


def service_options(command: Command) -> Command:
    """Add the options of every command that runs the service."""
    host_option = click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
    port_option = click.option("--port", type=int, help="Port to listen on; 0 takes a free one.  [default: 8000]")
    return config_option(data_dir_option(host_option(port_option(accept_clock_option(command)))))


@click.command()
@service_options
@click.option("--worker/--no-worker", default=None, help="Run the worker in this process, or not.  [default: worker]")
def serve(
    config_file: Path | None,
    data_dir: str | None,
    host: str | None,
    port: int | None,
    worker: bool | None,
    accept_clock: bool | None,
) -> None:
    """Run the service. SIGTERM, SIGHUP, SIGQUIT or Ctrl-C finishes the requests under way, saves, and stops."""
    flags = {"data_dir": data_dir, "host": host, "port": port, "worker": worker, "accept_clock": accept_clock}
    run(load_config(config_file, flags).config)


@click.command()
@service_options
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--index", default=None, help="Name of the index.  [default: demo, or the name of the file]")
def demo(
    config_file: Path | None,
    data_dir: str | None,
    host: str | None,
    port: int | None,
    accept_clock: bool | None,
    file: Path | None,
    index: str | None,
) -> None:
    """Run the service with a catalogue: FILE (NDJSON, also .gz), or a made-up one of 3,000 products."""
    flags = {"data_dir": data_dir, "host": host, "port": port, "accept_clock": accept_clock}
    config = load_config(config_file, flags).config
    name = index or (index_name(file) if file else "demo")

    async def load(url: str) -> None:
        await _load_catalogue(url, name, file)
        search = f"curl '{url}/v1/indexes/{name}/search?query=wireless+headphones'"
        links = (f"storefront  {url}/", f"search      {search}", f"API         {url}/schema/openapi.json")
        for line in ("", *(f"  {link}" for link in links), "", "Ctrl-C stops it."):
            say(line)

    run(config, load)


def run(config: Config, when_up: WhenUp | None = None) -> None:
    """Serve until one of `STOP_SIGNALS`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PrintableFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=config.log_level.upper(), handlers=[handler])
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    malloc.limit_retained_memory()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(config, when_up))


async def _load_catalogue(url: str, index: str, file: Path | None) -> None:
    """Import a file, or the made-up catalogue unless the index has documents already."""
    with ServiceClient(url) as client:
        pages = await asyncio.to_thread(lambda: list(client.pages("/v1/indexes", IndexList)))
    if file is None and any(info.name == index and info.n_documents for page in pages for info in page.indexes):
        say(f"index {index} has documents from an earlier start")
        return
    say("loading the catalogue ...")
    report = await asyncio.to_thread(import_documents, url, index, file or sample_catalogue())
    say(f"{report.accepted} documents in index {index}, {report.n_refused} refused")


async def _run(config: Config, when_up: WhenUp | None) -> None:
    loop = asyncio.get_running_loop()
    signalled = asyncio.Event()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, signalled.set)
    with bound_socket(config.host, config.port) as bound:
        await _serve(config, bound, signalled, when_up)


async def _serve(config: Config, bound: socket.socket, signalled: asyncio.Event, when_up: WhenUp | None) -> None:
    """Serve on a socket until signalled."""
    app = App(config)
    await app.start()
    limits = Limits(config.http.connections, config.http.connections_per_client, config.http.body_mb * 1_000_000)
    http = HttpServer(build_api(app.services, app.health, config.http), limits, config.http.proxies)
    try:
        await http.start(bound)
    except Unavailable:
        await app.stop()
        raise
    url = f"http://{config.host}:{bound.getsockname()[1]}"
    say(f"searchsvc listens on {url} (data in {config.data_path})")
    after_start = asyncio.create_task(_call_when_up(when_up, url), name="when up")
    try:
        await signalled.wait()
    finally:
        app.drain()
        after_start.cancel()
        await http.stop(DRAIN_TIMEOUT_S)
        await app.stop()
        # The runner cancels what is left only once, and would wait for ever for a task that lost the cancellation.
        await end(task for task in asyncio.all_tasks() if task is not asyncio.current_task())


async def _call_when_up(when_up: WhenUp | None, url: str) -> None:
    if when_up is None:
        return
    try:
        await when_up(url)
    except click.ClickException as error:
        error.show()


def bound_socket(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to a port, and does not listen yet; port 0 takes a free one.

    Raises Unavailable if the port is in use; InvalidInput if the host is not an address of this machine.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, socket.SOCK_STREAM)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except OSError:
            bound.close()
            raise
        return bound
    except OSError as error:
        if isinstance(error, socket.gaierror):
            raise InvalidInput(f"host {host!r} is no address: {error}", field="host", value=host) from error
        raise Unavailable(f"port {port} of {host} is not free: {error.strerror}; take another --port") from error


def index_name(file: Path) -> str:
    """Return the name of a file's index: the file's, or its folder's for docs.jsonl."""
    name = file.name.partition(".")[0].lower()
    return (file.resolve().parent.name.lower() if name == "docs" else name) or "demo"
