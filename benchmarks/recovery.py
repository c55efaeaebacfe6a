"""How long until a service is ready again?

Question   from starting the process to ready, with a log of many behavior events packed 100 a message: from nothing,
           from a snapshot that lacks the last tenth, after kill -9, and with the index rebuilt from CATALOG.
Data       a folder with docs.jsonl[.gz], or the sample catalogue; one ranking of ten hits to nine clicks on it.
Baseline   the same start with an empty BEHAVIOR.
Command    searchsvc bench recovery ../shared/data/electronics
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from benchmarks import report
from benchmarks.collection import documents_file
from benchmarks.errors import BenchmarkFailed
from benchmarks.running import RunningService
from events import server
from events.codec import encode
from events.jetstream.event_log import connect
from events.log import Entry
from events.streams import BEHAVIOR_SUBJECT
from events.types import BehaviorBatch, BehaviorEvent, InteractionRecorded, RankingShown
from searchsvc.cli.data import import_documents
from searchsvc.cli.sample import sample_catalogue

INDEX: Final = "bench"
PER_MESSAGE: Final = 100
PER_RANKING: Final = 10
N_HITS: Final = 10
N_FEATURES: Final = 8
N_SHOPPERS: Final = 5000
# Messages that are on their way at the same time.
WINDOW: Final = 16
MAX_KNOWN_RANKINGS: Final = 100_000
# The starts, in their order.
EMPTY: Final = "nothing in BEHAVIOR"
MOST_FROM_NOTHING: Final = "so many events, a tenth less, from nothing"
FROM_SNAPSHOT: Final = "from a snapshot that is a tenth behind"
AFTER_KILL: Final = "the same after kill -9"
FROM_NOTHING: Final = "all events from nothing"
REBUILT: Final = "index from CATALOG, its vectors from the cache"
LIMITS_S: Final = {FROM_NOTHING: 10.0, FROM_SNAPSHOT: 5.0, AFTER_KILL: 5.0}


def measure(folder: Path | None, *, n_events: int, n_documents: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Start a service again and again; return the result as it is written to JSON.

    folder: collection; None takes the sample catalogue
    n_events: in BEHAVIOR; the last tenth is written after the snapshot
    n_documents: of the sample catalogue
    """
    with tempfile.TemporaryDirectory(prefix="searchsvc-bench-") as scratch:
        data_dir = Path(scratch) / "data"
        say("importing")
        service = RunningService(data_dir)
        try:
            import_documents(service.url, INDEX, documents_file(folder) if folder else sample_catalogue(n_documents))
            n_stored = service.call("GET", f"/v1/indexes/{INDEX}")[1]["n_documents"]
        finally:
            service.stop()
        times = _starts(data_dir, n_events, n_stored, say)
    replay_s = max(times[FROM_NOTHING] - times[EMPTY], 0.001)
    rebuild_s = max(times[REBUILT] - times[EMPTY], 0.001)
    return {
        "benchmark": "recovery",
        "question": "from starting the process to ready",
        "collection": folder.name if folder else "sample catalogue",
        **report.environment(),
        "per_message": PER_MESSAGE,
        "n_events": n_events,
        "n_documents": n_stored,
        "start_to_ready_s": times,
        "events_per_s_replayed": round(n_events / replay_s),
        "documents_per_s_rebuilt": round(n_stored / rebuild_s),
        "checks": _checks(times),
    }


def _starts(data_dir: Path, n_events: int, n_documents: int, say: Callable[[str], None]) -> dict[str, float]:
    """Return the seconds of each start."""
    tail = n_events // 10
    times: dict[str, float] = {}

    def start(name: str) -> RunningService:
        say(name)
        service = RunningService(data_dir)
        times[name] = round(service.start_s, 3)
        return service

    start(EMPTY).stop()
    say(f"writing {n_events} events")
    write(data_dir, n_events - tail)
    start(MOST_FROM_NOTHING).stop()
    write(data_dir, tail)
    service = start(FROM_SNAPSHOT)
    try:
        _require_all(service, n_events)
    finally:
        service.kill()
    start(AFTER_KILL).stop()
    shutil.rmtree(data_dir / "behavior")
    start(FROM_NOTHING).stop()
    shutil.rmtree(data_dir / "indexes")
    service = start(REBUILT)
    try:
        n_rebuilt = service.call("GET", f"/v1/indexes/{INDEX}")[1]["n_documents"]
    finally:
        service.stop()
    if n_rebuilt != n_documents:
        raise BenchmarkFailed(f"{n_rebuilt} of {n_documents} documents came back")
    return times


def write(data_dir: Path, n_events: int) -> None:
    """Write events to the BEHAVIOR of a service that is stopped, as the service does."""
    nats = server.start(data_dir)
    try:
        asyncio.run(_write(nats, n_events))
    finally:
        nats.stop()


async def _write(nats: server.NatsServer, n_events: int) -> None:
    account = nats.address.accounts["service"]
    log = await connect(nats.address.url, user=account.user, password=account.password)
    try:
        first = (await log.stream_state("BEHAVIOR")).last_seq
        messages = [first + i for i in range(n_events // PER_MESSAGE)]
        for start in range(0, len(messages), WINDOW):
            entries = [Entry(BEHAVIOR_SUBJECT, encode(_message(n))) for n in messages[start : start + WINDOW]]
            await asyncio.gather(*(log.append("BEHAVIOR", entry) for entry in entries))
    finally:
        await log.close()


def _message(n: int) -> BehaviorBatch:
    return BehaviorBatch(events=list(_events(n)))


def _events(message: int) -> Iterator[BehaviorEvent]:
    now = datetime.now(UTC)
    documents = tuple(str(1000 + i) for i in range(N_HITS))
    query_id = ""
    for i in range(PER_MESSAGE):
        number = message * PER_MESSAGE + i
        if i % PER_RANKING == 0:
            query_id = f"query-{number:024d}"
            yield RankingShown(
                id=query_id,
                timestamp=now,
                index=INDEX,
                query="noise cancelling headphones",
                user=f"shopper-{number % N_SHOPPERS}",
                document_ids=documents,
                feature_names=tuple(f"feature.{j}" for j in range(N_FEATURES)),
                features=tuple(tuple(0.125 * (j + k) for j in range(N_FEATURES)) for k in range(N_HITS)),
                scores=tuple(9.5 - k for k in range(N_HITS)),
                weights_version=1,
                config_version=1,
                applied_seq=1,
            )
        else:
            yield InteractionRecorded(
                id=f"event-{number:024d}",
                kind="click",
                index=INDEX,
                document_id=documents[i % N_HITS],
                query_id=query_id,
                user=f"shopper-{number % N_SHOPPERS}",
                timestamp=now,
                received_at=now,
            )


def _require_all(service: RunningService, n_events: int) -> None:
    """Raise BenchmarkFailed unless the service has all rankings of the log, or as many as it keeps."""
    n_rankings = service.call("GET", "/health/ready")[1]["known_rankings"]
    expected = min(n_events // PER_RANKING, MAX_KNOWN_RANKINGS)
    if n_rankings != expected:
        raise BenchmarkFailed(f"the service knows {n_rankings} rankings, not {expected}")


def _checks(times: dict[str, float]) -> list[report.Check]:
    return [
        report.Check(name, f"<= {limit:g} s", f"{times[name]:.2f} s", times[name] <= limit)
        for name, limit in LIMITS_S.items()
    ]


def print_result(result: dict[str, Any]) -> None:
    print(f"{result['collection']}, {result['n_documents']} documents, {result['n_events']} events in BEHAVIOR")
    for name, seconds in result["start_to_ready_s"].items():
        print(f"  {name:50} {seconds:6.2f} s")
    print(f"  {result['events_per_s_replayed']} events and {result['documents_per_s_rebuilt']} documents a second")
    report.print_checks(result["checks"])
