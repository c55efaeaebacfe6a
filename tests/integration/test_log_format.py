"""Every command that opens a log refuses another format, and the message says what to do."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from nats.aio.client import Client
from nats.js.api import StreamConfig

from events import server
from events.errors import Corrupt
from events.jetstream.event_log import connect
from tests.command_line import run

COMMANDS = [
    ("serve", "--port", "0"),
    ("demo", "--port", "0"),
    ("events", "verify"),
    ("events", "tail", "--no-follow"),
    ("events", "export", "{folder}/out"),
    ("events", "import", "{folder}/archive"),
    ("events", "repair"),
    ("doctor",),
]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words[:2]))
def test_a_data_folder_of_an_earlier_version_is_refused(tmp_path: Path, words: tuple[str, ...]) -> None:
    folder = tmp_path / "data"
    (folder / "nats").mkdir(parents=True)
    (tmp_path / "archive").write_text("")
    done = run(*(word.format(folder=tmp_path) for word in words), "--data-dir", str(folder), COLUMNS="500")
    output = done.output
    assert done.status == 1, output
    assert "this version reads format 1" in output
    assert "log-format.md" in output
    assert "Traceback" not in output
    assert [path.name for path in folder.iterdir()] == ["nats"]


@pytest.mark.anyio
async def test_streams_of_an_earlier_version_are_refused_once_they_hold_messages(
    nats_server: server.NatsServer,
) -> None:
    account = nats_server.address.accounts["service"]
    client = Client()
    await client.connect(nats_server.address.url, user=account.user, password=account.password)
    js = client.jetstream()
    for name, subject in (("CONTROL", "control.>"), ("CATALOG", "catalog.>")):
        await js.add_stream(StreamConfig(name=name, subjects=[subject], allow_direct=True))
    event_log = await connect(nats_server.address.url, user=account.user, password=account.password)
    await event_log.require_format()
    await js.publish("catalog.shop.1.a", b"{}")
    for check in (event_log.require_format, event_log.ensure_streams):
        with pytest.raises(Corrupt, match=r"stream CATALOG .* an earlier version; .*format 1.*log-format\.md"):
            await check()
    await client.close()
    await event_log.close()


@pytest.mark.anyio
async def test_empty_streams_of_an_earlier_version_are_marked(nats_server: server.NatsServer) -> None:
    account = nats_server.address.accounts["service"]
    event_log = await connect(nats_server.address.url, user=account.user, password=account.password)
    js = event_log._session.js
    await js.add_stream(StreamConfig(name="DRAFTS", subjects=["drafts.>"], allow_direct=True, max_msgs_per_subject=1))
    for _ in range(2):  # the second time nothing is left to do
        await event_log.ensure_streams()
    assert ((await js.stream_info("DRAFTS")).config.metadata or {})["searchsvc-format"] == "1"
    await event_log.close()


def test_a_service_refuses_a_nats_server_with_streams_of_an_earlier_version(
    nats_server: server.NatsServer, tmp_path: Path
) -> None:
    account = nats_server.address.accounts["service"]

    async def fill() -> None:
        client = Client()
        await client.connect(nats_server.address.url, user=account.user, password=account.password)
        js = client.jetstream()
        await js.add_stream(StreamConfig(name="CONTROL", subjects=["control.>"], allow_direct=True))
        await js.publish("control.shop", b"{}")
        await client.close()

    asyncio.run(fill())
    environment = {
        "SEARCHSVC_NATS_URL": nats_server.address.url,
        "SEARCHSVC_NATS_USER": account.user,
        "SEARCHSVC_NATS_PASSWORD": account.password,
    }
    folder = str(tmp_path / "data")
    for words in (("serve", "--port", "0"), ("events", "tail", "--no-follow"), ("events", "verify")):
        done = run(*words, "--data-dir", folder, **environment)
        output = done.output
        assert (done.status, "stream CONTROL" in output, "log-format.md" in output) == (1, True, True), output
        assert "Traceback" not in output


@pytest.mark.parametrize("folder", ["file", "file/below", "/proc/data"])
def test_a_data_dir_that_cannot_be_written_is_one_line_and_status_1(tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").write_text("")
    done = run("serve", "--port", "0", "--data-dir", str(tmp_path / folder))
    lines = [line for line in done.stderr.splitlines() if line.startswith("Error")]
    assert (done.status, done.stderr.count("data folder")) == (1, 1), done.stderr
    assert "Traceback" not in done.stderr, lines


def test_doctor_creates_no_data_folder(tmp_path: Path) -> None:
    done = run("doctor", "--data-dir", str(tmp_path / "none"), "--url", "http://127.0.0.1:9", "--json")
    checks = {check["check"]: check for check in json.loads(done.stdout)["checks"]}
    assert checks["data folder"]["detail"].endswith("does not exist yet")
    assert checks["model"]["status"] == "ok"
    assert not (tmp_path / "none").exists()
