"""Policies, approvals and publishing at a time, over HTTP and on the command line."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from events import server
from events.jetstream.event_log import JetStreamEventLog, connect
from events.log import Entry
from searchsvc.cli.data import import_documents
from searchsvc.cli.sample import sample_catalogue
from tests.command_line import run
from tests.factories import call
from tests.running import RunningService
from tests.waiting import wait_for

SHOP = "/v1/indexes/shop"
DRAFT = f"{SHOP}/drafts/spring"


@pytest.fixture
def shop(start_service: Callable[..., RunningService]) -> RunningService:
    running = start_service("policies")
    import_documents(running.url, "shop", sample_catalogue(30))
    return running


def weight(service: RunningService) -> float:
    return float(call(service, "GET", f"{SHOP}/weights")["weights"]["bm25.title"])


def edits(value: float) -> dict[str, Any]:
    return {"reason": "more title", "edits": [{"type": "weights", "weights": {"bm25.title": value}}]}


def test_approvals_steps_and_publishers_are_enforced_and_refusals_are_in_the_audit_trail(shop: RunningService) -> None:
    before = weight(shop)
    policy = {"approvals": 1, "max_step": 2, "publishers": {"rules": ["bea"], "settings": ["ops"]}, "reason": "care"}
    changed = call(shop, "PUT", f"{SHOP}/policy", policy, actor="ada")
    assert changed["changed"]["policy"][1]["approvals"] == 1
    assert call(shop, "GET", f"{SHOP}/policy")["policy"]["max_step"] == 2
    # Without a draft neither the weights nor the policy itself can be changed.
    body = {"weights": {"bm25.title": before + 1}, "reason": "quickly"}
    refused = call(shop, "PUT", f"{SHOP}/weights", body, actor="ada", status=403)
    assert refused["field"] == "policy.approvals"
    assert "have it approved" in refused["detail"]
    assert call(shop, "PUT", f"{SHOP}/policy", {}, actor="ada", status=403)["field"] == "policy.approvals"
    rule = {"actions": [{"type": "hide", "filter": "id:1"}]}
    assert call(shop, "PUT", f"{SHOP}/rules/r", rule, actor="ada", status=403)["field"] == "policy.publishers.rules"
    settings = call(shop, "GET", SHOP)["settings"]
    for method, content in (("PUT", settings), ("DELETE", None)):
        assert call(shop, method, SHOP, content, actor="ada", status=403)["field"] == "policy.publishers.settings"
    assert weight(shop) == before
    seq = call(shop, "GET", "/v1/state")["seq"]
    entries = {entry["seq"]: entry for entry in call(shop, "GET", "/v1/audit")["entries"]}
    last = entries[seq - 4]
    assert (last["kind"], last["actor"], last["reason"]) == ("change_refused", "ada", "quickly")
    assert "approvals" in last["refused"]
    assert last["event"]["edits"] == [{"type": "weights", "weights": {"bm25.title": before + 1}}]
    assert [entries[seq - n]["event"]["kind"] for n in (0, 1)] == ["index_deleted", "index_configured"]
    # A draft is published once another named actor than its author has approved it.
    draft = call(shop, "PUT", DRAFT, edits(before + 1), actor="ada")
    assert call(shop, "GET", DRAFT)["approvals_missing"] == 1
    assert (
        call(shop, "POST", f"{DRAFT}/publish", {"reason": "x"}, actor="ada", status=403)["field"] == "policy.approvals"
    )
    for actor in ("ada", ""):
        assert call(shop, "POST", f"{DRAFT}/approve", {}, actor=actor, status=400)["field"] == "actor"
    approved = call(shop, "POST", f"{DRAFT}/approve", {"expected_version": draft["version"]}, actor="bea")
    assert [approval["actor"] for approval in approved["approvals"]] == ["bea"]
    # Saved again it is another draft, without approvals.
    draft = call(shop, "PUT", DRAFT, edits(before + 2.5), actor="ada")
    assert draft["approvals"] == []
    stale = {"expected_version": approved["version"]}
    assert call(shop, "POST", f"{DRAFT}/approve", stale, actor="bea", status=409)["field"] == "expected_version"
    call(shop, "POST", f"{DRAFT}/approve", {"reason": "fine"}, actor="bea")
    assert (
        call(shop, "POST", f"{DRAFT}/publish", {"reason": "x"}, actor="ada", status=403)["field"] == "policy.max_step"
    )
    call(shop, "PUT", DRAFT, edits(before + 1.5), actor="ada")
    call(shop, "POST", f"{DRAFT}/approve", {"reason": "fine"}, actor="bea")
    published = call(shop, "POST", f"{DRAFT}/publish", {"reason": "looked at by two"}, actor="ada")
    assert weight(shop) == before + 1.5
    # A revert needs no approval: what it leads to was in force before.
    call(shop, "POST", f"/v1/changes/{published['seq']}/revert", {"reason": "no good"}, actor="ada")
    assert weight(shop) == before


def test_in_a_freeze_only_exempt_actors_change_anything_until_it_ends(shop: RunningService) -> None:
    before, now = weight(shop), datetime.now(UTC)
    soon = (now + timedelta(seconds=2)).isoformat()
    freeze = {"from": now.isoformat(), "until": soon, "reason": "Black Friday", "exempt": ["ops"]}
    call(shop, "PUT", f"{SHOP}/policy", {"freezes": [freeze]})
    assert call(shop, "GET", f"{SHOP}/policy")["frozen"] is True
    body = {"weights": {"bm25.title": before + 1}}
    refused = call(shop, "PUT", f"{SHOP}/weights", body, status=403)
    assert (refused["field"], "Black Friday" in refused["detail"]) == ("policy.freezes[0]", True)
    call(shop, "PUT", f"{SHOP}/weights", body, actor="ops")
    wait_for(lambda: shop.call("PUT", f"{SHOP}/weights", {"weights": {"bm25.title": before}})[0] == 200, "its end")


def test_a_draft_is_published_at_its_time_or_by_the_next_service_that_starts(
    shop: RunningService, start_service: Callable[..., RunningService]
) -> None:
    before = weight(shop)
    call(shop, "PUT", DRAFT, edits(before + 1), actor="ada")
    for wrong in ("2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z", "2026-12-01T00:00:00"):
        assert (
            call(shop, "PUT", f"{DRAFT}/schedule", {"publish_at": wrong, "reason": "x"}, status=400)["field"]
            == "publish_at"
        )
    publish_at = (datetime.now(UTC) + timedelta(seconds=1.5)).isoformat()
    assert call(shop, "PUT", f"{DRAFT}/schedule", {"publish_at": publish_at}, status=400)["field"] == "reason"
    scheduled = call(shop, "PUT", f"{DRAFT}/schedule", {"publish_at": publish_at, "reason": "night shift"}, actor="bea")
    assert (scheduled["schedule"]["actor"], scheduled["actor"]) == ("bea", "ada")
    assert weight(shop) == before
    wait_for(lambda: weight(shop) == before + 1, "the change")
    last = call(shop, "GET", "/v1/audit")["entries"][-1]
    assert (last["actor"], last["reason"], last["event"]["draft"]) == ("bea", "night shift", "spring")
    assert datetime.fromisoformat(last["timestamp"]) >= datetime.fromisoformat(publish_at)
    call(shop, "GET", DRAFT, status=404)
    # Unscheduled in time, it stays a draft. One whose time passes while no service runs is published later.
    for name, value in (("unscheduled", before + 3), ("late", before + 2)):
        call(shop, "PUT", f"{SHOP}/drafts/{name}", edits(value))
        publish_at = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
        call(shop, "PUT", f"{SHOP}/drafts/{name}/schedule", {"publish_at": publish_at, "reason": "at night"})
    assert call(shop, "DELETE", f"{SHOP}/drafts/unscheduled/schedule")["schedule"] is None
    call(shop, "DELETE", f"{SHOP}/drafts/unscheduled/schedule", status=400)
    shop.kill()
    time.sleep(1.0)
    shop = start_service("policies")
    wait_for(lambda: weight(shop) == before + 2, "the late change")
    assert [draft["id"] for draft in call(shop, "GET", f"{SHOP}/drafts")["drafts"]] == ["unscheduled"]


def test_a_draft_that_is_published_is_never_published_again(
    shop: RunningService, start_service: Callable[..., RunningService]
) -> None:
    before = weight(shop)
    call(shop, "PUT", DRAFT, edits(before + 1))
    publish_at = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    call(shop, "PUT", f"{DRAFT}/schedule", {"publish_at": publish_at, "reason": "at night"})

    async def saved() -> Entry:
        log = await log_of(shop)
        (record,) = [record async for record in log.read("DRAFTS")]
        await log.close()
        return Entry(record.subject, record.data)

    entry = asyncio.run(saved())
    wait_for(lambda: weight(shop) == before + 1, "the change")
    seq = call(shop, "GET", "/v1/audit")["last_seq"]
    call(shop, "POST", f"/v1/changes/{seq}/revert", {"reason": "no good"})

    # As if the service had ended after it published the draft and before it deleted it.
    async def left_behind() -> None:
        log = await log_of(shop)
        await log.append("DRAFTS", entry)
        await log.close()

    asyncio.run(left_behind())
    assert call(shop, "GET", f"{SHOP}/drafts")["drafts"] == []
    call(shop, "POST", f"{DRAFT}/publish", {"reason": "again"}, status=404)
    shop.kill()
    shop = start_service("policies")
    time.sleep(1.0)
    assert (weight(shop), call(shop, "GET", "/v1/audit")["last_seq"]) == (before, seq + 1)
    # Another draft of that name is another draft.
    call(shop, "PUT", DRAFT, edits(before + 2))
    call(shop, "POST", f"{DRAFT}/publish", {"reason": "another"})
    assert weight(shop) == before + 2


async def log_of(service: RunningService) -> JetStreamEventLog:
    address = server.read_address(service.data_dir)
    account = address.accounts["service"]
    return await connect(address.url, user=account.user, password=account.password)


def test_a_repeated_refusal_is_told_each_time_and_logged_once(shop: RunningService) -> None:
    call(shop, "PUT", f"{SHOP}/policy", {"max_step": 0.5})
    seq = call(shop, "GET", "/v1/state")["seq"]
    for step in range(5):
        body = {"weights": {"bm25.title": 50 + step}}
        assert "would move by" in call(shop, "PUT", f"{SHOP}/weights", body, actor="ada", status=403)["detail"]
    assert call(shop, "GET", "/v1/state")["seq"] == seq + 1
    call(shop, "PUT", f"{SHOP}/weights", body, actor="bea", status=403)
    assert call(shop, "GET", "/v1/state")["seq"] == seq + 2


def test_a_draft_that_cannot_be_published_at_its_time_says_why_and_stays(shop: RunningService) -> None:
    before = weight(shop)
    call(shop, "PUT", DRAFT, edits(before + 1))
    # Soon, and later than it takes to change the weight that it edits.
    publish_at = (datetime.now(UTC) + timedelta(seconds=4)).isoformat()
    call(shop, "PUT", f"{DRAFT}/schedule", {"publish_at": publish_at, "reason": "at night"})
    call(shop, "PUT", f"{SHOP}/weights", {"weights": {"bm25.title": before + 5}})
    wait_for(lambda: call(shop, "GET", DRAFT)["draft"]["schedule"]["failure"] != "", "a word of it")
    assert "weights.bm25.title changed since" in call(shop, "GET", DRAFT)["draft"]["schedule"]["failure"]
    assert weight(shop) == before + 5


def test_policies_and_approvals_from_the_command_line(shop: RunningService, tmp_path: Path) -> None:
    def searchsvc(*words: str, actor: str = "ada", status: int = 0) -> str:
        done = run(*words, "--url", shop.url, SEARCHSVC_ACTOR=actor, COLUMNS="300")
        assert done.status == status, done.output
        return done.output

    file = tmp_path / "policy.json"
    file.write_bytes(msgspec.json.encode({"approvals": 1, "reason": "two look"}))
    assert "is live" in searchsvc("policy", "set", "shop", str(file))
    assert '"approvals": 1' in searchsvc("policy", "show", "shop")
    assert "have it approved" in searchsvc("weights", "set", "shop", "bm25.title=4", status=1)
    assert "refused: " in searchsvc("audit", "list")
    file.write_bytes(msgspec.json.encode(edits(4.0)))
    searchsvc("drafts", "set", "shop", "spring", str(file))
    assert "that are missing: 1" in searchsvc("drafts", "show", "shop", "spring")
    assert "an actor other than its author" in searchsvc("drafts", "approve", "shop", "spring", status=1)
    assert "approved by bea" in searchsvc("drafts", "approve", "shop", "spring", actor="bea")
    publish_at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    searchsvc("drafts", "schedule", "shop", "spring", status=2)
    assert publish_at in searchsvc("drafts", "schedule", "shop", "spring", "--at", publish_at, "--reason", "later")
    assert "to be published at" in searchsvc("drafts", "show", "shop", "spring")
    assert "not scheduled any more" in searchsvc("drafts", "schedule", "shop", "spring", "--cancel")
    assert "is live" in searchsvc("drafts", "publish", "shop", "spring", "--reason", "both looked")
    assert weight(shop) == 4.0
