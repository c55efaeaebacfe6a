"""A service of the benchmark's own: a real process on a free port, ended by its process id."""

from __future__ import annotations

import http.client
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any, cast

import msgspec

from events import jetstream, server
from events.errors import Unavailable
from events.jetstream import JetStreamEventLog
from searchsvc.engines.embedded.storage import snapshots

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 30.0
RUN = "from searchsvc.cli import main; main()"


class RunningService:
    """`searchsvc serve` on a data folder. environment: settings on top of a clean one. patience_s: to be ready within;
    0 does not wait for that.

    start_s: from starting the process to its first 200 on /health/ready. Raises Unavailable where it does not come up.
    """

    def __init__(
        self,
        data_dir: Path,
        port: int = 0,
        environment: Mapping[str, str] | None = None,
        *,
        patience_s: float = START_TIMEOUT_S,
    ) -> None:
        self.data_dir = data_dir
        self.environment = dict(environment or {})
        started = time.perf_counter()
        clean = {k: v for k, v in os.environ.items() if not k.startswith("SEARCHSVC_")}
        self._log = (data_dir.parent / f"{data_dir.name}.log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN, "serve", "--data-dir", str(data_dir), "--port", str(port)],
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**clean, **self.environment},
            text=True,
        )
        self.port = self._read_port()
        if patience_s:
            self._wait_ready(patience_s)
        self.start_s = time.perf_counter() - started

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def call(self, method: str, path: str, body: object = None, *, actor: str = "") -> tuple[int, dict[str, Any]]:
        """(status, decoded answer) of one request on a connection of its own. actor: who asks; '' says nothing."""
        with closing(self.connection()) as connection:
            return call(connection, method, path, body, actor=actor)

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def stop(self) -> float:
        """End it politely; return how long that took (s)."""
        started = time.perf_counter()
        self.process.terminate()
        self.process.wait(STOP_TIMEOUT_S)
        self._close()
        return time.perf_counter() - started

    def kill(self) -> None:
        """kill -9 of the service's own pid; its child must go by itself."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._close()

    def _close(self) -> None:
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._log.close()

    def _read_port(self) -> int:
        line = self.process.stdout.readline() if self.process.stdout else ""
        if "listens on" not in line:
            self.process.kill()
            self.process.wait()
            self._close()
            raise Unavailable(f"the service did not start; its log is {self._log.name}")
        return int(line.split("listens on ")[1].split()[0].rpartition(":")[2])

    def _wait_ready(self, patience_s: float) -> None:
        deadline = time.perf_counter() + patience_s
        while time.perf_counter() < deadline:
            try:
                status, _ = self.call("GET", "/health/ready")
                if status == 200:
                    return
            except OSError:
                pass
            time.sleep(0.02)
        self.stop()
        raise Unavailable(f"the service was not ready within {patience_s:.0f} s; its log is {self._log.name}")


def call(
    connection: http.client.HTTPConnection, method: str, path: str, body: object = None, *, actor: str = ""
) -> tuple[int, dict[str, Any]]:
    """(status, decoded answer) of one request on a kept connection."""
    headers = {"X-Searchsvc-Actor": actor} if actor else {}
    connection.request(method, path, msgspec.json.encode(body) if body is not None else None, headers)
    response = connection.getresponse()
    return response.status, msgspec.json.decode(response.read())


class Searched(msgspec.Struct, frozen=True):
    """One answer. http_ms: from sending the request to holding all of it. stages: milliseconds by stage."""

    answer: dict[str, Any]
    http_ms: float
    stages: dict[str, float]

    @property
    def took_ms(self) -> float:
        return float(self.answer["took_ms"])


def search(connection: http.client.HTTPConnection, index: str, asked: Mapping[str, Any]) -> Searched:
    """One search on a kept connection. Raises AssertionError where it is refused."""
    started = time.perf_counter()
    connection.request("POST", f"/v1/indexes/{index}/search", msgspec.json.encode(asked))
    response = connection.getresponse()
    body = response.read()
    elapsed = (time.perf_counter() - started) * 1e3
    answer = msgspec.json.decode(body)
    if response.status != 200:
        raise AssertionError(f"{asked} answered {response.status}: {answer}")
    stages = server_timing(response.headers["Server-Timing"])
    stages.pop("total", None)
    return Searched(answer, elapsed, stages)


def search_all(port: int, index: str, queries: Sequence[str], n_connections: int) -> tuple[list[float], int]:
    """Milliseconds of each search, as fast as they are answered over several kept connections; and how many answers
    were degraded.

    On one thread and without a library of HTTP: a client as heavy as the service would take half of a small machine
    from it. Raises AssertionError where an answer is refused.
    """
    waiting = iter(queries)
    times: list[float] = []
    bodies: list[bytes] = []
    with selectors.DefaultSelector() as selector, ExitStack() as connections:

        def ask(connection: socket.socket) -> None:
            query = next(waiting, None)
            if query is None:
                selector.unregister(connection)
                return
            body = msgspec.json.encode({"query": query})
            head = f"POST /v1/indexes/{index}/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
            selector.modify(connection, selectors.EVENT_READ, (time.perf_counter(), bytearray()))
            connection.sendall(head.encode() + body)

        for _ in range(min(n_connections, len(queries))):
            connection = connections.enter_context(socket.create_connection(("127.0.0.1", port)))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(connection, selectors.EVENT_READ)
            ask(connection)
        while selector.get_map():
            for key, _ in selector.select():
                connection = cast("socket.socket", key.fileobj)
                asked_at, received = key.data
                part = connection.recv(1 << 18)
                if not part:
                    raise AssertionError("the service closed a connection")
                received += part
                head_bytes, blank, body = received.partition(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: *(\d+)", head_bytes)
                if blank and length is not None and len(body) >= int(length[1]):
                    times.append((time.perf_counter() - asked_at) * 1e3)
                    bodies.append(bytes(body))
                    if b" 200 " not in head_bytes.partition(b"\r\n")[0]:
                        raise AssertionError(f"a search was answered {bytes(received[:500])!r}")
                    ask(connection)
    return times, sum(bool(msgspec.json.decode(body)["degraded"]) for body in bodies)


def server_timing(header: str) -> dict[str, float]:
    """Milliseconds by stage, from a Server-Timing header."""
    parts = (part.strip().split(";dur=") for part in header.split(","))
    return {name: float(ms) for name, ms in parts}


@asynccontextmanager
async def event_log(service: RunningService) -> AsyncIterator[JetStreamEventLog]:
    """The log of a running service, to be looked at."""
    address = server.read_address(service.data_dir)
    account = address.accounts["reader"]
    log = await jetstream.connect(address.url, user=account.user, password=account.password, role="reader")
    try:
        yield log
    finally:
        await log.close()


def await_snapshot(data_dir: Path, index: str) -> None:
    """Wait until an index that was just loaded is tidied up and saved, and its service is quiet."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if any(snapshots(folder) for folder in (data_dir / "indexes").glob(f"{index}-*")):
            return
        time.sleep(0.1)
    raise AssertionError(f"index {index} was not saved within 120 s of the import")
