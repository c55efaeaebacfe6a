"""Shoppers of one service who send events: as fast as they are answered, or at a fixed rate while others search."""

from __future__ import annotations

import http.client
import itertools
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any, Final

import msgspec

from benchmarks import report
from benchmarks.errors import BenchmarkFailed
from benchmarks.queries import sample_queries
from benchmarks.running import RunningService, call

PER_REQUEST: Final = 100
N_SHOPPERS: Final = 20_000
N_QUERIES: Final = 2_000
CONNECTIONS: Final = 4
SEARCHES_PER_S: Final = 20.0
RETRY_S: Final = 0.02


class Shop:
    """Clicks of many shoppers on the documents of an index, and their searches.

    accepted: ids of the events that were answered 202
    """

    def __init__(self, service: RunningService, index: str, documents: Sequence[Mapping[str, Any]]) -> None:
        self._index = index
        self._ids = [str(document["id"]) for document in documents]
        _, info = service.call("GET", f"/v1/indexes/{index}")
        self._queries = itertools.cycle(sample_queries(documents, info["settings"]["title"], N_QUERIES))
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._run = uuid.uuid4().hex[:8]
        self.accepted: list[str] = []

    def query(self) -> str:
        return next(self._queries)

    def request(self) -> tuple[list[str], bytes]:
        """Make the next request; return the ids of its events, and its body."""
        with self._lock:
            start = next(self._numbers) * PER_REQUEST
        events = [
            {
                "id": f"{self._run}-{n}",
                "type": "click",
                "index": self._index,
                "document_id": self._ids[n % len(self._ids)],
                "user_token": f"shopper-{n * 7919 % N_SHOPPERS}",
            }
            for n in range(start, start + PER_REQUEST)
        ]
        return [event["id"] for event in events], msgspec.json.encode({"events": events})


class Offered(msgspec.Struct, frozen=True):
    """What became of events that were offered at a fixed rate.

    statuses: events by the status that their request was answered with
    searches_ms: times of the searches meanwhile
    late_s: how far the sender fell behind its schedule at most
    seconds: how long it took
    """

    statuses: Counter[int]
    searches_ms: list[float]
    late_s: float
    seconds: float


def send_all(service: RunningService, shop: Shop, n_events: int) -> dict[str, Any]:
    """Send events as fast as possible: each connection sends its next request when the last is answered."""
    remaining = iter([shop.request() for _ in range(n_events // PER_REQUEST)])
    statuses: Counter[int] = Counter()
    times: list[float] = []
    lock = threading.Lock()

    def send() -> None:
        with closing(service.connection()) as connection:
            while True:
                with lock:
                    ids, body = next(remaining, ([], b""))
                if not ids:
                    return
                status = 0
                while status in (0, 429, 503):
                    time.sleep(RETRY_S if status else 0.0)
                    started = time.perf_counter()
                    status = _post(connection, body)
                    with lock:
                        times.append((time.perf_counter() - started) * 1e3)
                        statuses[status] += len(ids)
                        if status == 202:
                            shop.accepted += ids

    started = time.perf_counter()
    _run_in_threads([send] * CONNECTIONS)
    seconds = time.perf_counter() - started
    return {
        "events": statuses[202],
        "seconds": round(seconds, 3),
        "events_per_s": round(statuses[202] / seconds),
        "by_status": {str(status): n for status, n in sorted(statuses.items())},
        "request_ms": report.latency(times),
    }


def offer(service: RunningService, shop: Shop, index: str, rate: int, seconds: float) -> Offered:
    """Send events on a schedule, whatever became of those before, and search on a schedule at the same time.

    rate: events a second
    """
    n_requests = round(rate * seconds / PER_REQUEST)
    schedule = iter(range(n_requests))
    requests = [shop.request() for _ in range(n_requests)]
    statuses: Counter[int] = Counter()
    lateness = [0.0]
    searches_ms: list[float] = []
    lock = threading.Lock()
    start = time.perf_counter() + 0.1

    def send() -> None:
        with closing(service.connection()) as connection:
            while True:
                with lock:
                    n = next(schedule, None)
                if n is None:
                    return
                late_s = _wait_until(start + n * PER_REQUEST / rate)
                ids, body = requests[n]
                status = _post(connection, body)
                with lock:
                    lateness[0] = max(lateness[0], late_s)
                    statuses[status] += len(ids)
                    if status == 202:
                        shop.accepted += ids

    def search() -> None:
        with closing(service.connection()) as connection:
            for n in range(round(seconds * SEARCHES_PER_S)):
                _wait_until(start + n / SEARCHES_PER_S)
                started = time.perf_counter()
                status, _ = call(connection, "POST", f"/v1/indexes/{index}/search", {"query": shop.query()})
                searches_ms.append((time.perf_counter() - started) * 1e3)
                if status != 200:
                    raise BenchmarkFailed(f"a search was answered {status}")

    started = time.perf_counter()
    _run_in_threads([send] * CONNECTIONS * 2 + [search])
    return Offered(statuses, searches_ms, lateness[0], time.perf_counter() - started)


def _wait_until(due: float) -> float:
    """Wait until a moment of `time.perf_counter`; return by how much it is past (s)."""
    time.sleep(max(due - time.perf_counter(), 0.0))
    return time.perf_counter() - due


def _post(connection: http.client.HTTPConnection, body: bytes) -> int:
    connection.request("POST", "/v1/events", body)
    response = connection.getresponse()
    response.read()
    return response.status


def _run_in_threads(functions: list[Callable[[], None]]) -> None:
    """Run functions at the same time; raise the first error that one of them raised."""
    errors: list[BaseException] = []

    def guarded(function: Callable[[], None]) -> None:
        try:
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
