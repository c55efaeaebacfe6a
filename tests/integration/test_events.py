"""Clicks over HTTP and NATS: joined to their rankings, refused, orphaned, replayed, and printed by the commands."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

import nats
import pytest

from benchmarks.running import event_log
from events.server import read_address
from events.streams import STREAMS
from searchsvc.cli.data import import_documents
from searchsvc.cli.sample import sample_catalogue
from tests.command_line import run
from tests.running import RunningService
from tests.waiting import wait_for, wait_for_async


def command(*words: str) -> str:
    """Run a command that has to succeed; return its output."""
    done = run(*words)
    assert done.status == 0, done.output
    return done.stdout


def tail(service: RunningService, last: int = 500) -> list[dict[str, Any]]:
    """Return the last events of the log, as `events tail` prints them."""
    output = command("events", "tail", "--data-dir", str(service.data_dir), "--no-follow", "--json", "-n", str(last))
    return [json.loads(line) for line in output.splitlines()]


def tailed(service: RunningService, event_id: str) -> dict[str, Any]:
    """Return what `events tail` prints of an event, once it is in the log."""

    def entries() -> list[dict[str, Any]]:
        return [entry for entry in tail(service) if entry["event"]["id"] == event_id]

    return wait_for(entries, f"event {event_id} in the log")[0]


def dead_events(service: RunningService) -> list[dict[str, Any]]:
    return [entry["event"] for entry in tail(service) if entry["stream"] == "DEAD"]


def publish(service: RunningService, index: str, *payloads: bytes, role: str = "ingest") -> None:
    """Publish as another system does: with the address and account in the data folder."""
    address = read_address(service.data_dir)
    account = address.accounts[role]  # type: ignore[index]

    async def send() -> None:
        client = await nats.connect(address.url, user=account.user, password=account.password)
        for payload in payloads:
            await client.jetstream().publish(f"ingest.{index}", payload)
        await client.close()

    asyncio.run(send())


def search(service: RunningService, query: str) -> tuple[str, list[str]]:
    """Search; return the query id and the ids of the hits."""
    _, answer = service.call("POST", "/v1/indexes/shop/search", {"query": query})
    return answer["query_id"], [hit["id"] for hit in answer["hits"]]


def test_a_click_over_http_and_one_over_nats_are_joined_to_their_query(service: RunningService) -> None:
    query_id, ids = search(service, "board game")
    event = {"type": "click", "query_id": query_id, "document_id": ids[1]}
    status, _ = service.call("POST", "/v1/events", {"events": [{**event, "index": "shop", "id": "http-1"}]})
    assert status == 202
    publish(service, "shop", json.dumps({**event, "id": "nats-1"}).encode())
    for event_id, source in (("http-1", "http"), ("nats-1", "nats")):
        entry = tailed(service, event_id)
        assert entry["event"]["source"] == source
        assert (entry["ranking"]["query"], entry["ranking"]["rank"]) == ("board game", 2)
    text = command("events", "tail", "--data-dir", str(service.data_dir), "--no-follow", "-n", "500")
    assert "rank 2 of 'board game'" in text


def test_an_internal_event_is_checked_and_not_stored(service: RunningService) -> None:
    event = {"type": "click", "document_id": "1", "internal": True}
    over_http = {**event, "index": "shop"}
    sent = [{**over_http, "id": "internal-http"}, {**over_http, "id": "stored", "internal": False}]
    status, answer = service.call("POST", "/v1/events", {"events": sent})
    assert (status, answer["ids"]) == (202, ["internal-http", "stored"])
    status, refused = service.call("POST", "/v1/events", {"events": [{**over_http, "rank": 0}]})
    assert (status, refused["field"]) == (400, "events[0].rank")
    publish(service, "shop", json.dumps({**event, "id": "internal-nats"}).encode())
    publish(service, "shop", json.dumps({**event, "id": "stored-nats", "internal": False}).encode())
    assert tailed(service, "stored-nats")
    text = command("events", "tail", "--data-dir", str(service.data_dir), "--json", "--no-follow", "-n", "500")
    assert '"stored"' in text
    assert "internal-" not in text


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"not json", "no event"),
        (b'{"type":"clack","document_id":"1"}', "no event"),
        (b'{"type":"click","document_id":"1","index":"other"}', "leave it out"),
        (b"\xff\xfe", "no event"),
    ],
)
def test_an_invalid_event_on_nats_is_in_dead_with_its_reason(
    service: RunningService, payload: bytes, reason: str
) -> None:
    marker = f"marker-{time.monotonic_ns()}"
    publish(service, "shop", payload, json.dumps({"type": "view", "document_id": "x", "id": marker}).encode())
    tailed(service, marker)
    text = payload.decode(errors="replace")
    assert any(reason in event["reason"] and event["payload"] == text for event in dead_events(service))


def test_an_event_for_an_unknown_index_on_nats_is_in_dead(service: RunningService) -> None:
    publish(service, "nowhere", b'{"type":"click","document_id":"1"}')
    unknown = "there is no index 'nowhere'"
    wait_for(lambda: [event for event in dead_events(service) if unknown in event["reason"]], "the dead letter")


@pytest.mark.anyio
async def test_the_ingest_account_can_publish_events_and_nothing_else(service: RunningService) -> None:
    address = read_address(service.data_dir)
    account = address.accounts["ingest"]
    refused: asyncio.Queue[str] = asyncio.Queue()

    async def note_error(error: Exception) -> None:
        refused.put_nowait(str(error))

    client = await nats.connect(address.url, user=account.user, password=account.password, error_cb=note_error)
    for subject in ("control.shop", "catalog.shop.1.x", "$JS.API.STREAM.DELETE.CONTROL"):
        await client.publish(subject, b"{}")
    await client.subscribe("behavior.>")
    async with asyncio.timeout(60):
        messages = [await refused.get() for _ in range(4)]
    await client.close()
    assert sum("permissions violation" in message.lower() for message in messages) == 4


@pytest.mark.anyio
async def test_what_the_ingest_account_names_as_reply_reaches_no_stream(service: RunningService) -> None:
    """The server acknowledges to the subject that a message names as its reply, and asks for no permission then."""
    service.call("PUT", "/v1/indexes/published", {"searchable": [{"name": "title"}], "title": "title"})
    address = read_address(service.data_dir)
    account = address.accounts["ingest"]
    async with event_log(service) as log:
        before = {stream: await log.stream_state(stream) for stream in STREAMS}
        client = await nats.connect(address.url, user=account.user, password=account.password)
        payload = json.dumps({"type": "view", "document_id": "1"}).encode()
        subjects = [f"{name.lower()}.published" for name in STREAMS] + ["catalog.published.1.x", "drafts.x"]
        for subject in [*subjects, "$JS.API.STREAM.PURGE.DRAFTS", "$JS.API.STREAM.DELETE.DRAFTS"]:
            await client.publish("ingest.published", payload, reply=subject)
            await client.publish("ingest.published", payload, headers={"Nats-Trace-Dest": subject})
        acknowledged = await client.jetstream().publish("ingest.published", payload)
        await client.close()
        assert acknowledged.stream == "INGEST"
        await wait_for_async(lambda: service.call("GET", "/health/ready")[1]["outbox"]["written"], "the views")
        after = {stream: await log.stream_state(stream) for stream in STREAMS}
    assert after["INGEST"].last_seq - before["INGEST"].last_seq > len(subjects), "every reply was allowed"
    for stream in ("CONTROL", "CATALOG", "DRAFTS", "SIGNALS"):
        assert after[stream].last_seq == before[stream].last_seq, stream
    assert service.call("GET", "/health/ready")[1]["status"] == "ready"


def test_the_servers_monitoring_answers_only_who_knows_its_path(service: RunningService) -> None:
    monitor = urlsplit(read_address(service.data_dir).monitor_url)
    for path in ("/", "/varz", "/connz", "/jsz", "/healthz"):
        with pytest.raises(HTTPError, match="404"):
            urlopen(f"http://{monitor.netloc}{path}", timeout=30)
    with urlopen(f"{monitor.geturl()}/healthz", timeout=30) as answer:
        assert answer.status == 200


def test_a_click_whose_ranking_never_comes_waits_and_is_then_in_dead(start_service: Any) -> None:
    service = start_service(SEARCHSVC_BEHAVIOR_JOIN_WAIT_S="0.5")
    service.call("PUT", "/v1/indexes/shop", {"searchable": [{"name": "title"}], "title": "title"})
    event = {"type": "click", "index": "shop", "document_id": "1", "query_id": "f" * 32, "id": "lonely"}
    assert service.call("POST", "/v1/events", {"events": [event]})[0] == 202
    dead = wait_for(lambda: dead_events(service), "the dead letter")
    assert dead[0]["reason"] == f"no ranking {'f' * 32} came within 0.5 s"
    assert json.loads(dead[0]["payload"])["id"] == "lonely"


def test_a_refused_event_is_replayed_once_its_cause_is_fixed(start_service: Any) -> None:
    service = start_service(SEARCHSVC_BEHAVIOR_JOIN_WAIT_S="0.3")
    url = ("--url", service.url)
    payload = {"type": "click", "document_id": "1", "id": "early", "user_token": "token-of-anna"}
    publish(service, "later", json.dumps(payload).encode(), b"hopeless")
    wait_for_dead(service, 2)
    listed = json.loads(command("events", "dead", *url, "--json"))["dead"]
    assert sorted(letter["refused"]["id"].rpartition("-")[0] for letter in listed) == ["ingest-1", "ingest-2"]
    assert "token-of-anna" not in json.dumps(listed)
    first = next(letter["refused"] for letter in listed if "early" in letter["refused"]["payload"])

    service.call("PUT", "/v1/indexes/later", {"searchable": [{"name": "title"}], "title": "title"})
    replayed = run("events", "replay", "--all", *url, "--json")
    assert replayed.status == 3, replayed.output
    report = json.loads(replayed.stdout)
    assert report["n_replayed"] == 1
    assert "no event" in report["still_refused"][0]["reason"]
    entry = tailed(service, "early")
    assert (entry["event"]["replay_of"], entry["event"]["source"]) == (first["id"], "nats")
    assert entry["event"]["user"] == json.loads(first["payload"])["user_token"], (
        "the pseudonym that it was refused under"
    )
    letters = json.loads(command("events", "dead", *url, "--json"))["dead"]
    assert [letter["refused"]["payload"] for letter in letters] == ["hopeless"]

    # A click whose ranking never came, replayed: it waits again, and is in DEAD again, under a new id.
    click = {"type": "click", "index": "later", "document_id": "1", "query_id": "f" * 32, "id": "lonely"}
    assert service.call("POST", "/v1/events", {"events": [click]})[0] == 202
    wait_for_dead(service, 2)
    assert "1 sent again" in command("events", "replay", "lonely", *url)
    wait_for_dead(service, 2)
    letters = json.loads(command("events", "dead", "--key", "f" * 32, *url, "--json"))["dead"]
    assert [letter["refused"]["id"].startswith("lonely.r") for letter in letters] == [True]
    unknown = service.call("POST", "/v1/dead/replay", {"ids": ["nobody"]})
    assert (unknown[0], unknown[1]["field"]) == (400, "ids")


def wait_for_dead(service: RunningService, n: int) -> None:
    """Wait until DEAD holds n events."""
    wait_for(lambda: len(service.call("GET", "/v1/dead")[1]["dead"]) == n, f"{n} dead letters")


def test_no_token_and_no_address_is_on_disk_and_nothing_of_an_erased_user_can_be_read(start_service: Any) -> None:
    service = start_service()
    import_documents(service.url, "shop", sample_catalogue(60))
    token, typed = "secret-token-of-anna", "boots for anna.muster@mail.example.com"
    _, answer = service.call("POST", "/v1/indexes/shop/search", {"query": typed, "user_token": token})
    _, without_user = service.call("POST", "/v1/indexes/shop/search", {"query": "call +41 44 123 45 67"})
    click = {
        "id": "private",
        "type": "click",
        "index": "shop",
        "document_id": answer["hits"][0]["id"],
        "query_id": answer["query_id"],
        "user_token": token,
    }
    assert service.call("POST", "/v1/events", {"events": [click]})[0] == 202
    entry = tailed(service, "private")
    assert entry["ranking"]["query"] == "boots for [e-mail]"
    before = tailed(service, answer["query_id"])["event"]
    assert (before["user"], before["query"]) == (entry["event"]["user"], "boots for [e-mail]")
    assert tailed(service, without_user["query_id"])["event"]["query"] == "call [phone]"

    payloads = [
        {"type": "clack", "user_token": 49170123456789, "document_id": "1"},
        {"events": [{"type": "click", "user_token": token}]},
        {"type": "click", "user_token": {"id": token}},
    ]
    publish(
        service,
        "shop",
        *(json.dumps(payload).encode() for payload in payloads),
        b'{"type": "click", "user_token": "' + token.encode(),
    )
    wait_for_dead(service, 4)

    assert "1 key destroyed" in command("privacy", "erase", token, "--url", service.url)
    assert "nothing is known" in command("privacy", "erase", token, "--url", service.url)
    assert tailed(service, answer["query_id"])["event"]["query"] == "[no key]"
    assert service.call("POST", "/v1/events", {"events": [{**click, "id": "private-2"}]})[0] == 202
    assert tailed(service, "private-2")["event"]["user"] != before["user"]
    service.stop()
    for file in service.data_dir.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            for secret in (token.encode(), b"anna.muster", b"123 45 67", b"boots for", b"49170123456789"):
                assert secret not in content or "INGEST" in str(file), f"{secret!r} in {file}"
