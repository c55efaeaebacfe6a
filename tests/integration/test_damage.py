"""Damage to what is on disk: either nothing is missing afterwards, or the loss is reported.

`SEARCHSVC_TEST_ROUNDS` repeats the random ones with other seeds (`make test-faults`).
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import msgspec
import pytest

from benchmarks.running import event_log
from events import server
from events.codec import decode_behavior
from events.errors import Corrupt, Unavailable
from events.jetstream.event_log import connect
from events.log import Entry
from events.types import InteractionRecorded
from searchsvc.app.repair import INTERRUPTED_REPAIR, RepairReport
from searchsvc.cli.data import import_documents
from searchsvc.cli.sample import sample_catalogue
from tests.command_line import run
from tests.running import RunningService
from tests.waiting import wait_for

ROUNDS = int(os.environ.get("SEARCHSVC_TEST_ROUNDS", "1"))
N_DOCUMENTS = 1100
N_EVENTS = 60
N_CHANGES = 8
PATIENCE_S = 20.0
Damage = Callable[[Path, random.Random], None]


class Golden(msgspec.Struct):
    """A data folder, and everything whose write was acknowledged."""

    folder: Path
    state: dict[str, object]
    events: set[str]


def fill(service: RunningService) -> Golden:
    import_documents(service.url, "shop", sample_catalogue(N_DOCUMENTS))
    events = set[str]()
    for i in range(N_EVENTS):
        event = {"id": f"e{i}", "type": "click", "index": "shop", "document_id": "x" * 300}
        assert service.call("POST", "/v1/events", {"events": [event]})[0] == 202
        events.add(f"e{i}")
    for i in range(N_CHANGES):
        change = {"weights": {"cosine": float(i)}, "reason": "a change " * 50}
        assert service.call("PUT", "/v1/indexes/shop/weights", change)[0] == 200
    # The saved index and the checkpoints: they prove which documents the log held.
    wait_for(lambda: list((service.data_dir / "indexes").glob("*/snapshots/*/manifest.json")), "a saved index")
    return Golden(service.data_dir, service.call("GET", "/v1/state")[1], events)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Golden:
    service = RunningService(tmp_path_factory.mktemp("stopped") / "data")
    golden = fill(service)
    service.stop()
    return golden


@pytest.fixture(scope="module")
def killed(stopped: Golden, tmp_path_factory: pytest.TempPathFactory) -> Golden:
    folder = tmp_path_factory.mktemp("killed") / "data"
    shutil.copytree(stopped.folder, folder)
    service = RunningService(folder)
    extra = {"id": "last", "type": "click", "index": "shop", "document_id": "x"}
    assert service.call("POST", "/v1/events", {"events": [extra]})[0] == 202
    golden = Golden(folder, service.call("GET", "/v1/state")[1], {*stopped.events, "last"})
    time.sleep(0.5)
    service.kill()
    return golden


def flip_a_bit(stream: Path, rng: random.Random) -> None:
    """Flip a random bit of the stream's messages."""
    block = max((stream / "msgs").glob("*.blk"), key=lambda path: path.stat().st_size)
    content = bytearray(block.read_bytes())
    place = rng.randrange(len(content))
    content[place] ^= 1 << rng.randrange(8)
    block.write_bytes(content)


def truncate(stream: Path, rng: random.Random) -> None:
    block = max((stream / "msgs").glob("*.blk"), key=lambda path: path.stat().st_size)
    os.truncate(block, rng.randrange(block.stat().st_size))


def lose_metadata(stream: Path, _: random.Random) -> None:
    (stream / "meta.inf").unlink()


def lose_block(stream: Path, _: random.Random) -> None:
    for block in (stream / "msgs").glob("*.blk"):
        block.unlink()


def damaged(golden: Golden, folder: Path, stream: str, damage: Damage, rng: random.Random) -> Path:
    shutil.copytree(golden.folder, folder)
    damage(folder / "nats" / "jetstream" / "LOG" / "streams" / stream, rng)
    return folder


async def stored_events(service: RunningService) -> set[str]:
    event_ids = set[str]()
    async with event_log(service) as log:
        try:
            async for record in log.read("BEHAVIOR"):
                events = decode_behavior(record.data).events
                event_ids.update(event.id for event in events if isinstance(event, InteractionRecorded))
        except (Corrupt, Unavailable) as error:
            sys.stdout.write(f"  reading BEHAVIOR: {error}\n")
    return event_ids


def has_settled(service: RunningService) -> bool:
    """Tell whether a service has read the whole log, or found damage."""
    _, health = service.call("GET", "/health/ready")
    return health["status"] == "corrupt" or health["log_read_at"] is not None


def outcome(folder: Path, golden: Golden) -> tuple[str, bool]:
    """What a start on the folder says ('' where it is well), and whether anything acknowledged is missing then."""
    try:
        service = RunningService(folder, ready_timeout_s=0)
    except Unavailable:
        return (folder.parent / f"{folder.name}.log").read_text()[-600:], True
    try:
        # What the server can still read is read through in the background: that takes a moment.
        with suppress(AssertionError):
            wait_for(lambda: has_settled(service), "the end of reading the log", limit_s=PATIENCE_S)
        _, health = service.call("GET", "/health/ready")
        report = "" if health["status"] == "ready" else f"{health['status']}: {health['reasons']}"
        _, state = service.call("GET", "/v1/state")
        whole = state["state_hash"] == golden.state["state_hash"] and golden.events <= asyncio.run(
            stored_events(service)
        )
        verified = run("events", "verify", "--data-dir", str(folder), "--url", service.url, "--json")
        doubts = [f"{f['check']}: {f['detail']}" for f in json.loads(verified.stdout)["findings"] if not f["holds"]]
        assert bool(doubts) == bool(report), f"the service says {report!r}, and verify doubts {doubts}"
        return report, not whole
    finally:
        service.stop()


@pytest.mark.parametrize("seed", range(ROUNDS))
@pytest.mark.parametrize("damage", [flip_a_bit, truncate, lose_metadata, lose_block])
@pytest.mark.parametrize("stream", ["CONTROL", "CATALOG", "BEHAVIOR"])
@pytest.mark.parametrize("ended", ["stopped", "killed"])
def test_damage_to_the_store_loses_nothing_silently(
    request: pytest.FixtureRequest, tmp_path: Path, ended: str, stream: str, damage: Damage, seed: int
) -> None:
    golden: Golden = request.getfixturevalue(ended)
    rng = random.Random(f"{ended} {stream} {damage.__name__} {seed}")
    folder = damaged(golden, tmp_path / "data", stream, damage, rng)
    report, missing = outcome(folder, golden)
    sys.stdout.write(
        f"{ended}, {stream}, {damage.__name__}: missing {missing}, report {' '.join(report.split())[-300:]!r}\n"
    )
    assert report or not missing, "a loss was not reported"


def test_a_damaged_log_is_repaired_from_all_that_is_left(stopped: Golden, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(stopped.folder, folder)
    streams = folder / "nats" / "jetstream" / "LOG" / "streams"
    for name, damage in (("CONTROL", truncate), ("CATALOG", flip_a_bit), ("BEHAVIOR", flip_a_bit)):
        damage(streams / name, random.Random(name))
    repaired = run("events", "repair", "--data-dir", str(folder))
    assert repaired.status == 0, repaired.stderr
    report = repaired.stdout
    assert f"CONTROL {N_CHANGES + 1}" in report
    assert "documents that CATALOG had lost were put back from saved indexes" in report
    service = RunningService(folder)
    _, state = service.call("GET", "/v1/state")
    assert (state["chain"], state["control_hash"]) == (stopped.state["chain"], stopped.state["control_hash"])
    assert state["state_hash"] == stopped.state["state_hash"], "every document is back"
    lost = stopped.events - asyncio.run(stored_events(service))
    sys.stdout.write(f"{report}{len(lost)} of {len(stopped.events)} events are gone\n")
    assert bool(lost) == ("of BEHAVIOR" in report or "BEHAVIOR " in report.partition("lost:")[2])
    verified = run("events", "verify", "--data-dir", str(folder), "--url", service.url)
    assert verified.status == 0, verified.stdout
    assert run("events", "repair", "--data-dir", str(folder)).status == 1, "a running service is left alone"
    service.stop()


def append_control(folder: Path, *messages: bytes) -> None:
    """Write to CONTROL of a stopped service, as another program with the service's account could."""
    nats = server.start(folder)

    async def write() -> None:
        log = await connect(nats.address.url, user="service", password=nats.service_password)
        for message in messages:
            await log.append("CONTROL", Entry("control.shop", message))
        await log.close()

    asyncio.run(write())
    nats.stop()


def test_bytes_in_control_that_are_no_event_are_named_not_copied_and_repaired(stopped: Golden, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(stopped.folder, folder)
    copy = (folder / "control.ndjson").read_bytes()
    append_control(folder, b'{"stream":"INGEST","seq":1}', b"junk")
    refused = run("serve", "--data-dir", str(folder), "--port", "0", COLUMNS="400")
    assert refused.status == 1
    assert f"CONTROL {N_CHANGES + 2}" in refused.stderr
    assert "events repair" in refused.stderr
    assert (folder / "control.ndjson").read_bytes() == copy

    repaired = run("events", "repair", "--data-dir", str(folder))
    assert repaired.status == 0, repaired.stderr
    assert f"lost: CONTROL {N_CHANGES + 2}" in repaired.stdout
    assert f"lost: CONTROL {N_CHANGES + 3}" in repaired.stdout
    service = RunningService(folder)
    change = {"weights": {"cosine": 0.25}, "reason": "it goes on"}
    assert service.call("PUT", "/v1/indexes/shop/weights", change)[1]["seq"] == N_CHANGES + 4
    kinds = [entry["kind"] for entry in service.call("GET", "/v1/audit?limit=100")[1]["entries"]]
    assert kinds.count("message_lost") == 2
    verified = run("events", "verify", "--data-dir", str(folder), "--url", service.url)
    assert verified.status == 0, verified.stdout
    service.stop()


@pytest.mark.parametrize("damage", ["a byte in the middle", "cut", "gone"])
def test_a_damaged_copy_of_control_is_put_together_from_the_log(stopped: Golden, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "data"
    shutil.copytree(stopped.folder, folder)
    copy = folder / "control.ndjson"
    content = bytearray(copy.read_bytes())
    if damage == "a byte in the middle":
        content[len(content) // 2] ^= 1
    copy.write_bytes(content[: len(content) // 2] if damage == "cut" else content)
    if damage == "gone":
        copy.unlink()
    if damage == "a byte in the middle":
        started = run("serve", "--data-dir", str(folder), "--port", "0", COLUMNS="400")
        assert (started.status, "events repair" in started.stderr) == (1, True), started.stderr
    repaired = run("events", "repair", "--data-dir", str(folder))
    assert repaired.status == 0, repaired.stderr
    assert "lost: CONTROL" not in repaired.stdout
    service = RunningService(folder)
    state = service.call("GET", "/v1/state")[1]
    assert (state["chain"], state["control_hash"]) == (stopped.state["chain"], stopped.state["control_hash"])
    service.stop()


def test_repair_takes_unusual_messages_and_continues_after_an_interruption(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    service = RunningService(folder)
    with closing(service.connection()) as connection:
        # A carriage return between tokens is JSON.
        connection.request(
            "POST", "/v1/indexes/shop/documents", b'{"id":"a",\r"title":"a lamp"}\n{"id":"b","title":"b"}'
        )
        assert connection.getresponse().status == 200
    event = {"id": "e1", "type": "click", "index": "shop", "document_id": "a"}
    assert service.call("POST", "/v1/events", {"events": [event]})[0] == 202
    service.stop()
    nats = server.start(folder)

    async def write() -> None:
        account = nats.address.accounts["service"]
        log = await connect(nats.address.url, user=account.user, password=account.password)
        await log.append("CATALOG", Entry("catalog.shop.1.later", b'{"type":"document_moved.v4"}'))
        await log.close()

    asyncio.run(write())
    nats.stop()
    shutil.rmtree(folder / "nats" / "jetstream" / "LOG" / "streams" / "BEHAVIOR")
    repaired = run("events", "repair", "--data-dir", str(folder))
    assert (repaired.status, "CATALOG 3" in repaired.stdout) == (0, True), repaired
    assert "lost: BEHAVIOR" in repaired.stdout
    assert "1 to 1 are missing" in repaired.stdout

    # As after a repair that was killed when it had moved the store away: no service starts until it is finished.
    (archive,) = folder.glob("repair-*.ndjson")
    (folder / INTERRUPTED_REPAIR).write_bytes(
        msgspec.json.encode(RepairReport(lost=["CATALOG 7"], archive=str(archive), damaged_store="aside"))
    )
    shutil.rmtree(folder / "nats")
    refused = run("serve", "--data-dir", str(folder), "--port", "0")
    assert (refused.status, "interrupted" in refused.stderr) == (1, True), refused.stderr
    again = run("events", "repair", "--data-dir", str(folder))
    assert (again.status, "CATALOG 3" in again.stdout, "lost: CATALOG 7" in again.stdout) == (0, True, True), again
    service = RunningService(folder)
    assert service.call("GET", "/v1/indexes/shop")[1]["n_documents"] == 2
    _, health = service.call("GET", "/health/ready")
    assert health["status"] == "degraded"
    assert all("document_moved.v4" in reason for reason in health["reasons"]), health
    service.stop()
