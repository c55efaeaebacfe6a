"""Receipts over HTTP and on the command line: what an answer was made of, and whether it can be had again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.running import RunningService
from searchsvc.cli.data import import_documents
from searchsvc.cli.sample import sample_catalogue
from searchsvc.search.query_ids import new_query_id
from tests.factories import NOW, call

SHOP = "/v1/indexes/shop"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    running = RunningService(tmp_path_factory.mktemp("receipts") / "data")
    import_documents(running.url, "shop", sample_catalogue(120))
    yield running
    running.stop()


def search(service: RunningService, **asked: Any) -> dict[str, Any]:
    found: dict[str, Any] = call(service, "POST", f"{SHOP}/search", {"query": "lamp", "explain": True, **asked})
    return found


def verified(service: RunningService, answer: dict[str, Any]) -> dict[str, tuple[str, str]]:
    said = call(service, "POST", f"/v1/receipts/{answer['query_id']}/verify")
    assert said["holds"] == all(one["state"] != "differs" for one in said["checks"])
    return {one["name"]: (one["state"], one["detail"]) for one in said["checks"]}


def states(checks: dict[str, tuple[str, str]]) -> dict[str, str]:
    return {name: state for name, (state, _) in checks.items()}


ALL = {"scores": "holds", "order": "holds", "rules": "holds", "retrieval": "holds"}


def test_a_receipt_accounts_for_an_answer_and_it_can_be_had_again_after_all_has_changed(shop: RunningService) -> None:
    last = search(shop, limit=20)["hits"][-1]["id"]
    actions = [{"type": "pin", "document_id": last, "rank": 2}, {"type": "boost", "filter": "price<50", "factor": 2}]
    rule = {"conditions": {"query": {"type": "contains", "text": "lamp"}}, "actions": actions}
    written = call(shop, "PUT", f"{SHOP}/rules/lamps", rule)
    segment = {"conditions": {"user_segment": "trade"}, "weights": {"bm25.title": 5}}
    call(shop, "PUT", f"{SHOP}/segments/trade", segment)
    given = {"user_segment": "trade", "filters": "price>5", "limit": 12, "offset": 1}
    answer = search(shop, **given)
    receipt = call(shop, "GET", f"/v1/receipts/{answer['query_id']}")
    assert [(hit["id"], hit["rank"], hit["score"]) for hit in receipt["hits"]] == [
        (hit["id"], hit["rank"], hit["score"]) for hit in answer["hits"]
    ]
    for hit, shown in zip(receipt["hits"], answer["hits"], strict=True):
        assert hit["features"] == shown["explanation"]["features"]
        assert hit["rule_factor"] == shown["explanation"]["rule_factor"]
        assert hit["pinned"] == (shown["explanation"]["pinned_by"] is not None)
    assert (receipt["query"], receipt["sealed"], receipt["request"]) == ("lamp", False, given)
    assert (receipt["weights_segment"], receipt["weights"]["bm25.title"]) == ("trade", 5.0)
    assert [(one["id"], one["seq"]) for one in receipt["rules"]] == [("lamps", written["seq"])]
    assert receipt["rules"][0]["rule"]["actions"][0]["document_id"] == last
    assert receipt["log"]["control_seq"] == answer["applied_seq"]
    assert states(verified(shop, answer)) == ALL
    # Later changes are of no account.
    call(shop, "DELETE", f"{SHOP}/rules/lamps")
    call(shop, "PUT", f"{SHOP}/weights", {"weights": {"cosine": 0.1, "bm25.title": 0.2}})
    assert states(verified(shop, answer)) == ALL
    assert call(shop, "GET", f"/v1/receipts/{answer['query_id']}") == receipt


@pytest.mark.parametrize(
    "asked",
    [
        {"query": ""},
        {"query": "", "sort": ["price:desc"]},
        {"query": "lmap"},
        {"query": "lam", "typing": True},
        {"distinct": "brand"},
        {"limit": 0},
        {"limit": 115, "operator": "any", "query": "black lamp and speaker"},
        {"query": "lamp", "offset": 3, "context": ["mobile"]},
        {"query": "nothing at all like this"},
    ],
)
def test_any_kind_of_search_can_be_had_again(shop: RunningService, asked: dict[str, Any]) -> None:
    checks = verified(shop, search(shop, **asked))
    assert states(checks) | {"order": ""} == ALL | {"order": ""}
    assert checks["order"][0] == ("not repeated" if asked.get("query") == "" else "holds")


def test_what_is_tied_to_a_user_is_sealed_once_they_are_forgotten(shop: RunningService) -> None:
    answer = search(shop, user_token="anna", context=["mobile"])
    assert call(shop, "GET", f"/v1/receipts/{answer['query_id']}")["query"] == "lamp"
    assert states(verified(shop, answer)) == ALL
    call(shop, "POST", "/v1/privacy/erase", {"user_token": "anna"})
    receipt = call(shop, "GET", f"/v1/receipts/{answer['query_id']}")
    assert (receipt["query"], receipt["sealed"], receipt["request"]) == ("", True, {})
    checks = verified(shop, answer)
    assert states(checks) == dict.fromkeys(ALL, "not repeated") | {"scores": "holds"}
    assert "key of its user is gone" in checks["retrieval"][1]


def test_what_is_not_in_the_log_is_not_repeated(shop: RunningService) -> None:
    checks = verified(shop, search(shop, query="lamp bob@example.com"))
    assert states(checks) == {**ALL, "rules": "not repeated", "retrieval": "not repeated"}
    assert "e-mail" in checks["retrieval"][1]


def test_where_documents_changed_the_scores_still_hold_and_the_search_is_not_repeated(shop: RunningService) -> None:
    answer = search(shop)
    written = call(shop, "POST", f"{SHOP}/documents", {"id": "new", "title": "lamp of lamps"})
    search(shop, min_catalog_seq=written["catalog_seq"])
    checks = verified(shop, answer)
    assert states(checks) == {"scores": "holds", "order": "holds", "rules": "not repeated", "retrieval": "not repeated"}
    assert f"CATALOG {written['catalog_seq']}" in checks["retrieval"][1]


def test_what_was_never_shown_is_not_found(shop: RunningService) -> None:
    for name in ("nothing", "0" * 32, new_query_id(NOW), "f" * 12 + "7" + "f" * 19):
        for method, path in (("GET", f"/v1/receipts/{name}"), ("POST", f"/v1/receipts/{name}/verify")):
            assert call(shop, method, path, status=404)["field"] == "query_id"
    rehearsed = search(shop, as_of=1)
    assert call(shop, "GET", f"/v1/receipts/{rehearsed['query_id']}", status=404)["field"] == "query_id"


def test_receipts_from_the_command_line(shop: RunningService) -> None:
    answer = search(shop)
    for words, said in ((("show",), "in the log: BEHAVIOR"), (("verify",), "bit for bit")):
        command = [str(Path(sys.executable).with_name("searchsvc")), "receipts", *words, answer["query_id"]]
        done = subprocess.run([*command, "--url", shop.url], capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, said in done.stdout) == (0, True), done.stdout + done.stderr
