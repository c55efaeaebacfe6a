"""Clicks over HTTP and NATS, what becomes of bad and lonely ones, and what a person sees of all that."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from typing import Any

import nats
import pytest

from benchmarks.running import RUN, RunningService
from events.server import read_address


def command(*words: str) -> str:
    done = subprocess.run([sys.executable, "-c", RUN, *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def tail(service: RunningService, last: int = 500) -> list[dict[str, Any]]:
    said = command("events", "tail", "--data-dir", str(service.data_dir), "--no-follow", "--json", "-n", str(last))
    return [json.loads(line) for line in said.splitlines()]


def tailed(service: RunningService, event_id: str, timeout_s: float = 15.0) -> dict[str, Any]:
    """The tail's entry for an event, once it is there."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        for entry in tail(service):
            if entry["event"]["id"] == event_id:
                return entry
    raise AssertionError(f"{event_id} never came")


def publish(service: RunningService, index: str, *payloads: bytes, role: str = "ingest") -> None:
    """As another system would: with the address and account that the service hands out."""
    address = read_address(service.data_dir)
    account = address.accounts[role]  # type: ignore[index]

    async def run() -> None:
        client = await nats.connect(address.url, user=account.user, password=account.password)
        for payload in payloads:
            await client.jetstream().publish(f"ingest.{index}", payload)
        await client.close()

    asyncio.run(run())


def shown(service: RunningService, query: str) -> tuple[str, list[str]]:
    _, answer = service.call("POST", "/v1/indexes/shop/search", {"query": query})
    return answer["query_id"], [hit["id"] for hit in answer["hits"]]


def test_a_click_over_http_and_one_over_nats_are_joined_to_their_query(service: RunningService) -> None:
    query_id, ids = shown(service, "board game")
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


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"not json", "no event"),
        (b'{"type":"clack","document_id":"1"}', "no event"),
        (b'{"type":"click","document_id":"1","index":"other"}', "leave it out"),
        (b"\xff\xfe", "no event"),
    ],
)
def test_what_is_invalid_on_nats_lands_in_dead_with_its_reason(
    service: RunningService, payload: bytes, reason: str
) -> None:
    marker = f"marker-{time.monotonic_ns()}"
    publish(service, "shop", payload, json.dumps({"type": "view", "document_id": "x", "id": marker}).encode())
    tailed(service, marker)
    dead = [entry["event"] for entry in tail(service) if entry["stream"] == "DEAD"]
    assert any(reason in d["reason"] and d["payload"] == payload.decode(errors="replace") for d in dead)


def test_an_event_for_an_unknown_index_on_nats_lands_in_dead(service: RunningService) -> None:
    publish(service, "nowhere", b'{"type":"click","document_id":"1"}')
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        dead = [entry["event"] for entry in tail(service) if entry["stream"] == "DEAD"]
        if any("there is no index 'nowhere'" in event["reason"] for event in dead):
            return
    raise AssertionError(dead)


def test_the_ingest_account_can_publish_events_and_nothing_else(service: RunningService) -> None:
    address = read_address(service.data_dir)
    account = address.accounts["ingest"]

    async def run() -> list[str]:
        refused: asyncio.Queue[str] = asyncio.Queue()

        async def note(error: Exception) -> None:
            refused.put_nowait(str(error))

        client = await nats.connect(address.url, user=account.user, password=account.password, error_cb=note)
        for subject in ("control.shop", "catalog.shop.1.x", "$JS.API.STREAM.DELETE.CONTROL"):
            await client.publish(subject, b"{}")
        await client.subscribe("behavior.>")
        async with asyncio.timeout(5):
            said = [await refused.get() for _ in range(4)]
        await client.close()
        return said

    assert sum("permissions violation" in error.lower() for error in asyncio.run(run())) == 4


def test_a_click_whose_ranking_never_comes_waits_and_then_lands_in_dead(start_service: Any) -> None:
    service = start_service(SEARCHSVC_BEHAVIOR_JOIN_WAIT_S="0.5")
    service.call("PUT", "/v1/indexes/shop", {"searchable": [{"name": "title"}], "title": "title"})
    event = {"type": "click", "index": "shop", "document_id": "1", "query_id": "f" * 32, "id": "lonely"}
    assert service.call("POST", "/v1/events", {"events": [event]})[0] == 202
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        dead = [entry["event"] for entry in tail(service) if entry["stream"] == "DEAD"]
        if dead:
            assert dead[0]["reason"] == f"no ranking {'f' * 32} came within 0.5 s"
            assert json.loads(dead[0]["payload"])["id"] == "lonely"
            return
    raise AssertionError("it never landed in DEAD")
