"""The nats-server child of the service: one store, one writer. It ends with its parent."""

from __future__ import annotations

import asyncio
import logging
import secrets
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from events import server_process
from events.errors import Corrupt, Unavailable
from events.server_process import Account, Role, ServerAddress, ServerSettings
from events.store_lock import lock_store
from events.tasks import end

# A server that hangs is killed after this time; what it acknowledged is on disk.
STOP_TIMEOUT_S: Final = 4.0
SUPERVISE_EVERY_S: Final = 0.02
# How often a server that runs is asked whether it answers, how long it may take, and after how many checks in a row
# without an answer it is killed.
CHECK_EVERY_S: Final = 1.0
ANSWER_TIMEOUT_S: Final = 2.0
MAX_SILENT_CHECKS: Final = 4
# A server that lived this long ended by accident and is started again at once.
STEADY_S: Final = 5.0
FIRST_DELAY_S: Final = 0.1
MAX_DELAY_S: Final = 5.0

log = logging.getLogger(__name__)


class NatsServer:
    """The server of one data folder, and the lock on that folder. `stop` ends both.

    port: to listen on; -1 takes a free one
    ingest_password: password of the `ingest` account; '' makes a random one
    memory_bytes: that its heap should stay within; 0 sets no limit
    Raises Unavailable if a live service owns the folder.
    """

    def __init__(self, data_dir: Path, *, port: int = -1, ingest_password: str = "", memory_bytes: int = 0) -> None:
        self._data_dir = data_dir
        self._lock = lock_store(data_dir)
        self._process: subprocess.Popen[bytes] | None = None
        accounts: dict[Role, Account] = {
            "service": Account("service", secrets.token_urlsafe(24)),
            "reader": Account("reader", secrets.token_urlsafe(24)),
            "ingest": Account("ingest", ingest_password or secrets.token_urlsafe(24)),
        }
        self._settings = ServerSettings(data_dir, accounts, port, -1, f"/{secrets.token_urlsafe(24)}", memory_bytes)
        self._address: ServerAddress | None = None

    @property
    def address(self) -> ServerAddress:
        """Raises Unavailable before the server has answered for the first time."""
        if self._address is None:
            raise Unavailable("nats-server has not come up yet")
        return self._address

    def service_password(self) -> str:
        """Return the password of the account `service`, for signing in to the server as it runs now.

        Raises ConnectionRefusedError if another process listens in its place.
        """
        return self.address.password("service")()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """Process id of the server; None before it is started."""
        return self._process.pid if self._process is not None else None

    @property
    def end_report(self) -> str:
        """Exit status of a server that ended, and the last lines it logged."""
        status = self._process.returncode if self._process is not None else None
        return f"status {status}: {server_process.last_log_lines(self._data_dir)}"

    def spawn(self) -> None:
        """Start the server, after the first time on the same ports and with the same accounts. Returns at once.

        The server ends with the calling thread, which has to live as long as the service. `await_answer` waits until it
        answers. Raises Unavailable if there is no binary.
        """
        self._process = server_process.spawn(self._settings, self._lock)

    def await_answer(self) -> None:
        """Block until the server answers. Raises Unavailable, or Corrupt if it does not fsync, and ends it then."""
        if self._process is None:
            raise Unavailable("nats-server was not started")
        self._address = server_process.wait_for_answer(self._settings, self._process)
        client, monitor = (urlsplit(url).port or -1 for url in (self._address.url, self._address.monitor_url))
        self._settings = msgspec.structs.replace(self._settings, port=client, monitor_port=monitor)

    def healthy(self) -> bool:
        """Return whether the server reports that it can store. Blocks for up to a second."""
        try:
            with urllib.request.urlopen(f"{self.address.monitor_url}/healthz", timeout=1):  # noqa: S310 - our own child
                return True
        except (OSError, urllib.error.URLError):
            return False

    def answers(self) -> bool:
        """Return whether the server answers at all, well or not. Blocks for up to `ANSWER_TIMEOUT_S`."""
        monitor = f"{self.address.monitor_url}/healthz?js-server-only=true"
        try:
            with urllib.request.urlopen(monitor, timeout=ANSWER_TIMEOUT_S):  # noqa: S310 - our own child
                return True
        except urllib.error.HTTPError:
            return True
        except (OSError, urllib.error.URLError):
            return False

    def terminate(self) -> None:
        """Ask the server to end; `supervise` starts it again."""
        if self._process is not None:
            self._process.terminate()

    def kill(self) -> None:
        """End a server that does not answer; `supervise` starts it again. What it acknowledged is on disk."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """End the server (SIGTERM, then SIGKILL) and release the lock. Safe to call twice."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._lock.release()


async def supervise(server: NatsServer, report: Callable[[str], None]) -> None:
    """Start the server, and again whenever it ends, until cancelled. The delay grows while it ends soon.

    Runs on the loop of a thread that lives as long as the service (see `NatsServer.spawn`).

    report: called with the reason while no server answers, and with '' once one does
    """
    delay_s = 0.0
    while True:
        started = time.monotonic()
        try:
            server.spawn()
            await asyncio.to_thread(server.await_answer)
            report("")
            reason = await _watch(server, report)
        except (Unavailable, Corrupt, OSError) as error:
            reason = str(error)
        delay_s = 0.0 if time.monotonic() - started > STEADY_S else min(max(2 * delay_s, FIRST_DELAY_S), MAX_DELAY_S)
        log.error("%s; it is started again in %g s", reason, delay_s)
        report(reason)
        await asyncio.sleep(delay_s)


async def _watch(server: NatsServer, report: Callable[[str], None]) -> str:
    """Wait until the server has ended, and return why. One that hangs is ended."""
    hanging = asyncio.create_task(_kill_if_it_hangs(server, report), name="nats-server watch")
    try:
        while server.running:  # noqa: ASYNC110 - a process ends without telling the loop
            await asyncio.sleep(SUPERVISE_EVERY_S)
    finally:
        await end([hanging])
    hung = "hung and was killed" if hanging.done() and not hanging.cancelled() else "ended"
    return f"nats-server {hung} with {server.end_report}"


async def _kill_if_it_hangs(server: NatsServer, report: Callable[[str], None]) -> None:
    """Kill the server once it has not answered `MAX_SILENT_CHECKS` times in a row."""
    n_silent = 0
    while n_silent < MAX_SILENT_CHECKS:
        await asyncio.sleep(CHECK_EVERY_S)
        if await asyncio.to_thread(server.answers):
            if n_silent:
                report("")
            n_silent = 0
        else:
            n_silent += 1
            report(f"nats-server (process {server.address.pid}) does not answer")
    await asyncio.to_thread(server.kill)


def start(data_dir: Path, *, port: int = -1, ingest_password: str = "") -> NatsServer:
    """Start a nats-server on loopback with its store under `data_dir`, and block until it answers.

    Raises Unavailable if the folder is in use, the binary is missing or the server does not come up, and Corrupt
    if it runs without an fsync for every write.
    """
    server = NatsServer(data_dir, port=port, ingest_password=ingest_password)
    try:
        server.spawn()
        server.await_answer()
    except BaseException:
        server.stop()
        raise
    return server


def read_address(data_dir: Path) -> ServerAddress:
    """Return the content of `DATA/nats.json`. Raises Unavailable if no service has started there."""
    path = data_dir / "nats.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=ServerAddress)
    except FileNotFoundError:
        raise Unavailable(
            f"no service runs on {data_dir} (there is no {path.name}); start one with `searchsvc serve`"
        ) from None
    except msgspec.DecodeError as error:
        raise Corrupt(f"{path} is not readable: {error}") from error
