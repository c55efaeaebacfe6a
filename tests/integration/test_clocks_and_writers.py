"""Several services on one log: racing writers, differing clocks and versions, acknowledgements after an fsync."""

from __future__ import annotations

import asyncio
import glob
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import which

import pytest

from benchmarks.running import call
from events import data_folder, server
from events.jetstream.event_log import connect
from events.log import Entry
from searchsvc.app.clock_guard import record_use
from searchsvc.cli.data import import_documents
from searchsvc.cli.sample import sample_catalogue
from tests.command_line import run
from tests.conftest import need
from tests.running import RunningService
from tests.waiting import wait_for

Start = Callable[..., RunningService]
ROUNDS = int(os.environ.get("SEARCHSVC_TEST_ROUNDS", "1"))
RACES = min(20 * ROUNDS, 200)
N_ACKED = 30


@pytest.fixture
def shared_log(tmp_path: Path) -> Iterator[server.NatsServer]:
    nats = server.start(tmp_path / "store")
    yield nats
    nats.stop()


def on(nats: server.NatsServer) -> dict[str, str]:
    account = nats.address.accounts["service"]
    return {
        "SEARCHSVC_NATS_URL": nats.address.url,
        "SEARCHSVC_NATS_USER": account.user,
        "SEARCHSVC_NATS_PASSWORD": account.password,
    }


def settled(services: list[RunningService]) -> list[dict[str, object]]:
    """Return the states of all services, once they have applied the same sequence."""

    def equal_states() -> list[dict[str, object]]:
        states = [service.call("GET", "/v1/state")[1] for service in services]
        return states if all(state == states[0] for state in states) else []

    return wait_for(equal_states, "the same state everywhere")


def clock_ahead(by: str) -> dict[str, str]:
    """Return what moves the clock of a process. by: as libfaketime writes it, such as `1h`"""
    library = next(iter(glob.glob("/usr/lib/*/faketime/libfaketime.so.1")), None)
    need("faketime", library is not None, "no libfaketime under /usr/lib (Debian: apt-get install faketime)")
    # Only the calendar is moved: with its monotonic clock moved too, asyncio would wait for ever.
    return {"LD_PRELOAD": str(library), "FAKETIME": f"+{by}", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


def test_of_two_services_that_publish_on_one_version_exactly_one_wins(
    start_service: Start, shared_log: server.NatsServer
) -> None:
    services = [start_service(name, **on(shared_log)) for name in ("one", "two")]
    import_documents(services[0].url, "shop", sample_catalogue(30))
    settled(services)
    winners, connections = [], [service.connection() for service in services]
    for race in range(RACES):
        version = services[0].call("GET", "/v1/indexes/shop/weights")[1]["version"]
        settled(services)
        barrier, statuses = threading.Barrier(2), [0, 0]

        def publish(number: int, version: int = version, race: int = race) -> None:
            change = {
                "weights": {"cosine": race % 50 + number / 10},
                "expected_version": version,
                "reason": f"race {race} by {number}",
            }
            barrier.wait()  # noqa: B023 - the race's own; both have passed it before the next
            statuses[number] = call(connections[number], "PUT", "/v1/indexes/shop/weights", change)[0]  # noqa: B023 - as above

        threads = [threading.Thread(target=publish, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(statuses) == [200, 409], f"race {race}: {statuses}"
        winners.append(statuses.index(200))
    for connection in connections:
        connection.close()
    states = settled(services)
    assert states[0] == states[1]
    history = services[1].call("GET", "/v1/indexes/shop/weights/history")[1]["changes"]
    raced = [change["reason"] for change in history if change["reason"].startswith("race")]
    assert raced == [f"race {race} by {winner}" for race, winner in reversed(list(enumerate(winners)))]
    sys.stdout.write(f"exactly one winner in {RACES} of {RACES} races, {winners.count(0)} to {winners.count(1)}\n")


def test_a_service_that_started_without_the_log_serves_an_index_that_was_created_meanwhile(
    start_service: Start, shared_log: server.NatsServer
) -> None:
    writer, other = start_service("writer", **on(shared_log)), start_service("other", **on(shared_log))
    import_documents(writer.url, "one", sample_catalogue(30))
    settled([writer, other])
    other.stop()
    import_documents(writer.url, "two", sample_catalogue(30))
    writer.stop()
    shared_log.terminate()
    wait_for(lambda: not shared_log.running, "the end of the log")
    restarted = start_service("other", **on(shared_log))
    assert restarted.call("GET", "/health/ready")[1]["status"] == "degraded"
    shared_log.spawn()
    shared_log.await_answer()
    both = {"one": "ready", "two": "ready"}
    wait_for(lambda: restarted.call("GET", "/health/ready")[1]["indexes"] == both, "both indexes")


def test_a_clock_that_is_an_hour_off_changes_no_state(start_service: Start, shared_log: server.NatsServer) -> None:
    right = start_service("right", **on(shared_log))
    ahead = start_service("ahead", **on(shared_log), **clock_ahead("1h"))
    import_documents(right.url, "shop", sample_catalogue(60))
    settled([right, ahead])
    for number, service in enumerate((right, ahead, right, ahead)):
        change = {"weights": {"cosine": float(number)}, "reason": f"change {number}"}
        assert service.call("PUT", "/v1/indexes/shop/weights", change)[0] == 200
        document = {"id": f"new-{number}", "title": "a lamp"}
        assert service.call("POST", "/v1/indexes/shop/documents", document)[0] == 200
        event = {"id": f"e{number}", "type": "click", "index": "shop", "document_id": "x"}
        assert service.call("POST", "/v1/events", {"events": [event]})[0] == 202
    states = settled([right, ahead])
    assert states[0] == states[1]
    assert states[0]["state_hash"]
    changes = right.call("GET", "/v1/indexes/shop/weights/history")[1]["changes"]
    assert [change["reason"] for change in changes][:4] == [f"change {number}" for number in (3, 2, 1, 0)]
    assert changes[0]["timestamp"] > changes[1]["timestamp"], "the second clock is ahead"
    assert changes[2]["timestamp"] > changes[1]["timestamp"], "so time does not order: the log does"
    _, answer = ahead.call("POST", "/v1/indexes/shop/search", {"query": "lamp"})
    assert answer["hits"]
    replayed = settled([right, ahead, start_service("again", **on(shared_log))])
    assert replayed[0] == replayed[1] == replayed[2], "and a full replay gives the same"


def test_documents_of_a_deleted_index_leave_the_log_and_no_service_takes_that_for_a_loss(
    start_service: Start, shared_log: server.NatsServer, tmp_path: Path
) -> None:
    services = [start_service(name, **on(shared_log)) for name in ("one", "two")]
    import_documents(services[0].url, "films", sample_catalogue(60))
    import_documents(services[0].url, "shop", sample_catalogue(30))
    assert services[0].call("DELETE", "/v1/indexes/films")[0] == 200
    import_documents(services[0].url, "shop", sample_catalogue(40))
    settled(services)
    for service in services:
        service.stop()
    assert n_documents(shared_log) == 100

    ahead = start_service("ahead", **on(shared_log), **clock_ahead("25h"))
    wait_for(lambda: n_documents(shared_log) == 40, "only the documents of shop")
    ahead.stop()
    again = [start_service(name, **on(shared_log)) for name in ("one", "two")]
    settled(again)
    for service, name in zip(again, ("one", "two"), strict=True):
        wait_for(lambda: service.call("GET", "/health/ready")[1]["log_read_at"], "the log read")  # noqa: B023
        assert service.call("GET", "/health/ready")[1]["status"] == "ready"
        verified = run("events", "verify", "--data-dir", str(tmp_path / name), "--url", service.url, **on(shared_log))
        assert verified.status == 0, verified.stdout
        assert "40 documents that are served" in verified.stdout


def n_documents(nats: server.NatsServer) -> int:
    async def count() -> int:
        account = nats.address.accounts["service"]
        log = await connect(nats.address.url, user=account.user, password=account.password)
        stream_state = await log.stream_state("CATALOG")
        await log.close()
        return stream_state.count

    return asyncio.run(count())


def test_a_change_of_a_later_version_holds_back_changes_and_no_search(
    start_service: Start, shared_log: server.NatsServer
) -> None:
    service = start_service(**on(shared_log))
    import_documents(service.url, "shop", sample_catalogue(60))
    before = service.call("GET", "/v1/state")[1]

    async def write(data: bytes) -> None:
        account = shared_log.address.accounts["service"]
        log = await connect(shared_log.address.url, user=account.user, password=account.password)
        await log.append("CONTROL", Entry("control.shop", data))
        await log.close()

    asyncio.run(write(b'{"type":"note_left.v3","skippable":true}'))
    asyncio.run(write(b'{"type":"rules_changed.v7","rules":[]}'))
    wait_for(lambda: service.call("GET", "/health/ready")[1]["status"] == "degraded", "degraded health")
    for current in (service, start_service("fresh", **on(shared_log))):
        status, health = current.call("GET", "/health/ready")
        assert (status, health["status"]) == (200, "degraded")
        assert any("rules_changed.v7" in reason for reason in health["reasons"]), health
        assert current.call("GET", "/v1/state")[1]["seq"] == before["seq"] + 1
        assert current.call("POST", "/v1/indexes/shop/search", {"query": "lamp"})[0] == 200
    change = {"weights": {"cosine": 1.0}, "reason": "x"}
    assert service.call("PUT", "/v1/indexes/shop/weights", change)[0] == 503
    event = {"id": "e", "type": "click", "index": "shop", "document_id": "x"}
    assert service.call("POST", "/v1/events", {"events": [event]})[0] == 202


@pytest.mark.parametrize("command", ["import", "repair"])
def test_a_command_on_a_stopped_service_asks_if_the_clock_is_far_ahead(tmp_path: Path, command: str) -> None:
    folder, archive = tmp_path / "data", tmp_path / "log.ndjson"
    archive.touch()
    data_folder.prepare(folder)
    server.start(folder).stop()
    record_use(folder, datetime.now(UTC) - timedelta(days=400))
    before = sorted(path.name for path in folder.iterdir())
    words = ("events", command, "--data-dir", str(folder), *([str(archive)] if command == "import" else []))
    refused = run(*words)
    assert (refused.status, "400 days after" in refused.stderr) == (1, True), refused.stderr
    assert "--accept-clock" in refused.stderr
    assert sorted(path.name for path in folder.iterdir()) == before, "the log's server was not started"
    accepted = run(*words, "--accept-clock")
    assert accepted.status == 0, accepted.stderr
    # It was right: nobody asks again.
    assert run(*words).status == 0


def test_what_is_answered_202_was_fsynced_before(start_service: Start, tmp_path: Path) -> None:
    strace = which("strace")
    need("strace", strace is not None, "no strace on the PATH (Debian: apt-get install strace)")
    service = start_service()
    service.call("PUT", "/v1/indexes/shop", {"searchable": [{"name": "title"}], "title": "title"})
    output = tmp_path / "calls"
    pid = server.read_address(service.data_dir).pid
    tracer = subprocess.Popen(
        [str(strace), "-f", "-ttt", "-e", "trace=fsync,fdatasync", "-o", str(output), "-p", str(pid)],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert tracer.stderr is not None
        attached = tracer.stderr.readline()
        need("strace", "attached" in attached, f"strace may not look at another process here: {attached.strip()}")
        acked: list[tuple[float, float]] = []
        with closing(service.connection()) as connection:
            for i in range(N_ACKED):
                event = {"id": f"e{i}", "type": "click", "index": "shop", "document_id": "x"}
                sent = time.time()
                assert call(connection, "POST", "/v1/events", {"events": [event]})[0] == 202
                acked.append((sent, time.time()))
    finally:
        tracer.terminate()
        tracer.communicate()
    synced = [float(line.split()[1]) for line in output.read_text().splitlines() if "sync(" in line]
    unsynced = [times for times in acked if not any(times[0] <= synced_at <= times[1] for synced_at in synced)]
    sys.stdout.write(f"{len(acked)} events answered 202, {len(synced)} fsyncs of the log meanwhile\n")
    assert unsynced == []
    assert run("events", "verify", "--data-dir", str(service.data_dir), "--url", service.url).status == 0
