"""How many events a second does the service take, on disk, and what do searches feel of it?

Question   events answered 202 over HTTP in requests of 100, and found in BEHAVIOR afterwards; the time of searches
           while 2,000 and 20,000 events a second are offered, in turn, in one run.
Data       a folder with docs.jsonl[.gz], or the made-up catalogue; clicks of many shoppers on its documents.
Baseline   searches at 2,000 events a second; and the rate of bare fsyncs on this disk.
Command    searchsvc bench events ../shared/data/electronics
"""

from __future__ import annotations

import asyncio
import http.client
import itertools
import os
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from benchmarks import report
from benchmarks.collection import documents_file, lines
from benchmarks.queries import sample_queries
from benchmarks.running import RunningService, call, event_log
from events.codec import decode_behavior
from events.types import InteractionRecorded
from searchsvc.cli.data import import_documents
from searchsvc.cli.sample import sample_catalogue

INDEX: Final = "bench"
PER_REQUEST: Final = 100
N_SHOPPERS: Final = 20_000
CONNECTIONS: Final = 4
LOW_RATE: Final = 2_000
HIGH_RATE: Final = 20_000
SEARCHES_PER_S: Final = 20.0


def measure(
    folder: Path | None, *, n_events: int, n_documents: int, seconds: float, rounds: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """The result as JSON would have it.

    n_events: sent as fast as they are taken. n_documents: in the made-up catalogue. seconds: how long each rate is
        offered, `rounds` times.
    """
    with tempfile.TemporaryDirectory(prefix="searchsvc-bench-") as scratch:
        service = RunningService(Path(scratch) / "data")
        try:
            say("importing")
            import_documents(service.url, INDEX, documents_file(folder) if folder else sample_catalogue(n_documents))
            service.await_idle()
            shop = _Shop(service, folder, n_documents)
            fsyncs = _fsyncs_per_s(Path(scratch))
            say("warming up")
            _offer(service, shop, LOW_RATE, 1.0)
            say(f"{n_events} events as fast as they are taken")
            throughput = _throughput(service, shop, n_events)
            offered: dict[int, list[_Offered]] = {LOW_RATE: [], HIGH_RATE: []}
            for turn in range(rounds):
                for rate in offered:
                    say(f"{rate} events a second, round {turn + 1}")
                    offered[rate].append(_offer(service, shop, rate, seconds))
            say("counting what is in BEHAVIOR")
            stored = asyncio.run(_stored(service))
        finally:
            service.stop()
    found = Counter({event_id: stored[event_id] for event_id in shop.accepted})
    missing = sum(found[event_id] == 0 for event_id in shop.accepted)
    figures = {
        "fsyncs_per_s": round(fsyncs),
        "throughput": throughput,
        "offered": {str(rate): _summary(runs) for rate, runs in offered.items()},
        "accepted": len(shop.accepted),
        "accepted_but_missing": missing,
        "stored_more_than_once": sum(n > 1 for n in found.values()),
    }
    return {
        "benchmark": "events",
        "question": "events answered 202 a second and stored; searches meanwhile",
        "collection": folder.name if folder else "made up",
        **report.environment(),
        "per_request": PER_REQUEST,
        "connections": CONNECTIONS,
        **figures,
        "checks": _checks(figures),
    }


class _Shop:
    """What shoppers of one service do: clicks on its documents, and searches. accepted: ids that were answered 202."""

    def __init__(self, service: RunningService, folder: Path | None, n_documents: int) -> None:
        file = documents_file(folder) if folder else None
        documents = [msgspec.json.decode(line) for line in lines(file)] if file else []
        if not documents:
            documents = [msgspec.json.decode(line) for line in sample_catalogue(n_documents)]
        self._ids = [str(document["id"]) for document in documents]
        _, info = service.call("GET", f"/v1/indexes/{INDEX}")
        title = info["settings"]["title"]
        drawn = sample_queries(documents, title, 2_000)
        self._queries = itertools.cycle(drawn)
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self.run = uuid.uuid4().hex[:8]
        self.accepted: list[str] = []

    def query(self) -> str:
        return next(self._queries)

    def request(self) -> tuple[list[str], bytes]:
        """The ids and the body of one request."""
        with self._lock:
            start = next(self._numbers) * PER_REQUEST
        events = [
            {
                "id": f"{self.run}-{n}",
                "type": "click",
                "index": INDEX,
                "document_id": self._ids[n % len(self._ids)],
                "user_token": f"shopper-{n * 7919 % N_SHOPPERS}",
            }
            for n in range(start, start + PER_REQUEST)
        ]
        return [event["id"] for event in events], msgspec.json.encode({"events": events})


class _Offered(msgspec.Struct, frozen=True):
    """One offered rate. statuses: events by the status their request was answered with. late_s: how far the sender fell
    behind its own schedule, at most."""

    statuses: Counter[int]
    searches_ms: list[float]
    late_s: float
    seconds: float


def _throughput(service: RunningService, shop: _Shop, n_events: int) -> dict[str, Any]:
    """Each connection sends its next request when the last was answered."""
    bodies = [shop.request() for _ in range(n_events // PER_REQUEST)]
    work = iter(bodies)
    statuses: Counter[int] = Counter()
    times: list[float] = []
    lock = threading.Lock()

    def send() -> None:
        with closing(service.connection()) as connection:
            while True:
                with lock:
                    ids, body = next(work, ([], b""))
                if not ids:
                    return
                while True:
                    started = time.perf_counter()
                    status = _post(connection, body)
                    with lock:
                        times.append((time.perf_counter() - started) * 1e3)
                        statuses[status] += len(ids)
                        if status == 202:
                            shop.accepted += ids
                    if status not in (429, 503):
                        break
                    time.sleep(0.02)

    started = time.perf_counter()
    _in_threads([send] * CONNECTIONS)
    seconds = time.perf_counter() - started
    return {
        "events": statuses[202],
        "seconds": round(seconds, 3),
        "events_per_s": round(statuses[202] / seconds),
        "by_status": {str(status): n for status, n in sorted(statuses.items())},
        "request_ms": report.latency(times),
    }


def _offer(service: RunningService, shop: _Shop, rate: int, seconds: float) -> _Offered:
    """Requests go out on a schedule, however the ones before were answered; searches too, beside them."""
    n_requests = round(rate * seconds / PER_REQUEST)
    schedule = iter(range(n_requests))
    bodies = [shop.request() for _ in range(n_requests)]
    statuses: Counter[int] = Counter()
    lateness = [0.0]
    lock = threading.Lock()
    began = time.perf_counter() + 0.1

    def send() -> None:
        with closing(service.connection()) as connection:
            while True:
                with lock:
                    n = next(schedule, None)
                if n is None:
                    return
                due = began + n * PER_REQUEST / rate
                time.sleep(max(due - time.perf_counter(), 0.0))
                late = time.perf_counter() - due
                ids, body = bodies[n]
                status = _post(connection, body)
                with lock:
                    lateness[0] = max(lateness[0], late)
                    statuses[status] += len(ids)
                    if status == 202:
                        shop.accepted += ids

    searches: list[float] = []

    def search() -> None:
        with closing(service.connection()) as connection:
            for n in range(round(seconds * SEARCHES_PER_S)):
                due = began + n / SEARCHES_PER_S
                time.sleep(max(due - time.perf_counter(), 0.0))
                started = time.perf_counter()
                status, _ = call(connection, "POST", f"/v1/indexes/{INDEX}/search", {"query": shop.query()})
                searches.append((time.perf_counter() - started) * 1e3)
                if status != 200:
                    raise AssertionError(f"a search was answered {status}")

    started = time.perf_counter()
    _in_threads([send] * CONNECTIONS * 2 + [search])
    return _Offered(statuses, searches, lateness[0], time.perf_counter() - started)


def _post(connection: http.client.HTTPConnection, body: bytes) -> int:
    connection.request("POST", "/v1/events", body)
    response = connection.getresponse()
    response.read()
    return response.status


def _in_threads(works: list[Callable[[], None]]) -> None:
    """Run all at once; raise what one of them raised."""
    errors: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


async def _stored(service: RunningService) -> Counter[str]:
    """How often each event id stands in BEHAVIOR."""
    found: Counter[str] = Counter()
    async with event_log(service) as log:
        async for record in log.read("BEHAVIOR"):
            events = decode_behavior(record.data).events
            found.update(event.id for event in events if isinstance(event, InteractionRecorded))
    return found


def _fsyncs_per_s(folder: Path) -> float:
    with (folder / "fsync").open("wb") as file:
        started = time.perf_counter()
        for _ in range(200):
            file.write(bytes(1024))
            file.flush()
            os.fsync(file.fileno())
        return 200 / (time.perf_counter() - started)


def _summary(runs: list[_Offered]) -> dict[str, Any]:
    statuses = sum((run.statuses for run in runs), Counter[int]())
    seconds = sum(run.seconds for run in runs)
    return {
        "events_by_status": {str(status): n for status, n in sorted(statuses.items())},
        "accepted_per_s": round(statuses[202] / seconds),
        "search_ms": report.latency([ms for run in runs for ms in run.searches_ms]),
        "search_p99_by_round_ms": [round(float(np.percentile(run.searches_ms, 99)), 2) for run in runs],
        "sender_late_s": round(max(run.late_s for run in runs), 3),
    }


def _checks(figures: dict[str, Any]) -> list[report.Check]:
    rate = figures["throughput"]["events_per_s"]
    low, high = (figures["offered"][str(rate)]["search_ms"].p99.value for rate in (LOW_RATE, HIGH_RATE))
    ratio = high / low
    others = {
        status
        for offered in figures["offered"].values()
        for status in offered["events_by_status"]
        if status not in ("202", "429")
    }
    missing, twice = figures["accepted_but_missing"], figures["stored_more_than_once"]
    return [
        report.Check("events answered 202 a second", ">= 20000", f"{rate}", rate >= 20_000),
        report.Check("answered 202 and missing in BEHAVIOR", "0", f"{missing}", missing == 0),
        report.Check("answered 202 and stored more than once", "0", f"{twice}", twice == 0),
        report.Check(
            f"search p99 at {HIGH_RATE} offered / at {LOW_RATE}",
            "<= 2",
            f"{ratio:.2f} ({high:.1f} / {low:.1f} ms)",
            ratio <= 2,
        ),
        report.Check("answers beside 202 and 429", "none", ", ".join(sorted(others)) or "none", not others),
    ]


def print_result(result: dict[str, Any]) -> None:
    print(f"{result['collection']}, requests of {PER_REQUEST}, {result['fsyncs_per_s']} bare fsyncs a second")
    throughput = result["throughput"]
    print(f"  {throughput['events']} events in {throughput['seconds']} s: {throughput['events_per_s']} a second")
    report.print_latency("request of 100 events", throughput["request_ms"])
    for rate, offered in result["offered"].items():
        print(f"  {rate} a second offered: {offered['events_by_status']}, {offered['accepted_per_s']} a second taken")
        report.print_latency("  search over HTTP", offered["search_ms"])
    report.print_checks(result["checks"])
