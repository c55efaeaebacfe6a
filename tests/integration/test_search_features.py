"""Filters, facets, sorting, suggestions and rules of a running service."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.command_line import run
from tests.integration.test_service import Calling, http
from tests.running import RunningService
from tests.waiting import wait_for

__all__ = ["http"]  # a fixture

SEARCH = "/v1/indexes/shop/search"


def test_filters_facets_and_sorting_come_together(http: Calling) -> None:
    request = {
        "query": "wireless",
        "limit": 100,
        "filters": "category:(Audio OR computers) AND price:[20 TO 300] AND NOT brand:Norvik",
        "facets": ["brand", {"field": "category", "disjunctive": True}, "price"],
        "sort": ["price:asc"],
        "highlight": {"fields": ["title"]},
        "operator": "all",
    }
    status, answer = http("POST", SEARCH, request)
    assert status == 200, answer
    documents = [hit["document"] for hit in answer["hits"]]
    assert len(documents) == answer["total"] > 0
    assert {document["category"] for document in documents} <= {"Audio", "Computers"}
    assert all(20 <= document["price"] <= 300 and document["brand"] != "Norvik" for document in documents)
    assert [document["price"] for document in documents] == sorted(document["price"] for document in documents)
    brands = {facet["value"]: facet["count"] for facet in answer["facets"]["brand"]["values"]}
    assert brands == dict(Counter(document["brand"] for document in documents))
    stats = answer["facets"]["price"]["stats"]
    assert (stats["min"], stats["max"]) == (documents[0]["price"], documents[-1]["price"])
    snippets = [hit["highlights"]["title"]["snippet"] for hit in answer["hits"] if "title" in hit.get("highlights", {})]
    assert any("<em>wireless</em>" in snippet for snippet in snippets)


def test_the_link_form_takes_filters_facets_and_sort(http: Calling) -> None:
    parameters = "query=speaker&filters=price%3C100&facets=brand,colour&sort=price:desc&highlight=true&distinct=brand"
    status, answer = http("GET", f"{SEARCH}?{parameters}")
    assert status == 200, answer
    assert set(answer["facets"]) == {"brand", "colour"}
    brands = [hit["document"]["brand"] for hit in answer["hits"]]
    assert len(set(brands)) == len(brands) <= answer["groups"]


def test_lists_may_be_sent_as_a_text_with_commas_and_hits_have_the_fields_asked_for(http: Calling) -> None:
    lists = {"facets": ["brand", "colour"], "sort": ["price:desc", "id:asc"], "fields": ["price", "title", "nope"]}
    texts = {name: ", ".join(values) for name, values in lists.items()}
    listed, texted = (http("POST", SEARCH, {"query": "black", **members})[1] for members in (lists, texts))
    assert [hit["document"] for hit in texted["hits"]] == [hit["document"] for hit in listed["hits"]]
    assert [*listed["hits"][0]["document"]] == ["price", "title"]
    assert texted["facets"] == listed["facets"]
    linked = http("GET", f"{SEARCH}?query=black&facets=brand,colour&sort=price:desc,id:asc&fields=price,title")[1]
    assert [hit["document"] for hit in linked["hits"]] == [hit["document"] for hit in listed["hits"]]


@pytest.mark.parametrize(
    ("members", "field", "message"),
    [
        ({"filters": "price:[1 TO"}, "filters", "expected a value"),
        ({"filters": {"field": "price"}}, "filters", "field with is"),
        ({"facets": [{"field": "brand", "max_values": 0}]}, "facets[0].max_values", "1 to 1000"),
        ({"sort": ["price"]}, "sort[0]", "field:asc or field:desc"),
        ({"operator": "some"}, "operator", "all or any or auto"),
        ({"highlight": {"fields": ["nope"]}}, "highlight.fields[0]", "one of"),
        ({"highlight": 3}, "highlight", ""),
    ],
)
def test_a_wrong_request_says_what_is_wrong(http: Calling, members: dict[str, Any], field: str, message: str) -> None:
    status, problem = http("POST", SEARCH, {"query": "speaker", **members})
    assert status == 400, problem
    assert problem["field"] == field
    assert message in problem["detail"]


@pytest.mark.parametrize(
    ("members", "field", "message", "matches"),
    [
        ({"filters": "prise>3"}, "filters", "price", False),
        ({"filters": "brand>3"}, "filters", "no numbers", False),
        ({"scope": "shop:berlin"}, "scope", "no document has", False),
        ({"facets": ["brnad"]}, "facets", "brand", True),
        ({"sort": ["nope:asc"]}, "sort", "nope", True),
        ({"distinct": "nope"}, "distinct", "nope", True),
        ({"fields": ["title", "nope"]}, "fields", "nope", True),
    ],
)
def test_what_no_document_has_matches_nothing_and_is_warned_of(
    http: Calling, members: dict[str, Any], field: str, message: str, matches: bool
) -> None:
    status, answer = http("POST", SEARCH, {"query": "speaker", **members})
    assert (status, bool(answer["total"])) == (200, matches)
    (warning,) = answer["warnings"]
    assert warning["field"] == field
    assert message in warning["message"]


def test_a_misspelt_query_finds_what_was_meant_and_says_so(http: Calling) -> None:
    _, answer = http("POST", SEARCH, {"query": "blutooth speeker"})
    assert answer["did_you_mean"] == "bluetooth speaker"
    assert "bluetooth speaker" in answer["hits"][0]["document"]["title"]
    assert [term["alternatives"][0]["kind"] for term in answer["terms"]] == ["typo", "typo"]


def test_suggestions_are_queries_that_were_made_and_titles(http: Calling) -> None:
    for user in range(5):
        assert http("POST", SEARCH, {"query": "Robot Vacuum quiet", "user_token": f"shopper {user}"})[1]["hits"]
    suggest = "/v1/indexes/shop/suggest?q=robot%20v"
    wait_for(lambda: http("GET", suggest)[1]["suggestions"][0]["kind"] == "query", "the query among the suggestions")
    _, answer = http("GET", "/v1/indexes/shop/suggest?q=robot%20v&limit=5")
    assert (answer["suggestions"][0]["text"], answer["suggestions"][0]["count"]) == ("Robot Vacuum quiet", 5)
    assert all("robot vacuum" in suggestion["text"] for suggestion in answer["suggestions"][1:])
    assert len(answer["suggestions"]) == 5
    assert http("GET", "/v1/indexes/shop/suggest")[1]["field"] == "q"
    assert http("GET", "/v1/indexes/shop/suggest?q=a&limit=51")[1]["limit"] == "1 to 50"


def test_a_document_has_others_like_it(http: Calling) -> None:
    # By `like`, not by a query: where the vectors are late, another document with these words is first.
    _, first = http("POST", SEARCH, {"filters": 'title:"Pedalare One bike helmet, sand"'})
    document = first["hits"][0]
    status, answer = http("POST", SEARCH, {"like": document["id"], "filters": "category:Bicycles", "limit": 5})
    assert status == 200, answer
    assert document["id"] not in {hit["id"] for hit in answer["hits"]}
    assert "helmet" in answer["hits"][0]["document"]["title"]
    assert http("POST", SEARCH, {"like": "nope"})[0] == 404
    assert http("POST", SEARCH, {"like": document["id"], "query": "x"})[1]["field"] == "like"


def test_a_synonym_is_live_when_answered_and_gone_when_deleted(http: Calling) -> None:
    path = "/v1/indexes/shop/rules/couch"
    rule = {"actions": [{"type": "synonym", "words": ["zweirad", "city bike"]}], "reason": "our shoppers' word"}
    assert http("GET", path)[0] == 404
    status, changed = http("PUT", path, {**rule, "expected_seq": 0})
    assert status == 200, changed
    assert changed["rule"]["in_force"] is True
    _, answer = http("POST", SEARCH, {"query": "zweirad", "operator": "all", "min_seq": changed["seq"]})
    assert answer["applied_rules"] == ["couch"]
    assert "bike" in answer["hits"][0]["document"]["title"]
    assert answer["config_version"] == changed["seq"]
    assert http("PUT", path, {**rule, "expected_seq": 0})[0] == 409
    assert [stored_rule["id"] for stored_rule in http("GET", "/v1/indexes/shop/rules")[1]["rules"]] == ["couch"]
    assert http("PUT", path, {**rule, "enabled": False})[0] == 200
    assert http("POST", SEARCH, {"query": "zweirad"})[1]["applied_rules"] == []
    status, deleted = http("DELETE", f"{path}?reason=done")
    assert (status, deleted["rule"]) == (200, None)
    assert http("GET", "/v1/indexes/shop/rules")[1]["rules"] == []
    assert http("DELETE", path)[0] == 404


def test_a_rule_is_live_when_answered_and_the_answer_says_what_it_did(http: Calling) -> None:
    _, plain = http("POST", SEARCH, {"query": "bike", "limit": 3})
    first, _, pinned = (hit["id"] for hit in plain["hits"])
    rule = {
        "conditions": {"query": {"type": "contains", "text": "bike"}, "context": ["mobile"]},
        "actions": [
            {"type": "pin", "document_id": pinned, "rank": 1},
            {"type": "hide", "document_id": first},
            {"type": "boost", "filter": "price>1", "factor": 1.5},
            {"type": "redirect", "url": "/bikes"},
            {"type": "user_data", "data": {"banner": "spring"}},
        ],
        "valid_from": "2026-01-01T00:00:00+01:00",
        "reason": "spring",
    }
    other = {**rule, "actions": [{"type": "pin", "document_id": pinned, "rank": 7}], "priority": 1}
    status, changed = http("PUT", "/v1/indexes/shop/rules/bikes", rule)
    assert (status, changed["conflicts"]) == (200, []), changed
    request = {"query": "bikes", "context": ["mobile", "app"], "explain": True, "min_seq": changed["seq"]}
    _, answer = http("POST", SEARCH, request)
    assert answer["applied_rules"] == ["bikes"]
    assert answer["hits"][0]["id"] == pinned
    assert first not in [hit["id"] for hit in answer["hits"]]
    assert (answer["redirect"], answer["user_data"]) == ("/bikes", [{"banner": "spring"}])
    assert {effect["action"]: effect.get("rank") for effect in answer["rule_effects"]}["pin"] == 1
    assert answer["hits"][0]["explanation"]["pinned_by"] == "bikes"
    assert http("POST", SEARCH, {"query": "bikes"})[1]["rule_effects"] == []
    _, changed = http("PUT", "/v1/indexes/shop/rules/other", other)
    assert changed["conflicts"] == [
        {"rule": "bikes", "subject": f"document {pinned} at rank 7 and 1", "winner": "other"}
    ]
    for name in ("bikes", "other"):
        assert http("DELETE", f"/v1/indexes/shop/rules/{name}")[0] == 200


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ({"actions": [{"type": "pin", "document_id": "nobody", "rank": 1}]}, "actions[0].document_id"),
        ({"actions": [{"type": "boost", "factor": 2, "filter": "nope:x"}]}, "actions[0].filter"),
        ({"actions": [{"type": "boost", "factor": 2, "signal": "margin"}]}, "actions[0].signal"),
        ({"actions": [{"type": "boost", "factor": 1e999}]}, "actions[0].factor"),
        ({"actions": [{"type": "hide", "filter": "price:[1 TO"}]}, "actions[0].filter"),
        ({"actions": [{"type": "filter", "filter": "price>1"}], "priority": 5000}, "priority"),
        (
            {
                "conditions": {"query": {"type": "contains", "text": "x" * 10_000}},
                "actions": [{"type": "redirect", "url": "/x"}],
            },
            "conditions.query.text",
        ),
        (
            {
                "conditions": {"query": {"type": "like", "text": "x"}},
                "actions": [{"type": "redirect", "url": "/x"}],
            },
            "conditions.query.type",
        ),
        ({"actions": [{"type": "synonym", "from": ["sofa"], "to": ["Sofas"]}]}, "actions[0].from[0]"),
        ({"actions": []}, "actions"),
        ({}, "actions"),
        ({"actions": [{"type": "synonym"}]}, "actions[0]"),
        ({"actions": [{"type": "synonym", "words": ["one"]}]}, "actions[0].words"),
        ({"actions": [{"type": "synonym", "words": ["a", " "]}]}, "actions[0].words[1]"),
        ({"actions": [{"type": "synonym", "from": ["a"]}]}, "actions[0].to"),
        ({"actions": [{"type": "synonym", "words": ["a", "b"], "to": ["c"]}]}, "actions[0]"),
        ({"actions": [{"type": "teleport"}]}, "actions[0].type"),
        ({"actions": [{"type": "synonym", "words": ["a", "b"]}], "valid_from": "soon"}, "valid_from"),
        ({"actions": [{"type": "synonym", "words": ["a", "b"]}], "valid_from": "2026-01-01T00:00:00"}, "valid_from"),
        (
            {
                "actions": [{"type": "synonym", "words": ["a", "b"]}],
                "valid_from": "2026-01-02T00:00:00Z",
                "valid_until": "2026-01-01T00:00:00Z",
            },
            "valid_until",
        ),
    ],
)
def test_a_wrong_rule_is_refused_and_changes_nothing(http: Calling, rule: dict[str, Any], field: str) -> None:
    seq = http("GET", "/v1/state")[1]["seq"]
    status, problem = http("PUT", "/v1/indexes/shop/rules/x", rule)
    assert status == 400, problem
    assert problem["field"] == field
    if field == "actions[0].type":
        assert "synonym" in problem["limit"]
        assert "pin" in problem["limit"]
    assert http("GET", "/v1/state")[1]["seq"] == seq
    assert http("PUT", "/v1/indexes/shop/rules/a%20b", rule)[0] == 400


def test_rules_from_the_command_line(service: RunningService, tmp_path: Path) -> None:
    def searchsvc(*words: str, status: int = 0) -> str:
        done = run("rules", *words, "--url", service.url)
        assert done.status == status, done.output
        return done.output

    assert "live" in searchsvc("synonym", "shop", "laps", "laptop", "klapprechner", "--reason", "German shoppers")
    assert "live" in searchsvc("synonym", "shop", "one", "fernseher", "--to", "soundbar")
    listed = searchsvc("list", "shop")
    assert "laptop = klapprechner" in listed
    assert "fernseher → soundbar" in listed
    file = tmp_path / "rule.json"
    file.write_text('{"actions": [{"type": "synonym", "words": ["a", "b"]}], "enabled": false}')
    searchsvc("set", "shop", "third", str(file))
    assert '"enabled": false' in searchsvc("show", "shop", "third")
    file.write_text(
        '{"conditions": {"query": {"type": "exact", "text": "bike"}}, "actions": [{"type": "redirect", "url": "/b"}]}'
    )
    searchsvc("set", "shop", "fourth", str(file))
    assert "exact 'bike'" in searchsvc("list", "shop")
    output = searchsvc("test", "shop", "bikes")
    assert "fourth" in output
    assert "redirect" in output
    assert "no rule of shop fires for 'helmet'" in searchsvc("test", "shop", "helmet")
    searchsvc("delete", "shop", "fourth")
    assert "rule third of shop is deleted" in searchsvc("delete", "shop", "third")
    assert "has no rule" in searchsvc("delete", "shop", "third", status=1)
    for name in ("laps", "one"):
        searchsvc("delete", "shop", name)


def ndjson(documents: list[dict[str, Any]]) -> bytes:
    return b"\n".join(map(msgspec.json.encode, documents))


def test_an_export_has_every_match_once_while_documents_change(http: Calling) -> None:
    index = "/v1/indexes/exported"
    documents = [{"id": f"d{n:04}", "title": f"lamp {n}"} for n in range(1200)]
    status, written = http("POST", f"{index}/documents", raw=ndjson(documents))
    assert (status, written["accepted"]) == (200, 1200)
    request = {"query": "lamp", "retrieval": "keyword", "limit": 500, "cursor": "*", "fields": ["title"]}
    first = {**request, "min_catalog_seq": written["catalog_seq"]}
    wait_for(lambda: http("POST", f"{index}/search", first)[0] == 200, "the documents")
    exported = list[str]()
    for page in range(9):
        status, answer = http("POST", f"{index}/search", request)
        assert status == 200, answer
        exported += [hit["id"] for hit in answer["hits"]]
        if answer["cursor"] is None:
            break
        # One that was exported goes, one is moved in front, and one comes that is still to be exported.
        changes = [{"id": f"a{page}", "title": "lamp"}, {"id": f"z{page}", "title": "lamp"}]
        seq = http("POST", f"{index}/documents", raw=ndjson(changes))[1]["catalog_seq"]
        request = {**request, "cursor": answer["cursor"], "min_catalog_seq": seq}
    assert exported == [*(document["id"] for document in documents), "z0", "z1"]
    for wrong in ({"cursor": "?"}, {"cursor": "*", "sort": ["title:asc"]}, {"cursor": "*", "offset": 5}):
        status, refused = http("POST", f"{index}/search", wrong)
        assert (status, refused["field"]) == (400, "cursor"), refused


def test_a_search_that_is_no_shoppers_is_not_logged(http: Calling) -> None:
    shown, internal = (http("POST", SEARCH, {"query": "lamp", "internal": each})[1] for each in (False, True))
    assert [hit["id"] for hit in internal["hits"]] == [hit["id"] for hit in shown["hits"]]
    wait_for(lambda: http("GET", f"/v1/receipts/{shown['query_id']}")[0] == 200, "the receipt of the first")
    assert http("GET", f"/v1/receipts/{internal['query_id']}")[0] == 404


def test_a_facet_has_ranges_and_is_searched(http: Calling) -> None:
    facets = [{"field": "price", "ranges": [{"to": 50}, {"above": 50, "to": 100}, {"above": 100}]}]
    status, answer = http("POST", SEARCH, {"query": "black", "facets": [*facets, {"field": "brand", "query": "nor"}]})
    assert status == 200, answer
    ranges = answer["facets"]["price"]["ranges"]
    with_price = http("POST", SEARCH, {"query": "black", "filters": "price:*"})[1]["total"]
    assert sum(within["count"] for within in ranges) == with_price > 0
    assert ranges[1].keys() == {"above", "to", "count"}
    assert all(value["value"].lower().startswith("nor") for value in answer["facets"]["brand"]["values"])
    wrong = {"facets": [{"field": "price", "ranges": [{"to": "dear"}]}]}
    status, refused = http("POST", SEARCH, wrong)
    assert (status, refused["field"]) == (400, "facets[0].ranges[0].to"), refused
