"""Going back over HTTP and on the command line: as_of, rollback, revert, diff, audit, and writers at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from searchsvc.cli.data import import_documents
from searchsvc.cli.sample import sample_catalogue
from tests.command_line import run
from tests.factories import call
from tests.running import RunningService

SHOP = "/v1/indexes/shop"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Any:
    running = RunningService(tmp_path_factory.mktemp("time-travel") / "data")
    import_documents(running.url, "shop", sample_catalogue(120))
    yield running
    running.stop()


def ranked(service: RunningService, **members: Any) -> list[tuple[str, float]]:
    answer = call(service, "POST", f"{SHOP}/search", {"query": "lamp", "limit": 20, **members})
    return [(hit["id"], hit["score"]) for hit in answer["hits"]]


def weigh(service: RunningService, **weights: float) -> int:
    named = {name.replace("__", "."): value for name, value in weights.items()}
    return int(call(service, "PUT", f"{SHOP}/weights", {"weights": named, "reason": "trying"})["seq"])


def test_a_search_as_of_a_moment_ranks_as_it_did_then(shop: RunningService) -> None:
    first = weigh(shop, bm25__title=3.0)
    before = ranked(shop)
    between = datetime.now(UTC)
    last = before[-1][0]
    rule = {"actions": [{"type": "pin", "document_id": last, "rank": 1}], "reason": "to be undone"}
    pinned = call(shop, "PUT", f"{SHOP}/rules/undo", rule)["seq"]
    weigh(shop, bm25__title=1.0, cosine=0.0)
    now = ranked(shop)
    assert now[0][0] == last
    for moment in (first, str(first), between.isoformat()):
        assert ranked(shop, as_of=moment) == before
    assert ranked(shop) == now
    answer = call(shop, "GET", f"{SHOP}/search?query=lamp&as_of={pinned}")
    assert (answer["applied_seq"], answer["applied_rules"]) == (pinned, ["undo"])
    # Moments that cannot be searched as of are refused.
    for moment, field in (
        (10**6, "as_of"),
        ("9" * 5000, "as_of"),
        ("soon", "as_of"),
        (0, "as_of"),
        ("2026-01-01T00:00:00", "as_of"),
    ):
        error = call(shop, "POST", f"{SHOP}/search", {"query": "lamp", "as_of": moment}, status=400)
        assert error["field"] == field
    call(shop, "POST", f"{SHOP}/search", {"query": "lamp", "as_of": "2020-01-01T00:00:00Z"}, status=404)
    call(shop, "DELETE", f"{SHOP}/rules/undo")


def test_rollbacks_and_reverts_are_changes_of_their_own(shop: RunningService) -> None:
    weights = call(shop, "GET", f"{SHOP}/weights")
    before = ranked(shop)
    rule = {"actions": [{"type": "hide", "document_id": before[0][0]}]}
    call(shop, "PUT", f"{SHOP}/rules/hide", rule)
    others = ranked(shop)
    assert before[0][0] not in dict(others)
    seq = call(shop, "DELETE", f"{SHOP}/rules/hide")["seq"]
    assert ranked(shop, min_seq=seq) == before
    changed = weigh(shop, bm25__title=0.5)
    hidden = call(shop, "PUT", f"{SHOP}/rules/hide", rule)["seq"]
    assert ranked(shop) != before
    # One change at a time, in any order.
    answer = call(shop, "POST", f"/v1/changes/{changed}/revert", {"reason": "was wrong"})
    assert answer["changed"]["weights"] == {"bm25.title": [0.5, weights["weights"]["bm25.title"]]}
    assert ranked(shop, min_seq=answer["seq"]) == others
    call(shop, "POST", f"/v1/changes/{hidden}/revert")
    assert ranked(shop) == before
    error = call(shop, "POST", f"/v1/changes/{hidden}/revert", status=400)
    assert "nothing was changed" in error["detail"]
    # Everything since a moment, at once.
    weigh(shop, bm25__title=0.1)
    call(shop, "PUT", f"{SHOP}/rules/hide", rule)
    answer = call(shop, "POST", f"{SHOP}/rollback", {"to_seq": seq, "reason": "back to the morning"})
    assert set(answer["changed"]["rules"]) == {"hide"}
    assert ranked(shop) == before
    entry = call(shop, "GET", f"/v1/changes/{answer['seq']}")
    assert (entry["restores"], entry["reason"], entry["kind"]) == (seq, "back to the morning", "change_published")
    assert entry["source"].startswith("http 127.0.0.1")
    # Weights alone, by their version.
    weigh(shop, bm25__title=9.0)
    call(shop, "PUT", f"{SHOP}/rules/hide", rule)
    answer = call(shop, "POST", f"{SHOP}/rollback", {"to_version": weights["version"]})
    assert call(shop, "GET", f"{SHOP}/weights")["weights"] == weights["weights"]
    assert [rule["id"] for rule in call(shop, "GET", f"{SHOP}/rules")["rules"]] == ["hide"]
    difference = call(shop, "GET", f"{SHOP}/diff?from={seq}")["changed"]
    assert (difference["weights"], set(difference["rules"]), difference["settings"]) == ({}, {"hide"}, False)
    call(shop, "DELETE", f"{SHOP}/rules/hide")


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        (f"{SHOP}/rollback", {}, 400, "to_version"),
        (f"{SHOP}/rollback", {"to_version": 1, "to_seq": 1}, 400, "to_version"),
        (f"{SHOP}/rollback", {"to_version": 10_000}, 404, "to_version"),
        (f"{SHOP}/rollback", {"to_seq": 10**7}, 400, "to_seq"),
        (f"{SHOP}/rollback", {"to_time": "yesterday"}, 400, "to_time"),
        ("/v1/indexes/nope/rollback", {"to_seq": 1}, 404, "index"),
        ("/v1/changes/1/revert", {}, 400, "seq"),
        ("/v1/changes/0/revert", {}, 400, "seq"),
        ("/v1/changes/999999/revert", {}, 400, "seq"),
    ],
)
def test_an_impossible_rollback_or_revert_is_refused_and_changes_nothing(
    shop: RunningService, path: str, body: dict[str, Any], status: int, field: str
) -> None:
    seq = call(shop, "GET", "/v1/state")["seq"]
    error = call(shop, "POST", path, body, status=status)
    assert error["field"] == field
    assert call(shop, "GET", "/v1/state")["seq"] == seq


def test_what_was_changed_again_is_reverted_only_by_force(shop: RunningService) -> None:
    seq = weigh(shop, bm25__title=4.0)
    weigh(shop, bm25__title=5.0)
    error = call(shop, "POST", f"/v1/changes/{seq}/revert", status=409)
    assert error["field"] == "weights.bm25.title"
    answer = call(shop, "POST", f"/v1/changes/{seq}/revert", {"force": True})
    assert answer["changed"]["weights"]["bm25.title"][0] == 5.0


def test_concurrent_writers_lose_no_edit(shop: RunningService) -> None:
    names = [f"same-{i}" for i in range(12)]

    def publish(name: str) -> int:
        rule = {"actions": [{"type": "user_data", "data": name}], "conditions": {"context": ["nobody"]}}
        return int(call(shop, "PUT", f"{SHOP}/rules/{name}", rule)["seq"])

    with ThreadPoolExecutor(6) as pool:
        seqs = list(pool.map(publish, names))
    assert len(set(seqs)) == len(names)
    rules = {rule["id"]: rule["seq"] for rule in call(shop, "GET", f"{SHOP}/rules")["rules"]}
    assert {name: rules[name] for name in names} == dict(zip(names, seqs, strict=True))
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda name: call(shop, "DELETE", f"{SHOP}/rules/{name}"), names))


def test_the_command_line_shows_reverts_and_exports_changes(shop: RunningService, tmp_path: Path) -> None:
    def searchsvc(*words: str, status: int = 0) -> str:
        done = run(*words)
        assert done.status == status, done.output
        return done.output

    url = ("--url", shop.url)
    seq = weigh(shop, bm25__title=6.5)
    before = str(seq - 1)
    assert "bm25.title" in searchsvc("weights", "diff", "shop", "--from", before, *url)
    assert "is reverted" in searchsvc("audit", "revert", str(seq), "--reason", "by hand", *url)
    assert "by hand" in searchsvc("audit", "list", "--after", before, *url)
    assert "6.5" in searchsvc("audit", "show", str(seq), *url)
    assert "is as it was" in searchsvc("weights", "rollback", "shop", "--to-seq", str(seq), *url)
    file = tmp_path / "audit.ndjson"
    searchsvc("audit", "export", str(file), *url)
    assert "none missing and none altered" in searchsvc("audit", "verify", str(file))
    lines = file.read_bytes().splitlines(keepends=True)
    for damaged in (
        lines[:2] + lines[3:],
        [line.replace(b'"reason":"by hand"', b'"reason":"by head"') for line in lines],
    ):
        file.write_bytes(b"".join(damaged))
        assert "line" in searchsvc("audit", "verify", str(file), status=1)


def test_limits_and_segments_are_in_force_when_answered_and_can_be_reverted(shop: RunningService) -> None:
    weigh(shop, cosine=2.0, bm25__title=3.0)
    before, plain = call(shop, "GET", f"{SHOP}/weights"), ranked(shop)
    limited = call(shop, "PUT", f"{SHOP}/weights", {"bounds": {"cosine": [0, 5]}, "locks": {"bm25.title": True}})
    assert limited["version"] == before["version"]
    info = call(shop, "GET", f"{SHOP}/weights")
    assert (info["bounds"], info["locks"]) == ({"cosine": [0.0, 5.0]}, ["bm25.title"])
    segment = {"conditions": {"user_segment": "trade"}, "weights": {"cosine": 0.5, "bm25.title": 0.0}, "reason": "B2B"}
    changed = call(shop, "PUT", f"{SHOP}/segments/trade", segment)
    answer = call(shop, "POST", f"{SHOP}/search", {"query": "lamp", "user_segment": "trade", "min_seq": changed["seq"]})
    assert answer["weights_segment"] == "trade"
    assert ranked(shop, user_segment="trade") != plain == ranked(shop)
    seq = call(shop, "GET", "/v1/state")["seq"]
    for path, body, field in (
        ("weights", {"weights": {"cosine": 5.5}}, "weights.cosine"),
        ("weights", {"bounds": {"cosine": [1, 5]}}, "segments.trade.weights.cosine"),
        ("weights", {"bounds": {"cosine": [5, 1]}}, "bounds.cosine"),
        ("weights", {"locks": {"nope": True}}, "locks.nope"),
        ("weights", {}, "weights"),
        ("segments/x", {**segment, "weights": {"cosine": 7}}, "weights.cosine"),
        ("segments/x", {**segment, "conditions": {}}, "conditions"),
        ("segments/x", {**segment, "conditions": {"filters": "nope:1"}}, "conditions.filters"),
        ("segments/a%20b", segment, "segment"),
    ):
        error = call(shop, "PUT", f"{SHOP}/{path}", body, status=400)
        assert error["field"] == field
    assert call(shop, "GET", "/v1/state")["seq"] == seq
    assert [segment["id"] for segment in call(shop, "GET", f"{SHOP}/segments")["segments"]] == ["trade"]
    assert call(shop, "GET", f"{SHOP}/segments/trade")["reason"] == "B2B"
    for seq in (changed["seq"], limited["seq"]):
        call(shop, "POST", f"/v1/changes/{seq}/revert")
    assert call(shop, "GET", f"{SHOP}/weights") == before
    call(shop, "GET", f"{SHOP}/segments/trade", status=404)
    call(shop, "DELETE", f"{SHOP}/segments/trade", status=404)
