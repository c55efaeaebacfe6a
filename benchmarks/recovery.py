"""How long until a service is itself again?

Question   from starting the process to ready, with a log of so many behaviour events packed 100 a message: from
           nothing, from a snapshot that is a tenth behind, after kill -9, with the index built anew from CATALOG.
Data       a folder with docs.jsonl[.gz], or the made-up catalogue; one ranking of ten hits to nine clicks on it.
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
from benchmarks.running import RunningService
from events import jetstream, server
from events.codec import encode
from events.log import Entry
from events.streams import BEHAVIOR_SUBJECT
from events.types import BehaviorBatch, BehaviorEvent, InteractionRecorded, RankingShown
from searchsvc.cli.data import import_documents
from searchsvc.cli.sample import sample_catalogue

INDEX: Final = "bench"
PER_MESSAGE: Final = 100
N_HITS: Final = 10
N_FEATURES: Final = 8
WINDOW: Final = 16


def measure(folder: Path | None, *, n_events: int, n_documents: int, say: Callable[[str], None]) -> dict[str, Any]:
    """The result as JSON would have it. n_events: in BEHAVIOR; a tenth of it lies after the snapshot.

    n_documents: in the made-up catalogue.
    """
    tail = n_events // 10
    with tempfile.TemporaryDirectory(prefix="searchsvc-bench-") as scratch:
        data_dir = Path(scratch) / "data"
        times: dict[str, float] = {}

        def start(name: str) -> RunningService:
            say(name)
            service = RunningService(data_dir)
            times[name] = round(service.start_s, 3)
            return service

        say("importing")
        service = RunningService(data_dir)
        import_documents(service.url, INDEX, documents_file(folder) if folder else sample_catalogue(n_documents))
        n_stored = service.call("GET", f"/v1/indexes/{INDEX}")[1]["n_documents"]
        service.stop()
        start("nothing in BEHAVIOR").stop()
        say(f"writing {n_events} events")
        write(data_dir, n_events - tail)
        service = start("so many events, a tenth less, from nothing")
        service.stop()
        write(data_dir, tail)
        service = start("from a snapshot that is a tenth behind")
        _require_all(service, n_events)
        service.kill()
        service = start("the same after kill -9")
        service.stop()
        shutil.rmtree(data_dir / "behavior")
        service = start("all events from nothing")
        service.stop()
        shutil.rmtree(data_dir / "indexes")
        service = start("index from CATALOG, its vectors from the cache")
        found = service.call("GET", f"/v1/indexes/{INDEX}")[1]["n_documents"]
        service.stop()
        if found != n_stored:
            raise AssertionError(f"{found} of {n_stored} documents came back")
    baseline = times["nothing in BEHAVIOR"]
    replay_s = max(times["all events from nothing"] - baseline, 0.001)
    rebuild_s = max(times["index from CATALOG, its vectors from the cache"] - baseline, 0.001)
    figures = {
        "n_events": n_events,
        "n_documents": n_stored,
        "start_to_ready_s": times,
        "events_per_s_replayed": round(n_events / replay_s),
        "documents_per_s_rebuilt": round(n_stored / rebuild_s),
    }
    return {
        "benchmark": "recovery",
        "question": "from starting the process to ready",
        "collection": folder.name if folder else "made up",
        **report.environment(),
        "per_message": PER_MESSAGE,
        **figures,
        "checks": _checks(times),
    }


def write(data_dir: Path, n_events: int) -> None:
    """Put events into the BEHAVIOR of a service that is stopped, as it would have."""
    nats = server.start(data_dir)
    try:
        asyncio.run(_write(nats, n_events))
    finally:
        nats.stop()


async def _write(nats: server.NatsServer, n_events: int) -> None:
    account = nats.address.accounts["service"]
    log = await jetstream.connect(nats.address.url, user=account.user, password=account.password)
    try:
        first = (await log.position("BEHAVIOR")).last_seq
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
        if i % 10 == 0:
            query_id = f"query-{number:024d}"
            yield RankingShown(
                id=query_id,
                timestamp=now,
                index=INDEX,
                query="noise cancelling headphones",
                user=f"shopper-{number % 5000}",
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
                user=f"shopper-{number % 5000}",
                timestamp=now,
                received_at=now,
            )


def _require_all(service: RunningService, n_events: int) -> None:
    """Raise AssertionError unless the service knows that the last events are stored."""
    known = service.call("GET", "/health/ready")[1]["known_rankings"]
    wanted = min(n_events // 10, 100_000)
    if known != wanted:
        raise AssertionError(f"{known} rankings are known, not {wanted}")


def _checks(times: dict[str, float]) -> list[report.Check]:
    limits = (
        ("all events from nothing", 10.0),
        ("from a snapshot that is a tenth behind", 5.0),
        ("the same after kill -9", 5.0),
    )
    return [
        report.Check(name, f"<= {limit:g} s", f"{times[name]:.2f} s", times[name] <= limit) for name, limit in limits
    ]


def print_result(result: dict[str, Any]) -> None:
    print(f"{result['collection']}, {result['n_documents']} documents, {result['n_events']} events in BEHAVIOR")
    for name, seconds in result["start_to_ready_s"].items():
        print(f"  {name:50} {seconds:6.2f} s")
    print(f"  {result['events_per_s_replayed']} events and {result['documents_per_s_rebuilt']} documents a second")
    report.print_checks(result["checks"])
