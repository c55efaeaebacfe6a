"""Faults against real processes: what was acknowledged is there afterwards, and searches go on meanwhile."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from events import server
from searchsvc.cli.data import import_documents
from searchsvc.cli.sample import sample_catalogue
from tests.command_line import run
from tests.conftest import need
from tests.disks import small_disk
from tests.integration.test_events import tail
from tests.running import RunningService
from tests.waiting import wait_for

ROUNDS = int(os.environ.get("SEARCHSVC_TEST_ROUNDS", "1"))
Start = Callable[..., RunningService]
MAX_RESTART_DELAY_S = 0.4
RETRY_S = 0.02


class Client(threading.Thread):
    """Repeats a call on another thread until `end`, which raises the error of a failed call."""

    def __init__(self, once: Callable[[int], None]) -> None:
        super().__init__(daemon=True)
        self._once = once
        self._stopping = threading.Event()
        self._error: BaseException | None = None

    def run(self) -> None:
        n = 0
        try:
            while not self._stopping.is_set():
                self._once(n)
                n += 1
        except BaseException as error:
            self._error = error

    def end(self) -> None:
        self._stopping.set()
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


def test_a_killed_log_is_started_again_at_once_loses_nothing_and_searches_never_notice(start_service: Start) -> None:
    service = start_service()
    import_documents(service.url, "shop", sample_catalogue(60))
    statuses: list[int] = []
    acknowledged: list[str] = []
    gaps: list[float] = []

    def search(n: int) -> None:
        statuses.append(service.call("POST", "/v1/indexes/shop/search", {"query": f"boots {n % 7}"})[0])

    def click(n: int) -> None:
        """Send the same event until it is accepted, as a client does."""
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
            wait_for(lambda n=n_before: len(acknowledged) >= n + 5, "events taken after the kill")  # type: ignore[misc]
    restarted = server.read_address(service.data_dir)
    assert restarted.pid != first.pid
    assert (restarted.url, restarted.accounts) == (first.url, first.accounts)
    assert set(statuses) == {200}
    stored = [entry["event"]["id"] for entry in tail(service, 100_000) if entry["stream"] == "BEHAVIOR"]
    stored_clicks = [event_id for event_id in stored if event_id.startswith("e")]
    figures = f"{len(acknowledged)} acknowledged, longest wait {max(gaps):.2f} s, {len(statuses)} searches"
    sys.stdout.write(f"3 kills of nats-server: {figures}\n")
    assert set(acknowledged) <= set(stored_clicks)
    service_log = (service.data_dir.parent / f"{service.data_dir.name}.log").read_text()
    delays = [float(delay) for delay in re.findall(r"it is started again in ([0-9.]+) s", service_log)]
    assert len(delays) == 3, service_log
    assert max(delays) <= MAX_RESTART_DELAY_S, delays
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
        for n_kills in range(4):
            n_before = len(versions)
            wait_for(lambda n=n_before: len(versions) >= n + 5, "changes after the last kill")  # type: ignore[misc]
            if n_kills < 3:
                os.kill(server.read_address(service.data_dir).pid, signal.SIGKILL)
    assert versions == sorted(set(versions))
    _, history = service.call("GET", "/v1/indexes/shop/weights/history")
    stored = [change["version"] for change in history["changes"]]
    assert stored == list(range(max(stored), 0, -1))
    assert set(versions) <= set(stored)
    reasons = [change["reason"] for change in history["changes"] if change["reason"].startswith("change")]
    assert len(reasons) == len(set(reasons)), "a change was applied twice"


def test_a_whole_log_is_verified_and_a_lost_change_is_named_and_put_back(start_service: Start) -> None:
    service = start_service()
    import_documents(service.url, "shop", sample_catalogue(30))
    for cosine in (1.0, 1.5, 2.5):
        service.call("PUT", "/v1/indexes/shop/weights", {"weights": {"cosine": cosine}, "reason": "x"})
    _, before = service.call("GET", "/v1/state")
    folder = ("--data-dir", str(service.data_dir))
    verified = run("events", "verify", *folder, "--url", service.url, "--json")
    report = json.loads(verified.stdout)
    assert (verified.status, report["holds"]) == (0, True), report
    checked = "service, copy, CONTROL, state, log and copy, CATALOG, documents, BEHAVIOR, DEAD, checkpoints, keyring"
    assert [finding["check"] for finding in report["findings"]] == checked.split(", ")
    export = service.data_dir.parent / "log.ndjson"
    assert run("events", "export", *folder, str(export)).status == 0
    service.stop()

    # The store is lost. The copy shows that, and no service starts on the rest.
    shutil.rmtree(service.data_dir / "nats")
    refused = run("serve", *folder, "--port", "0")
    assert (refused.status, "CONTROL ends at 0" in refused.stderr) == (1, True), refused.stderr
    assert run("events", "import", *folder, str(export)).status == 0
    again = start_service()
    assert again.call("GET", "/v1/state")[1] == before
    _, weights = again.call("GET", "/v1/indexes/shop/weights")
    assert weights["weights"]["cosine"] == 2.5
    assert again.call("POST", "/v1/indexes/shop/search", {"query": "lamp"})[1]["applied_seq"] == before["seq"]


def test_a_changed_copy_is_a_doubt_and_keeps_the_service_from_starting(start_service: Start) -> None:
    service = start_service()
    import_documents(service.url, "shop", sample_catalogue(30))
    service.call("PUT", "/v1/indexes/shop/weights", {"weights": {"cosine": 1.0}, "reason": "honest"})
    copy = service.data_dir / "control.ndjson"
    copy.write_bytes(copy.read_bytes().replace(b"honest", b"forged"))
    doubted = run("events", "verify", "--data-dir", str(service.data_dir), "--url", service.url)
    assert doubted.status == 1
    assert "DOUBT" in doubted.stdout
    assert "line 2: the chain of CONTROL 2 does not match" in doubted.stdout
    service.stop()
    refused = run("serve", "--data-dir", str(service.data_dir), "--port", "0")
    assert (refused.status, "the chain of CONTROL 2 does" in refused.stderr) == (1, True), refused.stderr


def test_an_event_sent_again_is_stored_once_across_a_restart_too(start_service: Start) -> None:
    service = start_service()
    import_documents(service.url, "shop", sample_catalogue(30))
    events = [{"id": f"again-{i}", "type": "click", "index": "shop", "document_id": "x"} for i in range(3)]
    for _ in range(2):
        assert service.call("POST", "/v1/events", {"events": events})[0] == 202
    service.kill()
    service = start_service(port=service.port)
    assert service.call("POST", "/v1/events", {"events": events[:1]})[0] == 202
    stored = [entry["event"]["id"] for entry in tail(service, 1000) if entry["stream"] == "BEHAVIOR"]
    assert sorted(event_id for event_id in stored if event_id.startswith("again")) == ["again-0", "again-1", "again-2"]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    with small_disk(folder, 300) as missing:
        need("tmpfs", not missing, missing)
        yield folder


def test_a_full_disk_answers_507_and_recovers_by_itself(disk: Path) -> None:
    service = RunningService(disk / "data")
    try:
        import_documents(service.url, "shop", sample_catalogue(30))

        def click(event_id: str) -> int:
            event = {"id": event_id, "type": "click", "index": "shop", "document_id": "x"}
            return service.call("POST", "/v1/events", {"events": [event]})[0]

        numbers = itertools.count()

        def wait_for_status(status: int) -> None:
            wait_for(lambda: click(f"{status}-{next(numbers)}") == status, f"status {status}")

        assert click("before") == 202
        ballast = disk / "ballast"
        free = shutil.disk_usage(disk).free
        ballast.write_bytes(bytes(free - 15_000_000))
        wait_for_status(507)
        change = {"weights": {"cosine": 1.0}, "reason": "x"}
        status, problem = service.call("PUT", "/v1/indexes/shop/weights", change)
        assert (status, problem["type"]) == (507, "urn:searchsvc:storage-full")
        assert service.call("POST", "/v1/indexes/shop/documents", {"id": "new", "title": "x"})[0] == 507
        searched = service.call("POST", "/v1/indexes/shop/search", {"query": "lamp"})
        assert (searched[0], searched[1]["degraded"]) == (200, [])
        health = service.call("GET", "/health/ready")
        assert (health[0], health[1]["status"]) == (200, "degraded")
        ballast.unlink()
        wait_for_status(202)
        assert service.call("PUT", "/v1/indexes/shop/weights", change)[0] == 200
        _, history = service.call("GET", "/v1/indexes/shop/weights/history")
        assert [change["reason"] for change in history["changes"]].count("x") == 1
    finally:
        service.stop()


def test_without_memory_documents_are_refused_and_everything_else_goes_on(start_service: Start) -> None:
    service = start_service()
    import_documents(service.url, "shop", sample_catalogue(30))
    service.stop()
    # Less than any process takes.
    full = start_service(SEARCHSVC_MEMORY_LIMIT_MB="10")
    wait_for(lambda: full.call("GET", "/health/ready")[1]["status"] == "degraded", "health to say so")
    reasons = full.call("GET", "/health/ready")[1]["reasons"]
    assert any(reason.startswith("memory: the memory of 10 MB (memory.limit_mb) is 100% full") for reason in reasons)
    documents = "/v1/indexes/shop/documents"
    for method, path, body in (
        ("POST", documents, {"id": "new", "title": "x"}),
        ("PATCH", documents, {"id": "P00001", "stock": 1}),
        ("PATCH", f"{documents}/P00001", {"stock": 1}),
    ):
        status, problem = full.call(method, path, body)
        assert (status, problem["type"]) == (507, "urn:searchsvc:storage-full"), problem
    change = {"weights": {"cosine": 1.0}, "reason": "x"}
    for status, answer in (
        full.call("POST", "/v1/indexes/shop/search", {"query": "lamp"}),
        full.call("PUT", "/v1/indexes/shop/weights", change),
        full.call("DELETE", f"{documents}/P00001"),
    ):
        assert status == 200, answer


def test_a_start_without_the_log_serves_what_is_on_disk_and_joins_the_log_when_it_comes(
    start_service: Start, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    nats = server.start(tmp_path / "store")
    # Also after a failure: a process that is left running would fail a later test.
    request.addfinalizer(nats.stop)
    account = nats.address.accounts["service"]
    environment = {
        "SEARCHSVC_NATS_URL": nats.address.url,
        "SEARCHSVC_NATS_USER": account.user,
        "SEARCHSVC_NATS_PASSWORD": account.password,
    }
    service = start_service(**environment)
    import_documents(service.url, "shop", sample_catalogue(1100))
    service.call("PUT", "/v1/indexes/shop/weights", {"weights": {"cosine": 2.5}, "reason": "x"})
    _, before = service.call("GET", "/v1/state")
    service.stop()
    nats.terminate()
    wait_for(lambda: not nats.running, "the end of the log")

    # Nothing starts the log meanwhile, so this returns only if the service does not wait for it.
    restarted = start_service(**environment)
    status, answer = restarted.call("POST", "/v1/indexes/shop/search", {"query": "lamp"})
    assert (status, answer["applied_seq"], len(answer["hits"])) == (200, before["seq"], 10)
    status, health = restarted.call("GET", "/health/ready")
    assert (status, health["status"]) == (200, "degraded"), health
    change = {"weights": {"cosine": 1.0}, "reason": "y"}
    status, problem = restarted.call("PUT", "/v1/indexes/shop/weights", change)
    assert (status, "the connection to NATS is lost" in problem["detail"]) == (503, True), "refused without trying"
    event = {"id": "e", "type": "click", "index": "shop", "document_id": "x"}
    assert restarted.call("POST", "/v1/events", {"events": [event]})[0] == 503

    nats.spawn()
    nats.await_answer()
    wait_for(lambda: restarted.call("GET", "/health/ready")[1]["status"] == "ready", "the log joined")
    assert restarted.call("PUT", "/v1/indexes/shop/weights", change)[0] == 200
    assert restarted.call("POST", "/v1/events", {"events": [event]})[0] == 202
    nats.terminate()
    restarted.stop()
    assert restarted.process.returncode == 0, "SIGTERM with the log away"


def test_a_log_that_hangs_is_named_in_health_and_started_again_and_loses_nothing(start_service: Start) -> None:
    service = start_service()
    import_documents(service.url, "shop", sample_catalogue(60))
    child = server.read_address(service.data_dir).pid
    os.kill(child, signal.SIGSTOP)

    def reasons() -> str:
        return " ".join(service.call("GET", "/health/ready")[1]["reasons"])

    wait_for(lambda: f"nats-server (process {child}) does not answer" in reasons(), "health to name the server")
    wait_for(lambda: service.call("GET", "/health/ready")[1]["status"] == "ready", "the service to be ready again")
    assert server.read_address(service.data_dir).pid != child
    change = {"weights": {"cosine": 0.5}, "reason": "after the hang"}
    assert service.call("PUT", "/v1/indexes/shop/weights", change)[0] == 200
    assert not Path(f"/proc/{child}").exists()
    verified = run("events", "verify", "--data-dir", str(service.data_dir), "--url", service.url)
    assert verified.status == 0, verified.stdout


def test_indexes_are_made_and_searched_while_another_is_deleted_under_writes(start_service: Start) -> None:
    service = start_service()
    lines = list(sample_catalogue(100))
    body = b"\n".join(lines)

    def write(_: int) -> None:
        with closing(service.connection()) as connection:
            connection.request("POST", "/v1/indexes/deleted/documents", body)
            assert connection.getresponse().status in (200, 404, 409, 503)

    with working(Client(write)):
        for i in range(6 * ROUNDS):
            time.sleep(0.3)
            service.call("DELETE", "/v1/indexes/deleted")
            import_documents(service.url, f"made-{i}", lines[:5])
            hits = service.call("POST", f"/v1/indexes/made-{i}/search", {"query": ""})[1]["hits"]
            assert len(hits) == 5
            service.call("DELETE", f"/v1/indexes/made-{i}")
    reasons = service.call("GET", "/health/ready")[1]["reasons"]
    assert not any("stands still" in reason for reason in reasons), reasons


def test_sigterm_ends_the_service_although_the_log_hangs(start_service: Start) -> None:
    service = start_service()
    import_documents(service.url, "shop", sample_catalogue(60))
    child = server.read_address(service.data_dir).pid
    os.kill(child, signal.SIGSTOP)
    for i in range(20):
        assert service.call("POST", "/v1/indexes/shop/search", {"query": f"lamp {i}"})[0] == 200
    service.stop()
    assert service.process.returncode == 0
    assert not Path(f"/proc/{child}").exists()
