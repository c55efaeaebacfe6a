"""Faults against real processes: what was acknowledged is there afterwards, and searches go on meanwhile."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmarks.running import RunningService
from events import server
from searchsvc.cli.data import import_documents
from searchsvc.sample import sample_catalogue
from tests.integration.test_events import tail

Start = Callable[..., RunningService]
MAX_WRITE_GAP_S = 1.0
RETRY_S = 0.02


class Client(threading.Thread):
    """Does one thing over and over until it is told to stop; what it raises, `end` raises."""

    def __init__(self, once: Callable[[int], None]) -> None:
        super().__init__(daemon=True)
        self._once = once
        self._told = threading.Event()
        self._error: BaseException | None = None

    def run(self) -> None:
        n = 0
        try:
            while not self._told.is_set():
                self._once(n)
                n += 1
        except BaseException as error:
            self._error = error

    def end(self) -> None:
        self._told.set()
        self.join(30)
        if self._error is not None:
            raise self._error


@contextmanager
def working(*clients: Client) -> Iterator[None]:
    for client in clients:
        client.start()
    yield
    for client in clients:
        client.end()


def test_a_killed_log_comes_back_within_a_second_loses_nothing_and_searches_never_notice(start_service: Start) -> None:
    service = start_service()
    import_documents(service.url, "shop", sample_catalogue(60))
    statuses: list[int] = []
    acknowledged: list[str] = []
    gaps: list[float] = []

    def search(n: int) -> None:
        statuses.append(service.call("POST", "/v1/indexes/shop/search", {"query": f"boots {n % 7}"})[0])

    def click(n: int) -> None:
        """As a client does: the same event, again and again, until it is taken."""
        event = {"id": f"e{n}", "type": "click", "index": "shop", "document_id": "x"}
        started = time.monotonic()
        while service.call("POST", "/v1/events", {"events": [event]})[0] != 202:
            time.sleep(RETRY_S)
        acknowledged.append(event["id"])
        gaps.append(time.monotonic() - started)

    first = server.read_address(service.data_dir)
    with working(Client(search), Client(click)):
        for _ in range(3):
            time.sleep(0.5)
            n_before = len(acknowledged)
            os.kill(server.read_address(service.data_dir).pid, signal.SIGKILL)
            deadline = time.monotonic() + 10
            while len(acknowledged) < n_before + 5:
                assert time.monotonic() < deadline, "no event was taken for 10 s after the kill"
                time.sleep(0.01)
    again = server.read_address(service.data_dir)
    assert again.pid != first.pid
    assert (again.url, again.accounts) == (first.url, first.accounts)
    assert set(statuses) == {200}
    stored = [entry["event"]["id"] for entry in tail(service, 100_000) if entry["stream"] == "BEHAVIOR"]
    stored_clicks = [event_id for event_id in stored if event_id.startswith("e")]
    figures = f"{len(acknowledged)} acknowledged, longest wait {max(gaps):.2f} s, {len(statuses)} searches"
    sys.stdout.write(f"3 kills of nats-server: {figures}\n")
    assert set(acknowledged) <= set(stored_clicks)
    assert max(gaps) <= MAX_WRITE_GAP_S, sorted(gaps)[-5:]
    assert service.call("GET", "/health/ready")[1]["status"] == "ready"


def test_a_change_of_weights_survives_a_kill_of_the_log_under_it(start_service: Start) -> None:
    service = start_service()
    import_documents(service.url, "shop", sample_catalogue(30))
    versions: list[int] = []

    def change(n: int) -> None:
        body = {"weights": {"cosine": 1 + n % 5 / 10}, "reason": f"change {n}"}
        status, answer = service.call("PUT", "/v1/indexes/shop/weights", body)
        if status == 200:
            versions.append(answer["version"])
        else:
            assert status == 503, answer

    with working(Client(change)):
        for _ in range(3):
            time.sleep(0.4)
            os.kill(server.read_address(service.data_dir).pid, signal.SIGKILL)
        time.sleep(2)
    assert versions == sorted(set(versions))
    _, history = service.call("GET", "/v1/indexes/shop/weights/history")
    stored = [change["version"] for change in history["changes"]]
    assert stored == list(range(max(stored), 0, -1))
    assert set(versions) <= set(stored)
    reasons = [change["reason"] for change in history["changes"] if change["reason"].startswith("change")]
    assert len(reasons) == len(set(reasons)), "a change was applied twice"
