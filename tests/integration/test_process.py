"""The process: restarts, kills, locks, ports, commands. All servers are real, and are ended by their process ids."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from benchmarks.running import RUN
from events import server, store_lock
from events.errors import Unavailable
from events.jetstream.event_log import connect
from searchsvc.cli.data import import_documents
from searchsvc.cli.sample import sample_catalogue
from tests.command_line import run, run_process
from tests.running import RunningService

Start = Callable[..., RunningService]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def answers(service: RunningService, query: str) -> list[tuple[str, float]]:
    _, answer = service.call("POST", "/v1/indexes/shop/search", {"query": query, "limit": 20})
    return [(hit["id"], hit["score"]) for hit in answer["hits"]]


def test_a_restart_after_kill_9_serves_everything_as_before(start_service: Start) -> None:
    first = start_service()
    import_documents(first.url, "shop", sample_catalogue(60))
    _, changed = first.call("PUT", "/v1/indexes/shop/weights", {"weights": {"cosine": 3.5}, "reason": "x"})
    before = answers(first, "warm winter boots")
    child = server.read_address(first.data_dir).pid
    first.kill()
    second = start_service(port=first.port)
    assert answers(second, "warm winter boots") == before
    _, weights = second.call("GET", "/v1/indexes/shop/weights")
    assert (weights["version"], weights["weights"]["cosine"]) == (changed["version"], 3.5)
    assert not alive(child)
    _, health = second.call("GET", "/health/ready")
    assert health["known_rankings"] >= 1


def test_after_sigterm_the_child_is_gone_and_a_saved_index_opens(start_service: Start) -> None:
    first = start_service()
    import_documents(first.url, "shop", sample_catalogue(60))
    before = answers(first, "pruning shears")
    child = server.read_address(first.data_dir).pid
    first.stop()
    assert first.process.returncode == 0
    assert not alive(child)
    assert list((first.data_dir / "indexes").glob("shop-*/snapshots/*/manifest.json"))
    assert answers(start_service(port=first.port), "pruning shears") == before


def test_a_flipped_bit_in_the_saved_index_is_rebuilt_from_the_log(start_service: Start) -> None:
    first = start_service()
    import_documents(first.url, "shop", sample_catalogue(60))
    before = answers(first, "bike helmet")
    first.stop()
    # There may be more than one, and the newest good one is taken.
    for vectors in (first.data_dir / "indexes").glob("shop-*/snapshots/*/vectors.rows.npy"):
        data = bytearray(vectors.read_bytes())
        data[-100] ^= 0x40
        vectors.write_bytes(data)
    again = start_service()
    assert answers(again, "bike helmet") == before
    log = (again.data_dir.parent / f"{again.data_dir.name}.log").read_text()
    assert "does not match its manifest" in log


def test_a_second_service_on_one_folder_is_refused_naming_the_first(start_service: Start) -> None:
    first = start_service()
    second = run("serve", "--data-dir", str(first.data_dir), "--port", "0")
    assert second.status == 1
    assert str(first.process.pid) in second.stderr
    assert first.call("GET", "/health/live")[0] == 200


def test_a_busy_port_is_refused(tmp_path: Path) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        refused = run("serve", "--data-dir", str(tmp_path / "d"), "--port", str(busy.getsockname()[1]))
    assert refused.status == 1
    assert "is not free" in refused.stderr


def test_an_orphaned_server_is_ended_before_another_one_opens_the_store(tmp_path: Path) -> None:
    holder = """
import sys, time
from pathlib import Path
from urllib.parse import urlsplit
from events import server
running = server.start(Path(sys.argv[1]))
print(running.address.pid, flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", holder, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    with pytest.raises(Unavailable, match=str(parent.pid)):
        store_lock.lock_store(tmp_path, wait_s=1)
    # SIGSTOP keeps the child from acting on its parent's death: an orphan that holds the lock.
    os.kill(child, signal.SIGSTOP)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    second = server.start(tmp_path)
    assert not alive(child)
    assert second.running
    second.stop()


def test_the_child_fsyncs_every_write_and_keeps_its_secrets(tmp_path: Path) -> None:
    running = server.start(tmp_path)
    try:
        assert (tmp_path / "nats.json").stat().st_mode & 0o777 == 0o600
        assert (tmp_path / "run" / "nats-server.conf").stat().st_mode & 0o777 == 0o600
        assert "sync_interval: always" in (tmp_path / "run" / "nats-server.conf").read_text()
    finally:
        running.stop()
    assert not running.running


@pytest.mark.anyio
async def test_another_process_on_the_childs_port_is_recognised_and_sent_nothing(tmp_path: Path) -> None:
    running = await asyncio.to_thread(server.start, tmp_path)
    address = running.address
    running.stop()
    received = bytearray()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"X","version":"2.15.1","auth_required":true,"headers":true,"nonce":"abc"}\r\n')
        await writer.drain()
        with suppress(ConnectionResetError):
            while piece := await reader.read(4096):
                received.extend(piece)
        writer.close()

    impostor = await asyncio.start_server(listen, "127.0.0.1", urlsplit(address.url).port)
    with pytest.raises(Unavailable, match="does not listen"):
        await connect(address.url, user="service", password=running.service_password)
    impostor.close()
    assert received == b""


def test_import_reports_refused_lines_and_ends_with_3(service: RunningService, tmp_path: Path) -> None:
    done = run("import", "cli", "-", "--url", service.url, "--json", stdin=b'{"id":"1","title":"One"}\nbad\n')
    report = json.loads(done.stdout)
    assert (done.status, report["accepted"]) == (3, 1)
    assert report["refused"][0]["line"] == 2
    assert report["created"]["title"] == "title"
    missing = run("import", "cli", str(tmp_path / "none.jsonl"), "--url", service.url)
    assert missing.status == 2
    away = run("import", "cli", "-", "--url", "http://127.0.0.1:9", stdin=b'{"id":"1","title":"One"}\n')
    assert (away.status, "no service answers" in away.stderr) == (1, True)


def test_weights_commands_set_show_and_trace(service: RunningService) -> None:
    done = run("weights", "set", "shop", "cosine=1.25", "--reason", "by hand", "--url", service.url, "--json")
    version = json.loads(done.stdout)["version"]
    shown = json.loads(run("weights", "show", "shop", "--url", service.url, "--json").stdout)
    assert (shown["version"], shown["weights"]["cosine"]) == (version, 1.25)
    assert "by hand" in run("weights", "history", "shop", "--url", service.url, COLUMNS="200").stdout
    refused = run("weights", "set", "shop", "cosine=nan", "--url", service.url)
    assert (refused.status, "finite" in refused.stderr) == (1, True)
    assert run("weights", "set", "shop", "cosine", "--url", service.url).status == 2
    stale = run("weights", "set", "shop", "cosine=1", "--expected-version", "1", "--url", service.url)
    assert (stale.status, "409" in stale.stderr) == (1, True)


def test_config_show_prints_where_each_value_comes_from(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('port = 8100\n[nats]\ningest_password = "secret"\n')
    done = run("config", "show", "--config", str(file), "--origin", "--json", SEARCHSVC_SEARCH_CANDIDATES="50")
    values = json.loads(done.stdout)
    assert values["port"] == {"value": 8100, "origin": str(file)}
    assert values["search.candidates"] == {"value": 50, "origin": "SEARCHSVC_SEARCH_CANDIDATES"}
    assert values["host"]["origin"] == "default"
    assert "secret" not in done.stdout


def test_doctor_finds_a_running_service_and_tells_how_to_publish(service: RunningService) -> None:
    done = run("doctor", "--data-dir", str(service.data_dir), "--url", service.url, "--json")
    report = json.loads(done.stdout)
    assert done.status == 0
    assert {check["check"]: check["status"] for check in report["checks"]}["service"] == "ok"
    assert report["nats"]["ingest"]["user"] == "ingest"
    away = run("doctor", "--data-dir", str(service.data_dir), "--url", "http://127.0.0.1:9")
    assert away.status == 1


def test_without_a_model_keyword_searches_are_answered_as_degraded(start_service: Start, tmp_path: Path) -> None:
    service = start_service(SEARCHSVC_EMBEDDING_MODEL=str(tmp_path))
    import_documents(service.url, "shop", sample_catalogue(30))
    _, answer = service.call("POST", "/v1/indexes/shop/search", {"query": "shoes boots jacket"})
    assert answer["hits"]
    assert answer["degraded"] == ["vector"]
    status, health = service.call("GET", "/health/ready")
    assert (status, health["status"]) == (200, "degraded")
    assert "model.safetensors" in health["reasons"][0]


def test_demo_loads_its_catalogue_and_prints_its_addresses(tmp_path: Path) -> None:
    demo = subprocess.Popen(
        [sys.executable, "-c", RUN, "demo", "--data-dir", str(tmp_path / "d"), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "SEARCHSVC_EMBEDDING_MODEL": str(tmp_path)},  # without vectors, to be quick
    )
    assert demo.stdout is not None
    lines = []
    for line in demo.stdout:
        lines.append(line)
        if "stops it" in line:
            break
    demo.terminate()
    demo.stdout.close()
    assert demo.wait(20) == 0
    assert "3000 documents in index demo, 0 refused" in "".join(lines)
    assert "storefront  http://127.0.0.1:" in "".join(lines)


def test_serving_does_not_import_torch() -> None:
    check = "import sys, searchsvc.cli.serve, searchsvc.app.app; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], timeout=300, check=False).returncode == 0


def test_help_lists_every_command_and_each_has_help() -> None:
    assert run_process("--help").status == 0
    listed = run("--help").output
    for command in ("serve", "demo", "import", "events", "weights", "config", "doctor", "bench"):
        assert command in listed
        assert run(command, "--help").status == 0


def test_reading_a_log_that_is_not_running_is_refused(start_service: Start) -> None:
    service = start_service()
    service.stop()
    done = run("events", "tail", "--data-dir", str(service.data_dir), "--no-follow")
    assert (done.status, "no NATS answers" in done.stderr) == (1, True)


def test_a_wrong_password_for_nats_is_reported(tmp_path: Path) -> None:
    running = server.start(tmp_path / "store")
    try:
        done = run(
            "serve",
            "--data-dir",
            str(tmp_path / "d"),
            SEARCHSVC_PORT="0",
            SEARCHSVC_NATS_URL=running.address.url,
            SEARCHSVC_NATS_USER="service",
            SEARCHSVC_NATS_PASSWORD="wrong",
        )
        assert (done.status, "uthorization" in done.stderr) == (1, True), done.stderr
    finally:
        running.stop()


def test_a_configured_nats_server_is_used_instead_of_a_child(start_service: Start, tmp_path: Path) -> None:
    running = server.start(tmp_path / "store")
    account = running.address.accounts["service"]
    service = start_service(
        SEARCHSVC_NATS_URL=running.address.url,
        SEARCHSVC_NATS_USER=account.user,
        SEARCHSVC_NATS_PASSWORD=account.password,
    )
    import_documents(service.url, "shop", sample_catalogue(30))
    assert answers(service, "lamp")
    assert not (service.data_dir / "nats.json").exists()
    service.stop()
    assert running.running
    running.stop()


def test_matrix_products_use_one_thread() -> None:
    program = "import searchsvc.cli, numpy, os; numpy.ones((900, 900)) @ numpy.ones((900, 900))"
    count = f"{program}; print(len(os.listdir('/proc/self/task')))"
    done = subprocess.run([sys.executable, "-c", count], capture_output=True, timeout=300, check=True)
    assert int(done.stdout) == 1
