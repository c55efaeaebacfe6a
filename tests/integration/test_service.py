"""A real service over HTTP: correct and wrong requests of a website, a merchandiser and a catalogue owner."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from benchmarks.running import call
from tests.running import RunningService
from tests.waiting import wait_for

Calling = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def http(service: RunningService) -> Iterator[Calling]:
    connection = service.connection()

    def calling(method: str, path: str, body: object = None, raw: bytes | None = None) -> tuple[int, dict[str, Any]]:
        if raw is None:
            return call(connection, method, path, body)
        connection.request(method, path, raw)
        response = connection.getresponse()
        return response.status, msgspec.json.decode(response.read())

    yield calling
    connection.close()


def test_a_search_answers_hits_with_scores_and_the_sequences_it_applied(http: Calling) -> None:
    status, answer = http(
        "POST", "/v1/indexes/shop/search", {"query": "wireless headphones", "limit": 5, "explain": True}
    )
    assert status == 200
    assert len(answer["hits"]) == 5
    assert "headphones" in answer["hits"][0]["document"]["title"]
    assert answer["degraded"] == []
    assert answer["applied_seq"] >= answer["config_version"] >= 1
    assert len(answer["query_id"]) == 32
    parts = answer["hits"][0]["explanation"]["features"]
    assert sum(p["contribution"] for p in parts.values()) == pytest.approx(answer["hits"][0]["score"])


def test_the_link_form_answers_the_same_hits(http: Calling) -> None:
    _, posted = http("POST", "/v1/indexes/shop/search", {"query": "hiking boots", "limit": 4})
    status, linked = http("GET", "/v1/indexes/shop/search?query=hiking+boots&limit=4")
    assert status == 200
    assert [h["id"] for h in linked["hits"]] == [h["id"] for h in posted["hits"]]


def test_a_weight_that_was_set_ranks_the_next_search(http: Calling) -> None:
    _, before = http("GET", "/v1/indexes/shop/weights")
    weights = {"bm25.title": 0.0, "bm25.brand": 9.0}
    status, changed = http(
        "PUT", "/v1/indexes/shop/weights", {"weights": weights, "reason": "test", "expected_version": before["version"]}
    )
    assert status == 200
    assert changed["version"] == before["version"] + 1
    _, answer = http("POST", "/v1/indexes/shop/search", {"query": "norvik laptop", "min_seq": changed["seq"]})
    assert answer["weights_version"] == changed["version"]
    assert answer["config_version"] == changed["seq"]
    assert all(hit["document"]["brand"] == "Norvik" for hit in answer["hits"][:3])
    _, history = http("GET", "/v1/indexes/shop/weights/history")
    newest = history["changes"][0]
    assert (newest["reason"], newest["seq"]) == ("test", changed["seq"])
    assert newest["changed"]["bm25.brand"][1] == 9.0
    http("PUT", "/v1/indexes/shop/weights", {"weights": before["weights"], "reason": "back"})
    _, after = http("GET", "/v1/indexes/shop/weights")
    assert after["weights"] == before["weights"]


def all_pages(http: Calling, path: str, items: str) -> list[dict[str, Any]]:
    """Return a list that is read one item at a time."""
    listed, after = [], ""
    while True:
        status, page = http("GET", f"{path}?limit=1{after}")
        assert status == 200, page
        assert len(page[items]) <= 1
        listed += page[items]
        if page["next_after"] is None:
            return listed
        after = f"&after={page['next_after']}"


@pytest.mark.parametrize(
    ("path", "items"),
    [
        ("/v1/indexes", "indexes"),
        ("/v1/indexes/shop/rules", "rules"),
        ("/v1/indexes/shop/segments", "segments"),
        ("/v1/indexes/shop/drafts", "drafts"),
        ("/v1/indexes/shop/weights/history", "changes"),
        ("/v1/audit", "entries"),
        ("/v1/dead", "dead"),
    ],
)
def test_a_list_read_page_by_page_is_the_list(http: Calling, path: str, items: str) -> None:
    rule = {"actions": [{"type": "hide", "document_id": "0"}], "reason": "test"}
    segment = {"conditions": {"user_segment": "trade"}, "weights": {"cosine": 1.0}, "reason": "test"}
    edits = [{"type": "weights", "weights": {"cosine": 2.0}}]
    for name in ("page-a", "page-b"):
        assert http("PUT", f"/v1/indexes/shop/rules/{name}", rule)[0] == 200
        assert http("PUT", f"/v1/indexes/shop/segments/{name}", segment)[0] == 200
        assert http("PUT", f"/v1/indexes/shop/drafts/{name}", {"edits": edits})[0] == 200
    whole = http("GET", f"{path}?limit=1000")[1][items]
    assert all_pages(http, path, items) == whole
    status, refused = http("GET", f"{path}?limit=1001")
    assert (status, refused["field"], refused["limit"]) == (400, "limit", "1 to 1000")
    for name in ("page-a", "page-b"):
        for kind in ("rules", "segments", "drafts"):
            assert http("DELETE", f"/v1/indexes/shop/{kind}/{name}?reason=done")[0] == 200


BAD_REQUESTS = [
    ("malformed JSON", "POST", "/v1/indexes/shop/search", b'{"query":', 400, None, "JSON"),
    ("nested JSON", "POST", "/v1/indexes/shop/search", b'{"query":' + b"[" * 10_000, 400, None, None),
    ("invalid UTF-8", "POST", "/v1/indexes/shop/search", b'{"query":"\xff\xfe"}', 400, None, None),
    ("no object", "POST", "/v1/indexes/shop/search", b"[1]", 400, "", "an object"),
    ("wrong type", "POST", "/v1/indexes/shop/search", b'{"query":7}', 400, "query", "a string"),
    ("text for a number", "POST", "/v1/indexes/shop/search", b'{"limit":"3"}', 400, "limit", "an integer"),
    ("unknown field", "POST", "/v1/indexes/shop/search", b'{"quarry":"x"}', 400, "quarry", "query"),
    ("unknown parameter", "GET", "/v1/indexes/shop/search?quarry=x", None, 400, "quarry", "query"),
    ("a parameter that is no number", "GET", "/v1/indexes/shop/search?limit=x", None, 400, "limit", "an integer"),
    ("unknown index", "POST", "/v1/indexes/shp/search", b"{}", 404, "index", "shop"),
    (
        "a long query",
        "POST",
        "/v1/indexes/shop/search",
        json.dumps({"query": "x" * 10_000}).encode(),
        400,
        "query",
        "512",
    ),
    ("negative limit", "POST", "/v1/indexes/shop/search", b'{"limit":-1}', 400, "limit", "0 to 1000"),
    ("too deep", "POST", "/v1/indexes/shop/search", b'{"offset":995}', 400, "offset", "1000"),
    ("huge number", "POST", "/v1/indexes/shop/search", b'{"limit":1e400}', 400, None, None),
    ("oversized body", "POST", "/v1/indexes/shop/search", b" " * 20_000, 413, None, "16384"),
    ("NaN weight", "PUT", "/v1/indexes/shop/weights", b'{"weights":{"cosine":NaN}}', 400, "weights.cosine", "finite"),
    (
        "infinite weight",
        "PUT",
        "/v1/indexes/shop/weights",
        b'{"weights":{"cosine":-Infinity}}',
        400,
        "weights.cosine",
        "finite",
    ),
    (
        "weight out of bounds",
        "PUT",
        "/v1/indexes/shop/weights",
        b'{"weights":{"cosine":101}}',
        400,
        "weights.cosine",
        "100",
    ),
    ("unknown weight", "PUT", "/v1/indexes/shop/weights", b'{"weights":{"cosin":1}}', 400, "weights.cosin", "cosine"),
    ("no weight", "PUT", "/v1/indexes/shop/weights", b'{"weights":{}}', 400, "weights", "one"),
    (
        "one bad of two",
        "PUT",
        "/v1/indexes/shop/weights",
        b'{"weights":{"cosine":1,"x":2}}',
        400,
        "weights.x",
        "cosine",
    ),
    (
        "stale version",
        "PUT",
        "/v1/indexes/shop/weights",
        b'{"weights":{"cosine":1},"expected_version":999}',
        409,
        "expected_version",
        "current is",
    ),
    (
        "long reason",
        "PUT",
        "/v1/indexes/shop/weights",
        json.dumps({"weights": {"cosine": 1}, "reason": "x" * 1001}).encode(),
        400,
        "reason",
        "1000",
    ),
    (
        "unknown event type",
        "POST",
        "/v1/events",
        b'{"events":[{"type":"clack","index":"shop","document_id":"P00001"}]}',
        400,
        "events[0].type",
        "click",
    ),
    (
        "event without document",
        "POST",
        "/v1/events",
        b'{"events":[{"type":"click","index":"shop"}]}',
        400,
        "events[0].document_id",
        "required",
    ),
    (
        "event of an unknown index",
        "POST",
        "/v1/events",
        b'{"events":[{"type":"click","index":"x","document_id":"1"}]}',
        400,
        "events[0].index",
        "shop",
    ),
    (
        "old event",
        "POST",
        "/v1/events",
        b'{"events":[{"type":"click","index":"shop","document_id":"1","timestamp":"2020-01-01T00:00:00Z"}]}',
        400,
        "events[0].timestamp",
        "4 days",
    ),
    (
        "time without zone",
        "POST",
        "/v1/events",
        b'{"events":[{"type":"click","index":"shop","document_id":"1","timestamp":"2026-01-01T00:00:00"}]}',
        400,
        "events[0].timestamp",
        "RFC 3339",
    ),
    (
        "rank 0",
        "POST",
        "/v1/events",
        b'{"events":[{"type":"click","index":"shop","document_id":"1","rank":0}]}',
        400,
        "events[0].rank",
        "1 or more",
    ),
    ("no events", "POST", "/v1/events", b'{"events":[]}', 400, "events", "1 to 1000"),
    ("bad index name", "POST", "/v1/indexes/Shop!/documents", b'{"id":"1","t":"x"}', 400, "index", "a-z"),
    ("nothing to infer from", "POST", "/v1/indexes/new/documents", b"{}", 400, "documents", "NDJSON"),
    ("bad settings", "PUT", "/v1/indexes/new", b'{"searchable":[{"name":"t"}],"title":"u"}', 400, "title", "one of t"),
    ("unknown document", "DELETE", "/v1/indexes/shop/documents/nope", None, 404, "document_id", None),
    ("unknown page", "GET", "/v1/nothing", None, 404, None, None),
    ("wrong method", "DELETE", "/v1/events", None, 405, None, None),
]


@pytest.mark.parametrize("case", BAD_REQUESTS, ids=[case[0] for case in BAD_REQUESTS])
def test_bad_input_is_refused_naming_field_value_and_limit(http: Calling, case: tuple[Any, ...]) -> None:
    _, method, path, raw, wanted_status, field, limit = case
    _, before = http("GET", "/v1/indexes/shop/weights")
    status, problem = http(method, path, raw=raw if raw is not None else b"")
    assert (status, problem["status"]) == (wanted_status, wanted_status), problem
    assert problem["detail"]
    if field is not None:
        assert problem.get("field", "") == field, problem
    if limit is not None:
        assert limit in problem["limit"], problem
    assert http("GET", "/v1/indexes/shop/weights")[1] == before


def test_a_click_is_checked_against_the_ranking_it_names_and_all_or_none_is_stored(http: Calling) -> None:
    _, answer = http("POST", "/v1/indexes/shop/search", {"query": "espresso"})
    good = {
        "type": "click",
        "index": "shop",
        "query_id": answer["query_id"],
        "document_id": answer["hits"][2]["id"],
        "rank": 3,
    }
    assert http("POST", "/v1/events", {"events": [good]})[0] == 202
    for wrong, field in (({"document_id": "P99999"}, "document_id"), ({"rank": 4}, "rank")):
        status, problem = http("POST", "/v1/events", {"events": [good, {**good, **wrong}]})
        assert (status, problem["field"]) == (400, f"events[1].{field}")
        assert "none of the 2 was stored" in problem["detail"]


def test_titles_tell_a_misspelt_word_and_what_only_goes_with_a_thing(http: Calling) -> None:
    kinds = {"laptop": "portable computer", "sleeve": "soft cover of neoprene"}
    titles = [(f"Acme laptop {colour}", "laptop") for colour in ("black", "silver", "red", "grey")]
    titles += [(f"Laptop sleeve {colour}", "sleeve") for colour in ("black", "silver", "red", "grey")]
    titles += [(f"Tablet sleeve {colour}", "sleeve") for colour in ("black", "silver", "red", "grey")]
    # By itself "sient" would be "sent", which more documents have.
    titles += [("Silent keyboard", "laptop"), *[(f"Letters sent {n}", "sleeve") for n in range(4)]]
    documents = [{"id": str(n), "title": title, "text": kinds[kind]} for n, (title, kind) in enumerate(titles)]
    raw = b"\n".join(map(msgspec.json.encode, documents))
    _, written = http("POST", "/v1/indexes/measured/documents", raw=raw)

    def found(query: str) -> dict[str, Any]:
        body = {"query": query, "explain": True, "limit": 50, "min_catalog_seq": written["catalog_seq"]}
        return http("POST", "/v1/indexes/measured/search", body)[1]

    # Titles are measured once no documents come.
    wait_for(lambda: found("sient keyboard")["did_you_mean"] == "silent keyboard", "the pairs of titles measured")
    wait_for(lambda: found("laptop")["hits"][0]["document"]["title"].startswith("Acme"), "the heads of titles measured")
    assert found("sient")["did_you_mean"] == "sent"
    hits = found("laptop")["hits"]
    accessory = {hit["document"]["title"]: hit["explanation"]["features"]["accessory"]["value"] for hit in hits}
    assert accessory["Laptop sleeve black"] == 1.0
    assert accessory["Acme laptop black"] == 0.0
    http("DELETE", "/v1/indexes/measured")


def test_documents_are_searchable_and_gone_once_their_sequence_is_applied_despite_bad_lines(
    http: Calling,
) -> None:
    lines = b"""{"id":"new1","title":"Quokkaphone deluxe","price":5}

not json
{"title":"no id"}
{"id":7}
{"id":"new2","title":"Quokkaphone mini","reviews":"many"}
"""
    status, answer = http("POST", "/v1/indexes/shop/documents", raw=lines)
    assert (status, answer["accepted"]) == (200, 1)
    assert [(r["line"], r.get("id")) for r in answer["refused"]] == [(3, None), (4, None), (5, None), (6, "new2")]
    search = {"query": "quokkaphone", "min_catalog_seq": answer["catalog_seq"]}
    _, answer = http("POST", "/v1/indexes/shop/search", search)
    assert answer["hits"][0]["id"] == "new1"
    status, deleted = http("DELETE", "/v1/indexes/shop/documents/new1")
    assert status == 200
    _, after_delete = http(
        "POST", "/v1/indexes/shop/search", {**search, "min_catalog_seq": deleted["catalog_seq"], "limit": 100}
    )
    assert "new1" not in [hit["id"] for hit in after_delete["hits"]]


def test_an_index_is_created_changed_deleted_and_starts_empty_again(http: Calling) -> None:
    def n_animals() -> int | None:
        return http("POST", "/v1/indexes/zoo/search", {"query": "animal"})[1].get("total")

    documents = b'{"id":"a/b","title":"Blue whale","kind":"animal"}\n{"id":"2","title":"Red fox","kind":"animal"}'
    _, written = http("POST", "/v1/indexes/zoo/documents", raw=documents)
    assert written["created"]["title"] == "title"
    search = {"query": "whale", "min_catalog_seq": written["catalog_seq"]}
    assert http("POST", "/v1/indexes/zoo/search", search)[1]["hits"][0]["id"] == "a/b"
    assert http("GET", "/v1/indexes/zoo/documents/a/b")[1]["title"] == "Blue whale"
    settings = {"searchable": [{"name": "kind"}], "title": "kind", "reason": "only kinds"}
    status, changed = http("PUT", "/v1/indexes/zoo", settings)
    assert (status, next(iter(changed["index"]["weights"]))) == (200, "bm25.kind")
    assert not {"bm25.title", "cosine"} & set(changed["index"]["weights"])
    wait_for(lambda: n_animals() == 2, "the index by kinds")
    assert http("DELETE", "/v1/indexes/zoo?reason=done")[0] == 200
    assert http("POST", "/v1/indexes/zoo/search", {})[0] == 404
    assert http("PUT", "/v1/indexes/zoo", settings)[0] == 200
    wait_for(lambda: n_animals() == 0, "the empty index")
    http("DELETE", "/v1/indexes/zoo")


def test_health_and_openapi_answer(http: Calling) -> None:
    assert http("GET", "/health/live") == (200, {"status": "live"})
    status, health = http("GET", "/health/ready")
    assert (status, health["status"], health["outbox"]["shed"]) == (200, "ready", 0)
    _, schema = http("GET", "/schema/openapi.json")
    search = schema["paths"]["/v1/indexes/{index}/search"]["post"]
    assert "query" in search["requestBody"]["content"]["application/json"]["schema"]["properties"]


def test_many_searches_at_once_all_answer(service: RunningService) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def search(i: int) -> int:
        return sum(
            service.call("POST", "/v1/indexes/shop/search", {"query": f"lamp {i} {n}"})[0] == 200 for n in range(10)
        )

    with ThreadPoolExecutor(16) as clients:
        assert sum(clients.map(search, range(16))) == 160


@settings(max_examples=40, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.text(alphabet="a/. %\\?#+é\u3042\n:", min_size=1, max_size=6) | st.text(min_size=1, max_size=20),
        min_size=2,
        max_size=4,
        unique=True,
    )
)
@example(["delete", "DELETE", "%64elete"])
def test_any_text_is_an_id_and_touches_no_other_document(http: Calling, ids: list[str]) -> None:
    lines = b"\n".join(msgspec.json.encode({"id": one, "title": f"document {n}"}) for n, one in enumerate(ids))
    status, answer = http("POST", "/v1/indexes/ids/documents", raw=lines)
    assert (status, answer["accepted"]) == (200, len(ids)), answer
    applied = {"min_catalog_seq": answer["catalog_seq"], "limit": 0}
    wait_for(lambda: http("POST", "/v1/indexes/ids/search", applied)[0] == 200, "the documents")
    for one in ids:
        assert http("GET", f"/v1/indexes/ids/documents/{quote(one, safe='')}")[1]["id"] == one
    gone, *kept = ids
    status, answer = http("DELETE", f"/v1/indexes/ids/documents/{quote(gone, safe='')}")
    assert status == 200
    found = http("POST", "/v1/indexes/ids/search", {"limit": 100, "min_catalog_seq": answer["catalog_seq"]})[1]
    assert sorted(hit["id"] for hit in found["hits"]) == sorted(kept)
    for one in kept:
        assert http("DELETE", f"/v1/indexes/ids/documents/{quote(one, safe='')}")[0] == 200


def test_members_of_a_document_are_changed_and_the_others_stay(http: Calling) -> None:
    status, _ = http("POST", "/v1/indexes/stock/documents", {"id": "a/1", "title": "lamp", "price": 5, "stock": 3})
    assert status == 200
    path = "/v1/indexes/stock/documents/a%2F1"
    status, changed = http("PATCH", path, {"price": 4, "stock": None, "sale": {"until": "2026-12-24"}})
    assert status == 200
    body = {"query": "lamp", "min_catalog_seq": changed["catalog_seq"], "filters": "price:4"}
    (hit,) = http("POST", "/v1/indexes/stock/search", body)[1]["hits"]
    assert hit["document"] == {"id": "a/1", "title": "lamp", "price": 4, "sale": {"until": "2026-12-24"}}
    assert http("PATCH", "/v1/indexes/stock/documents/none", {"price": 4})[0] == 404
    assert http("PATCH", path, {"id": "b"})[1]["field"] == "id"
    assert http("PATCH", path, raw=b"[1]")[0] == 400
    assert http("PATCH", "/v1/indexes/none/documents", {"id": "a", "price": 4})[0] == 404


def test_many_documents_are_changed_at_once_and_wrong_lines_are_named(http: Calling) -> None:
    lines = b"\n".join(msgspec.json.encode({"id": f"d{n}", "title": "lamp", "price": n}) for n in range(1500))
    assert http("POST", "/v1/indexes/many/documents", raw=lines)[1]["accepted"] == 1500
    changes = [msgspec.json.encode({"id": f"d{n}", "price": 7}) for n in range(1500)]
    changes[3:3] = [b'{"id":"none","price":1}', b"not JSON", b'{"id":"d0","stock":1}']
    status, answer = http("PATCH", "/v1/indexes/many/documents", raw=b"\n".join(changes))
    assert (status, answer["accepted"]) == (200, 1501)
    assert [refused["line"] for refused in answer["refused"]] == [4, 5]
    assert "no document" in answer["refused"][0]["reason"]
    body = {"filters": "price:7", "min_catalog_seq": answer["catalog_seq"], "limit": 1, "sort": ["id:asc"]}
    found = http("POST", "/v1/indexes/many/search", body)[1]
    assert found["total"] == 1500
    changed = http("PATCH", "/v1/indexes/many/documents", {"id": "d0", "until": "31.12.2026", "note": "a new text"})[1]
    assert [reading["field"] for reading in changed["readings"]] == ["until"]
    assert "note" in [warning["field"] for warning in changed["warnings"]]
    assert http("POST", "/v1/indexes/many/search", {"min_catalog_seq": changed["catalog_seq"]})[0] == 200
    assert http("GET", "/v1/indexes/many/documents/d0")[1] == {
        "id": "d0",
        "title": "lamp",
        "price": 7,
        "stock": 1,
        "until": "31.12.2026",
        "note": "a new text",
    }


def test_of_writers_who_change_one_document_at_once_none_loses_its_change(service: RunningService) -> None:
    service.call("POST", "/v1/indexes/shared/documents", {"id": "one", "title": "lamp"})

    def change(n: int) -> int:
        return service.call("PATCH", "/v1/indexes/shared/documents/one", {f"member{n}": n})[0]

    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(change, range(12))) == {200}
    everything = {"id": "one", "title": "lamp", **{f"member{n}": n for n in range(12)}}
    path = "/v1/indexes/shared/documents/one"
    wait_for(lambda: service.call("GET", path)[1] == everything, "every change")


def test_a_member_that_comes_later_and_is_not_searched_is_warned_of_once(http: Calling) -> None:
    path = "/v1/indexes/later-members/documents"
    assert http("POST", path, {"id": "1", "title": "lamp", "image": "lamp.png"})[1]["warnings"] == []
    (warning,) = http("POST", path, {"id": "2", "title": "lamp", "image": "lamp.png", "brand": "Acme"})[1]["warnings"]
    assert warning["field"] == "brand"
    assert http("POST", path, {"id": "3", "title": "lamp", "brand": "Acme"})[1]["warnings"] == []


def test_an_index_says_how_documents_match_by_default_and_is_not_rebuilt_for_it(http: Calling) -> None:
    path = "/v1/indexes/by-words"
    lines = b'{"id":"1","title":"a sofa of leather"}\n{"id":"2","title":"an oak table"}'
    seq = http("POST", f"{path}/documents", raw=lines)[1]["catalog_seq"]
    body = {"query": "leather couch", "min_catalog_seq": seq}
    assert http("POST", f"{path}/search", body)[1]["retrieval"] == "hybrid"
    info = http("GET", path)[1]
    changed = http("PUT", path, {**info["settings"], "retrieval": "keyword", "reason": "exact words"})[1]
    answer = http("POST", f"{path}/search", {**body, "min_seq": changed["seq"]})[1]
    assert answer["retrieval"] == "keyword"
    assert http("POST", f"{path}/search", {**body, "retrieval": "vector"})[1]["retrieval"] == "vector"
    after = http("GET", path)[1]
    assert (after["settings"]["retrieval"], after["rebuild"]) == ("keyword", None)
    assert after["generation"] == info["generation"]
    assert http("PUT", path, {**info["settings"], "retrieval": "exact"})[1]["field"] == "retrieval"


def test_documents_are_deleted_by_their_ids_and_by_a_filter(http: Calling) -> None:
    path = "/v1/indexes/shrinking/documents"
    lines = b"\n".join(msgspec.json.encode({"id": f"d/{n}", "title": "lamp", "year": 2000 + n}) for n in range(30))
    assert http("POST", path, raw=lines)[1]["accepted"] == 30
    status, answer = http("POST", f"{path}/delete", {"ids": ["d/1", "d/2", "none", "d/1"]})
    assert (status, answer["deleted"], answer["missing"]) == (200, 2, ["none"])
    status, answer = http("POST", f"{path}/delete", {"ids": ["d/1"]})
    assert (status, answer["deleted"], answer["missing"], answer["catalog_seq"]) == (200, 0, ["d/1"], 0)
    wait_for(lambda: http("GET", "/v1/indexes/shrinking")[1]["n_documents"] == 28, "28 documents")
    status, answer = http("POST", f"{path}/delete", {"filter": "year>=2020"})
    assert (status, answer["deleted"]) == (200, 10)
    years = http("POST", "/v1/indexes/shrinking/search", {"limit": 50, "fields": "year"})[1]["hits"]
    assert sorted(hit["document"]["year"] for hit in years) == [2000, *range(2003, 2020)]
    for wrong in ({}, {"ids": ["a"], "filter": "year>1"}, {"filter": "NOT month:3"}, {"filter": "year>"}, {"ids": "a"}):
        assert http("POST", f"{path}/delete", wrong)[0] == 400
    assert http("POST", "/v1/indexes/none/documents/delete", {"ids": ["a"]})[0] == 404
    status, answer = http("POST", f"{path}/delete", {"filter": "month>3"})
    assert (status, answer["deleted"]) == (200, 0)
    assert "month" in answer["warnings"][0]["message"]


def test_of_a_batch_the_events_that_are_right_are_taken_if_the_sender_says_so(http: Calling) -> None:
    right = {"type": "click", "index": "shop", "document_id": "P00001"}
    events = [right, {**right, "rank": 0}, {**right, "type": "look"}, 7, {**right, "index": "none"}, right]
    status, answer = http("POST", "/v1/events", {"events": events, "on_error": "skip"})
    assert (status, answer["accepted"], len(answer["ids"])) == (202, 2, 2)
    assert [(event["position"], event["field"]) for event in answer["refused"]] == [
        (1, "rank"),
        (2, "type"),
        (3, ""),
        (4, "index"),
    ]
    assert all(event["message"] for event in answer["refused"])
    assert http("POST", "/v1/events", {"events": events})[0] == 400
    assert http("POST", "/v1/events", {"events": [right], "on_error": "ignore"})[1]["field"] == "on_error"
    assert http("POST", "/v1/events", {"events": [], "on_error": "skip"})[0] == 400
    status, answer = http("POST", "/v1/events", {"events": [7], "on_error": "skip"})
    assert (status, answer["accepted"]) == (202, 0)


def test_long_answers_are_compressed_for_clients_that_take_it(service: RunningService) -> None:
    path, body = "/v1/indexes/shop/search", msgspec.json.encode({"limit": 20})
    bodies = {}
    for encoding in ("identity", "gzip"):
        with closing(service.connection()) as connection:
            connection.request("POST", path, body, {"Accept-Encoding": encoding})
            response = connection.getresponse()
            bodies[response.getheader("Content-Encoding", "identity")] = response.read()
    hits = {
        encoding: msgspec.json.decode(data)["hits"]
        for encoding, data in [("identity", bodies["identity"]), ("gzip", gzip.decompress(bodies["gzip"]))]
    }
    assert hits["gzip"] == hits["identity"]
    assert len(bodies["gzip"]) < len(bodies["identity"]) / 2
