"""Drafts over HTTP and on the command line: saved, previewed, published as a whole, and merged with earlier changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from searchsvc.cli.data import import_documents
from searchsvc.cli.sample import sample_catalogue
from tests.command_line import run
from tests.factories import call
from tests.running import RunningService

SHOP = "/v1/indexes/shop"
DRAFT = f"{SHOP}/drafts/spring"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    running = RunningService(tmp_path_factory.mktemp("drafts") / "data")
    import_documents(running.url, "shop", sample_catalogue(120))
    yield running
    running.stop()


def ranked(service: RunningService, **members: Any) -> list[str]:
    answer = call(service, "POST", f"{SHOP}/search", {"query": "lamp", "limit": 10, **members})
    return [hit["id"] for hit in answer["hits"]]


def pinned(document_id: str) -> dict[str, Any]:
    conditions = {"query": {"type": "contains", "text": "lamp"}}
    actions = [{"type": "pin", "document_id": document_id, "rank": 1}]
    return {"type": "rule", "id": "spring", "rule": {"conditions": conditions, "actions": actions}}


def test_a_draft_changes_nothing_until_it_is_published_and_then_all_at_once(shop: RunningService) -> None:
    before, seq = ranked(shop), call(shop, "GET", "/v1/state")["seq"]
    version = call(shop, "GET", f"{SHOP}/weights")["version"]
    last = before[-1]
    edits = [pinned(last), {"type": "weights", "weights": {"bm25.title": 1.0}}]
    saved = call(shop, "PUT", DRAFT, {"edits": edits, "reason": "spring", "expected_version": 0})
    assert (saved["id"], saved["base_seq"], len(saved["edits"])) == ("spring", seq, 2)
    assert [draft["id"] for draft in call(shop, "GET", f"{SHOP}/drafts")["drafts"]] == ["spring"]
    assert (ranked(shop), call(shop, "GET", "/v1/state")["seq"]) == (before, seq)
    status = call(shop, "GET", DRAFT)
    assert (set(status["changed"]["rules"]), status["conflicts"], status["problem"]) == ({"spring"}, [], "")
    # The preview: before and after.
    preview = call(shop, "POST", f"{DRAFT}/preview", {"queries": ["lamp", {"query": "zzzz", "limit": 3}]})
    lamp, unchanged = preview["queries"]
    assert lamp["before"] == before
    first = lamp["after"][0]
    assert (first["id"], first["rank"], first["previous_rank"]) == (last, 1, len(before))
    assert first["rank_change"] == len(before) - 1
    assert lamp["top_changed"] is True
    assert lamp["applied_rules"] == [[], ["spring"]]
    assert {hit["id"] for hit in lamp["after"]} | set(lamp["removed"]) >= set(before)
    assert (unchanged["overlap"], unchanged["before"]) == (1.0, [hit["id"] for hit in unchanged["after"]])
    assert ranked(shop, draft="spring") == [hit["id"] for hit in lamp["after"]]
    # Published: one change and one sequence, reverted as one.
    assert call(shop, "POST", f"{DRAFT}/publish", {"reason": " "}, status=400)["field"] == "reason"
    published = call(shop, "POST", f"{DRAFT}/publish", {"reason": "spring is here"})
    assert published["seq"] == seq + 1
    assert (set(published["changed"]["rules"]), set(published["changed"]["weights"])) == ({"spring"}, {"bm25.title"})
    after = call(shop, "POST", f"{SHOP}/search", {"query": "lamp", "min_seq": published["seq"]})
    assert [hit["id"] for hit in after["hits"]] == [hit["id"] for hit in lamp["after"]]
    assert after["weights_version"] == version + 1
    entry = call(shop, "GET", f"/v1/changes/{published['seq']}")
    assert entry["reason"] == "spring is here"
    call(shop, "GET", DRAFT, status=404)
    call(shop, "POST", f"/v1/changes/{published['seq']}/revert")
    assert ranked(shop) == before


def test_a_draft_is_merged_with_other_changes_or_names_what_others_changed_since(shop: RunningService) -> None:
    first, second, *_ = ranked(shop)
    call(shop, "PUT", DRAFT, {"edits": [pinned(second), {"type": "weights", "weights": {"cosine": 1.0}}]})
    # Others changed something else: both changes are in force.
    call(shop, "PUT", f"{SHOP}/weights", {"weights": {"phrase": 0.7}})
    assert call(shop, "GET", DRAFT)["conflicts"] == []
    published = call(shop, "POST", f"{DRAFT}/publish", {"reason": "merged"})
    weights = call(shop, "GET", f"{SHOP}/weights")["weights"]
    assert (weights["phrase"], weights["cosine"]) == (0.7, 1.0)
    call(shop, "POST", f"/v1/changes/{published['seq']}/revert")
    # Others changed the same parts: the draft is refused and names them, or it is forced.
    call(shop, "PUT", DRAFT, {"edits": [pinned(second), {"type": "weights", "weights": {"cosine": 1.0}}]})
    call(shop, "PUT", f"{SHOP}/weights", {"weights": {"cosine": 1.5}})
    call(shop, "PUT", f"{SHOP}/rules/spring", {"actions": [{"type": "hide", "document_id": first}]})
    assert call(shop, "GET", DRAFT)["conflicts"] == ["rules.spring", "weights.cosine"]
    seq = call(shop, "GET", "/v1/state")["seq"]
    error = call(shop, "POST", f"{DRAFT}/publish", {"reason": "x"}, status=409)
    assert (error["field"], error["value"]) == ("rules.spring", "rules.spring, weights.cosine")
    assert call(shop, "GET", "/v1/state")["seq"] == seq
    call(shop, "POST", f"{DRAFT}/publish", {"reason": "mine", "force": True})
    assert call(shop, "GET", f"{SHOP}/weights")["weights"]["cosine"] == 1.0
    assert ranked(shop)[0] == second
    call(shop, "POST", f"{SHOP}/rollback", {"to_seq": 1})


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"edits": []}, 400, "edits"),
        ({"edits": [{"type": "weights", "weights": {"nope": 1}}]}, 400, "weights.nope"),
        (
            {"edits": [{"type": "weights", "weights": {"cosine": 1}}, pinned("nobody")]},
            400,
            "edits[1].actions[0].document_id",
        ),
        ({"edits": [{"type": "rule_deleted", "id": "nope"}]}, 404, "rule"),
        (
            {
                "edits": [
                    {
                        "type": "segment",
                        "id": "s",
                        "segment": {"conditions": {"context": ["x"]}, "weights": {"bm25.titel": 4}},
                    }
                ]
            },
            400,
            "edits[0].weights.bm25.titel",
        ),
        ({"edits": [{"type": "limits", "bounds": {"cosine": [9, 1]}}]}, 400, "bounds.cosine"),
        (
            {
                "edits": [
                    {"type": "limits", "bounds": {"cosine": [0, 5]}},
                    {"type": "weights", "weights": {"cosine": 6}},
                ]
            },
            400,
            "weights.cosine",
        ),
        ({"edits": [{"type": "magic"}]}, 400, "edits[0].type"),
        (
            {"edits": [{"type": "weights", "weights": {"cosine": 1}}], "expected_version": 10**6},
            409,
            "expected_version",
        ),
    ],
)
def test_a_draft_that_could_not_be_published_is_refused_whole(
    shop: RunningService, body: dict[str, Any], status: int, field: str
) -> None:
    error = call(shop, "PUT", f"{SHOP}/drafts/wrong", body, status=status)
    assert error["field"] == field
    call(shop, "GET", f"{SHOP}/drafts/wrong", status=404)


def test_of_writers_that_save_at_the_same_version_one_succeeds(shop: RunningService) -> None:
    edits = {"edits": [{"type": "weights", "weights": {"cosine": 1.25}}]}
    path = f"{SHOP}/drafts/both"
    first = call(shop, "PUT", path, {**edits, "expected_version": 0})["version"]

    def save(_: int) -> int:
        return shop.call("PUT", path, {**edits, "expected_version": first})[0]

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(save, range(4))) == [200, 409, 409, 409]
    call(shop, "DELETE", path)
    # A deleted draft is at version 0.
    call(shop, "PUT", path, {**edits, "expected_version": 0})
    # By force, a rule that others deleted first is left out.
    call(shop, "PUT", f"{SHOP}/rules/old", {"actions": [{"type": "redirect", "url": "/x"}]})
    both = [{"type": "rule_deleted", "id": "old"}, {"type": "weights", "weights": {"cosine": 1.125}}]
    call(shop, "PUT", path, {"edits": both})
    call(shop, "DELETE", f"{SHOP}/rules/old")
    call(shop, "POST", f"{path}/publish", {"reason": "x"}, status=409)
    call(shop, "POST", f"{path}/publish", {"reason": "x", "force": True})
    assert call(shop, "GET", f"{SHOP}/weights")["weights"]["cosine"] == 1.125


def test_unknown_drafts_and_wrong_previews_are_refused(shop: RunningService) -> None:
    edits = {"edits": [{"type": "weights", "weights": {"cosine": 1.25}}]}
    call(shop, "PUT", DRAFT, edits)
    for path, body, status, field in (
        (f"{DRAFT}/preview", {"queries": []}, 400, "queries"),
        (f"{DRAFT}/preview", {"queries": [{"quary": "x"}]}, 400, "queries[0]"),
        (f"{SHOP}/drafts/nope/preview", {"queries": ["x"]}, 404, "draft"),
        (f"{SHOP}/drafts/nope/publish", {"reason": "x"}, 404, "draft"),
        (f"{SHOP}/search", {"query": "x", "draft": "nope"}, 404, "draft"),
        (f"{SHOP}/search", {"query": "x", "draft": "spring", "as_of": 1}, 400, "draft"),
    ):
        assert call(shop, "POST", path, body, status=status)["field"] == field
    call(shop, "PUT", f"{SHOP}/drafts/a%20b", edits, status=400)
    call(shop, "PUT", "/v1/indexes/nope/drafts/x", edits, status=404)
    call(shop, "DELETE", DRAFT)
    call(shop, "DELETE", DRAFT, status=404)


def test_drafts_from_the_command_line_outlive_a_restart(
    start_service: Callable[..., RunningService], tmp_path: Path
) -> None:
    shop = start_service("drafts")
    import_documents(shop.url, "shop", sample_catalogue(60))

    def searchsvc(*words: str, status: int = 0) -> str:
        done = run("drafts", *words, "--url", shop.url)
        assert done.status == status, done.output
        return done.output

    last = ranked(shop)[-1]
    file = tmp_path / "draft.json"
    file.write_bytes(msgspec.json.encode({"edits": [pinned(last)], "reason": "by hand"}))
    assert "it is not in force" in searchsvc("set", "shop", "hand", str(file))
    assert "by hand" in searchsvc("list", "shop")
    shop.kill()
    shop = start_service("drafts")
    assert "rule spring new" in searchsvc("show", "shop", "hand")
    output = searchsvc("preview", "shop", "hand", "lamp", "zzzz")
    assert last in output
    assert "1 of 2 queries would get another page" in output
    assert "is live" in searchsvc("publish", "shop", "hand", "--reason", "done")
    assert ranked(shop)[0] == last
    assert "has no draft" in searchsvc("delete", "shop", "hand", status=1)
