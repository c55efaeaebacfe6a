"""The service under attack: how it is called, restarted and hurt."""

from __future__ import annotations

import http.client
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import psutil

from events.errors import Unavailable
from tests.running import RunningService

# A client waits no longer for an answer, and asks again.
CALL_TIMEOUT_S: Final = 30.0
RETRY_S: Final = 0.1
INSIST_S: Final = 300.0
# What may be tried again: no answer, too many requests, a part is away, the disk is full.
RETRIED: Final = (0, 429, 503, 507)


class Fault(msgspec.Struct):
    """Something that an attack did, from when to when (s of time.monotonic)."""

    name: str
    started: float
    ended: float = float("inf")


class Arena:
    """A service on one folder and one port, with what is wrong about it.

    faults: all attacks so far, oldest first
    violations: promises that were seen broken
    """

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.folder = folder
        self.rng = rng
        self.faults: list[Fault] = []
        self.violations: list[str] = []
        self.started = time.monotonic()
        self.service = RunningService(folder / "data")
        self.port = self.service.port
        self.over = threading.Event()

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"

    def violated(self, promise: str) -> None:
        self.violations.append(f"{time.monotonic() - self.started:.1f} s: {promise}")

    @contextmanager
    def fault(self, name: str) -> Iterator[None]:
        """Note that an attack takes place, until the block ends."""
        fault = Fault(name, time.monotonic())
        self.faults.append(fault)
        try:
            yield
        finally:
            fault.ended = time.monotonic()

    def call(
        self, method: str, path: str, body: object = None, *, timeout_s: float = CALL_TIMEOUT_S
    ) -> tuple[int, Any]:
        """Send one request; return (status, decoded answer), or status 0 if there was no answer.

        body: a list is sent as NDJSON
        """
        lines = body if isinstance(body, list) else [body] if body is not None else []
        content = b"\n".join(map(msgspec.json.encode, lines))
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)) as connection:
                connection.request(method, path, content or None)
                response = connection.getresponse()
                return response.status, msgspec.json.decode(response.read())
        except (OSError, http.client.HTTPException, msgspec.DecodeError):
            return 0, {}

    def insist(
        self, method: str, path: str, body: object = None, *, accepted: tuple[int, ...] = (200,)
    ) -> tuple[int, Any]:
        """Send a request until it is accepted, as a client does; return (status, decoded answer).

        Raises Unavailable if it is refused, or not accepted for minutes, which is noted as a violation.
        """
        deadline = time.monotonic() + INSIST_S
        while (outcome := self.call(method, path, body))[0] not in accepted:
            status, answer = outcome
            if status not in RETRIED or time.monotonic() > deadline:
                self.violated(f"{method} {path} was answered {status}: {answer}")
                raise Unavailable(f"{method} {path} was answered {status}")
            time.sleep(RETRY_S)
        return outcome

    def end(self, *, kill: bool) -> None:
        if kill:
            self.service.kill()
        else:
            self.service.stop()

    def start(self) -> None:
        """Start the service again. Raises Unavailable if it does not get ready."""
        self.service = RunningService(self.data_dir, self.port)

    def restart(self, *, kill: bool, between: Callable[[], object] = lambda: None) -> None:
        self.end(kill=kill)
        between()
        self.start()

    def child(self) -> psutil.Process | None:
        """Return the service's nats-server, if there is one now."""
        try:
            children = psutil.Process(self.service.process.pid).children()
        except psutil.NoSuchProcess:
            return None
        return next((child for child in children if "nats-server" in child.name()), None)

    def signal_child(self, number: int) -> None:
        if (child := self.child()) is not None:
            os.kill(child.pid, number)
