"""How many events a second does the service store, and how does that slow searches?

Question   events answered 202 over HTTP in requests of 100, and found in BEHAVIOR afterwards; the time of searches
           while 2,000 and 20,000 events a second are offered, in turn, in one run.
Data       a folder with docs.jsonl[.gz], or the sample catalogue; clicks of many shoppers on its documents.
Baseline   searches at 2,000 events a second; and the rate of bare fsyncs on this disk.
Command    searchsvc bench events ../shared/data/electronics
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from benchmarks import report
from benchmarks.event_load import CONNECTIONS, PER_REQUEST, Offered, Shop, offer, send_all
from benchmarks.importing import import_collection
from benchmarks.running import RunningService, event_log
from events.codec import decode_behavior
from events.types import InteractionRecorded
from searchsvc.cli.data import import_documents
from searchsvc.cli.sample import sample_catalogue

INDEX: Final = "bench"
LOW_RATE: Final = 2_000
HIGH_RATE: Final = 20_000
N_FSYNCS: Final = 200
FSYNC_BYTES: Final = 1024


def measure(
    folder: Path | None, *, n_events: int, n_documents: int, seconds: float, rounds: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """Send events to a service; return the result as it is written to JSON.

    folder: collection; None takes the sample catalogue
    n_events: sent as fast as possible
    n_documents: of the sample catalogue
    seconds: how long each rate is offered
    rounds: how often the rates take turns
    """
    with tempfile.TemporaryDirectory(prefix="searchsvc-bench-") as scratch:
        service = RunningService(Path(scratch) / "data")
        try:
            say("importing")
            if folder is not None:
                documents = import_collection(service, INDEX, folder).documents
            else:
                documents = [msgspec.json.decode(line) for line in sample_catalogue(n_documents)]
                import_documents(service.url, INDEX, sample_catalogue(n_documents))
            service.await_idle()
            shop = Shop(service, INDEX, documents)
            fsyncs_per_s = _fsyncs_per_s(Path(scratch))
            say("warming up")
            offer(service, shop, INDEX, LOW_RATE, 1.0)
            say(f"{n_events} events as fast as possible")
            throughput = send_all(service, shop, n_events)
            offered: dict[int, list[Offered]] = {LOW_RATE: [], HIGH_RATE: []}
            for turn in range(rounds):
                for rate in offered:
                    say(f"{rate} events a second, round {turn + 1}")
                    offered[rate].append(offer(service, shop, INDEX, rate, seconds))
            say("counting what is in BEHAVIOR")
            stored = asyncio.run(_count_stored(service))
        finally:
            service.stop()
    figures = {
        "fsyncs_per_s": round(fsyncs_per_s),
        "throughput": throughput,
        "offered": {str(rate): _summary(runs) for rate, runs in offered.items()},
        "accepted": len(shop.accepted),
        "accepted_but_missing": sum(stored[event_id] == 0 for event_id in shop.accepted),
        "stored_more_than_once": sum(stored[event_id] > 1 for event_id in set(shop.accepted)),
    }
    return {
        "benchmark": "events",
        "question": "events answered 202 a second and stored; searches meanwhile",
        "collection": folder.name if folder else "sample catalogue",
        **report.environment(),
        "per_request": PER_REQUEST,
        "connections": CONNECTIONS,
        **figures,
        "checks": _checks(figures),
    }


async def _count_stored(service: RunningService) -> Counter[str]:
    """Count how often each event id is in BEHAVIOR."""
    counts: Counter[str] = Counter()
    async with event_log(service) as log:
        async for record in log.read("BEHAVIOR"):
            events = decode_behavior(record.data).events
            counts.update(event.id for event in events if isinstance(event, InteractionRecorded))
    return counts


def _fsyncs_per_s(folder: Path) -> float:
    with (folder / "fsync").open("wb") as file:
        started = time.perf_counter()
        for _ in range(N_FSYNCS):
            file.write(bytes(FSYNC_BYTES))
            file.flush()
            os.fsync(file.fileno())
        return N_FSYNCS / (time.perf_counter() - started)


def _summary(runs: Sequence[Offered]) -> dict[str, Any]:
    """Summarise the rounds of one rate."""
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
    statuses = {status for offered in figures["offered"].values() for status in offered["events_by_status"]}
    unexpected = ", ".join(sorted(statuses - {"202", "429"}))
    missing, repeated = figures["accepted_but_missing"], figures["stored_more_than_once"]
    return [
        report.Check("events answered 202 a second", ">= 20000", f"{rate}", rate >= 20_000),
        report.Check("answered 202 and missing in BEHAVIOR", "0", f"{missing}", missing == 0),
        report.Check("answered 202 and stored more than once", "0", f"{repeated}", repeated == 0),
        report.Check(
            f"search p99 at {HIGH_RATE} offered / at {LOW_RATE}",
            "<= 2",
            f"{ratio:.2f} ({high:.1f} / {low:.1f} ms)",
            ratio <= 2,
        ),
        report.Check("answers other than 202 and 429", "none", unexpected or "none", not unexpected),
    ]


def print_result(result: dict[str, Any]) -> None:
    print(f"{result['collection']}, requests of {PER_REQUEST}, {result['fsyncs_per_s']} bare fsyncs a second")
    throughput = result["throughput"]
    print(f"  {throughput['events']} events in {throughput['seconds']} s: {throughput['events_per_s']} a second")
    report.print_latency("request of 100 events", throughput["request_ms"])
    for rate, offered in result["offered"].items():
        print(
            f"  {rate} a second offered: {offered['events_by_status']}, {offered['accepted_per_s']} a second accepted"
        )
        report.print_latency("  search over HTTP", offered["search_ms"])
    report.print_checks(result["checks"])
