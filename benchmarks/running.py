"""A service that a benchmark or a test starts for itself: a real process on a free port, ended by its process id."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import IO, Any, Final, Protocol, Self

import msgspec

from benchmarks.checkout import Checkout
from benchmarks.model import EXPORT_DIR
from events import server
from events.errors import Unavailable
from events.jetstream.event_log import JetStreamEventLog, connect

START_TIMEOUT_S: Final = 300.0
STOP_TIMEOUT_S: Final = 120.0
IDLE_TIMEOUT_S: Final = 600.0
# An indexer tidies up after 2 s without writes, so idle has to mean longer than that.
IDLE_WINDOW_S: Final = 3.0
IDLE_CPU_SHARE: Final = 0.1
LOG_TAIL_BYTES: Final = 2000
RUN = "from searchsvc.cli import main; main()"


class Process(Protocol):
    """What is used of Popen."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    @property
    def stdout(self) -> IO[str] | None: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def terminate(self) -> None: ...

    def kill(self) -> None: ...


class RunningService:
    """`searchsvc serve` on a data folder.

    environment: variables added to this process's own, which is cleared of SEARCHSVC_* first; without a checkout, the
        folder of exported models stays
    ready_timeout_s: time to become ready within; 0 does not wait for readiness
    checkout: source tree to run the service from; None runs the installed one

    start_s: seconds from starting the process to the first 200 of /health/ready

    Raises Unavailable if the service does not start or does not become ready.
    """

    def __init__(
        self,
        data_dir: Path,
        port: int = 0,
        environment: Mapping[str, str] | None = None,
        *,
        ready_timeout_s: float = START_TIMEOUT_S,
        checkout: Checkout | None = None,
    ) -> None:
        self.data_dir = data_dir
        self.environment = dict(environment or {})
        self.checkout = checkout
        started = time.perf_counter()
        self._log = (data_dir.parent / f"{data_dir.name}.log").open("ab")
        # Another version may not know the variable.
        passed_on = (EXPORT_DIR,) if checkout is None or checkout.folder == Checkout.of_this_process().folder else ()
        clean = {k: v for k, v in os.environ.items() if not k.startswith("SEARCHSVC_") or k in passed_on}
        words = ("serve", "--data-dir", str(data_dir), "--port", str(port))
        self.process = self._launch(words, {**clean, **self.environment})
        try:
            self.port = self._read_port()
            if ready_timeout_s:
                self._await_ready(ready_timeout_s)
        except BaseException:
            self.kill()
            raise
        self.start_s = time.perf_counter() - started

    def _launch(self, words: Sequence[str], environment: Mapping[str, str]) -> Process:
        """Start the command with a pipe for its output and the log for its errors. environment: all its variables"""
        if self.checkout is None:
            return self._popen([sys.executable, "-c", RUN, *words], environment)
        # `python -c` imports from the working folder first, so that must not be another checkout.
        path = {"PYTHONPATH": str(self.checkout.folder)}
        return self._popen([*self.checkout.serve_command(), *words], {**environment, **path}, self.data_dir.parent)

    def _popen(
        self, command: Sequence[str], environment: Mapping[str, str], folder: Path | None = None
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self._log, env=environment, cwd=folder, text=True
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def call(self, method: str, path: str, body: object = None, *, actor: str = "") -> tuple[int, dict[str, Any]]:
        """Send one request on a connection of its own; return (status, decoded answer). See `call`."""
        with closing(self.connection()) as connection:
            return call(connection, method, path, body, actor=actor)

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)

    def restarted(self) -> Self:
        """Stop this service and start another on the same data folder and port."""
        self.stop()
        return type(self)(self.data_dir, self.port, self.environment, checkout=self.checkout)

    def await_idle(self, timeout_s: float = IDLE_TIMEOUT_S) -> None:
        """Wait until the service has stopped tidying up what was written to it.

        Watches the processor time of its process, which works whatever the service is made of.

        Raises Unavailable if it is still busy after timeout_s.
        """
        deadline = time.monotonic() + timeout_s
        quiet_since, used = time.monotonic(), _cpu_s(self.process.pid)
        while time.monotonic() - quiet_since < IDLE_WINDOW_S:
            if time.monotonic() > deadline:
                raise Unavailable(f"the service is still busy {timeout_s:g} s after it was written to")
            time.sleep(0.5)
            now_used = _cpu_s(self.process.pid)
            if now_used - used > IDLE_CPU_SHARE * 0.5:
                quiet_since = time.monotonic()
            used = now_used

    def stop(self) -> float:
        """Send SIGTERM and wait for the process to end; return how long that took (s)."""
        started = time.perf_counter()
        self.process.terminate()
        self.process.wait(STOP_TIMEOUT_S)
        self._close()
        return time.perf_counter() - started

    def kill(self) -> None:
        """Send SIGKILL to the service's own pid; its nats-server child has to end by itself."""
        self.process.kill()
        self.process.wait()
        self._close()

    def _close(self) -> None:
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._log.close()

    def _read_port(self) -> int:
        line = self.process.stdout.readline() if self.process.stdout else ""
        if "listens on" not in line:
            raise Unavailable(f"the service did not start; {self._log_tail()}")
        return int(line.split("listens on ")[1].split()[0].rpartition(":")[2])

    def _await_ready(self, timeout_s: float) -> None:
        deadline = time.perf_counter() + timeout_s
        while time.perf_counter() < deadline:
            try:
                status, _ = self.call("GET", "/health/ready")
                if status == 200:
                    return
            except OSError:
                pass
            time.sleep(0.02)
        raise Unavailable(f"the service was not ready within {timeout_s:.0f} s; {self._log_tail()}")

    def _log_tail(self) -> str:
        text = Path(self._log.name).read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")
        return f"the end of its log {self._log.name}:\n{text}"


def call(
    connection: http.client.HTTPConnection, method: str, path: str, body: object = None, *, actor: str = ""
) -> tuple[int, dict[str, Any]]:
    """Send one request on an open connection; return (status, decoded answer).

    actor: name sent as X-Searchsvc-Actor; '' sends none
    """
    headers = {"X-Searchsvc-Actor": actor} if actor else {}
    connection.request(method, path, msgspec.json.encode(body) if body is not None else None, headers)
    response = connection.getresponse()
    return response.status, msgspec.json.decode(response.read())


@asynccontextmanager
async def event_log(service: RunningService) -> AsyncIterator[JetStreamEventLog]:
    """Connect to the log of a running service, as a reader."""
    address = server.read_address(service.data_dir)
    account = address.accounts["reader"]
    log = await connect(address.url, user=account.user, password=account.password, role="reader")
    try:
        yield log
    finally:
        await log.close()


def _cpu_s(pid: int) -> float:
    """Processor seconds that a process has used so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
