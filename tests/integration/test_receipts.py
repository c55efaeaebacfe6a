"""Receipts over HTTP and on the command line: the account of an answer, and whether the answer can be reproduced."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from searchsvc.cli.data import import_documents
from searchsvc.cli.sample import sample_catalogue
from searchsvc.search.query_ids import new_query_id
from tests.command_line import run
from tests.factories import NOW, call
from tests.running import RunningService

SHOP = "/v1/indexes/shop"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    running = RunningService(tmp_path_factory.mktemp("receipts") / "data")
    import_documents(running.url, "shop", sample_catalogue(120))
    yield running
    running.stop()


def search(service: RunningService, **members: Any) -> dict[str, Any]:
    answer: dict[str, Any] = call(service, "POST", f"{SHOP}/search", {"query": "lamp", "explain": True, **members})
    return answer


def verified(service: RunningService, answer: dict[str, Any]) -> dict[str, tuple[str, str]]:
    verification = call(service, "POST", f"/v1/receipts/{answer['query_id']}/verify")
    checks = verification["checks"]
    assert verification["holds"] == all(check["state"] != "differs" for check in checks)
    return {check["name"]: (check["state"], check["detail"]) for check in checks}


def states(checks: dict[str, tuple[str, str]]) -> dict[str, str]:
    return {name: state for name, (state, _) in checks.items()}


ALL = {"scores": "holds", "order": "holds", "rules": "holds", "retrieval": "holds"}


def test_a_receipt_accounts_for_an_answer_which_still_verifies_after_later_changes(shop: RunningService) -> None:
    last = search(shop, limit=20)["hits"][-1]["id"]
    actions = [{"type": "pin", "document_id": last, "rank": 2}, {"type": "boost", "filter": "price<50", "factor": 2}]
    rule = {"conditions": {"query": {"type": "contains", "text": "lamp"}}, "actions": actions}
    written = call(shop, "PUT", f"{SHOP}/rules/lamps", rule)
    segment = {"conditions": {"user_segment": "trade"}, "weights": {"bm25.title": 5}}
    call(shop, "PUT", f"{SHOP}/segments/trade", segment)
    members = {"user_segment": "trade", "filters": "price>5", "limit": 12, "offset": 1}
    answer = search(shop, **members)
    receipt = call(shop, "GET", f"/v1/receipts/{answer['query_id']}")
    assert [(hit["id"], hit["rank"], hit["score"]) for hit in receipt["hits"]] == [
        (hit["id"], hit["rank"], hit["score"]) for hit in answer["hits"]
    ]
    for hit, shown in zip(receipt["hits"], answer["hits"], strict=True):
        assert hit["features"] == shown["explanation"]["features"]
        assert hit["rule_factor"] == shown["explanation"]["rule_factor"]
        assert hit["pinned"] == (shown["explanation"]["pinned_by"] is not None)
    assert (receipt["query"], receipt["sealed"], receipt["request"]) == ("lamp", False, members)
    assert (receipt["weights_segment"], receipt["weights"]["bm25.title"]) == ("trade", 5.0)
    assert [(rule["id"], rule["seq"]) for rule in receipt["rules"]] == [("lamps", written["seq"])]
    assert receipt["rules"][0]["rule"]["actions"][0]["document_id"] == last
    assert receipt["log"]["control_seq"] == answer["applied_seq"]
    assert states(verified(shop, answer)) == ALL
    # Later changes make no difference.
    call(shop, "DELETE", f"{SHOP}/rules/lamps")
    call(shop, "PUT", f"{SHOP}/weights", {"weights": {"cosine": 0.1, "bm25.title": 0.2}})
    assert states(verified(shop, answer)) == ALL
    assert call(shop, "GET", f"/v1/receipts/{answer['query_id']}") == receipt


@pytest.mark.parametrize(
    "members",
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
def test_every_kind_of_search_verifies(shop: RunningService, members: dict[str, Any]) -> None:
    checks = verified(shop, search(shop, **members))
    assert states(checks) | {"order": ""} == ALL | {"order": ""}
    assert checks["order"][0] == ("not repeated" if members.get("query") == "" else "holds")


def test_the_query_of_a_user_is_sealed_once_the_user_is_erased(shop: RunningService) -> None:
    answer = search(shop, user_token="anna", context=["mobile"])
    assert call(shop, "GET", f"/v1/receipts/{answer['query_id']}")["query"] == "lamp"
    assert states(verified(shop, answer)) == ALL
    call(shop, "POST", "/v1/privacy/erase", {"user_token": "anna"})
    receipt = call(shop, "GET", f"/v1/receipts/{answer['query_id']}")
    assert (receipt["query"], receipt["sealed"], receipt["request"]) == ("", True, {})
    checks = verified(shop, answer)
    assert states(checks) == dict.fromkeys(ALL, "not repeated") | {"scores": "holds"}
    assert "key of its user is gone" in checks["retrieval"][1]


def test_a_redacted_query_is_not_repeated(shop: RunningService) -> None:
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


def test_an_answer_that_was_never_shown_is_not_found(shop: RunningService) -> None:
    for name in ("nothing", "0" * 32, new_query_id(NOW), "f" * 12 + "7" + "f" * 19):
        for method, path in (("GET", f"/v1/receipts/{name}"), ("POST", f"/v1/receipts/{name}/verify")):
            assert call(shop, method, path, status=404)["field"] == "query_id"
    rehearsed = search(shop, as_of=1)
    assert call(shop, "GET", f"/v1/receipts/{rehearsed['query_id']}", status=404)["field"] == "query_id"


def test_receipts_from_the_command_line(shop: RunningService) -> None:
    answer = search(shop)
    for words, text in ((("show",), "in the log: BEHAVIOR"), (("verify",), "bit for bit")):
        done = run("receipts", *words, answer["query_id"], "--url", shop.url)
        assert (done.status, text in done.stdout) == (0, True), done.output
