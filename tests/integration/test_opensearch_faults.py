"""A cluster with faults: each search is answered in time, degraded or with a clear 503. Nothing of the log is lost, and
the index catches up by itself.

The node is real. A proxy in front of it passes requests on, or fails.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from events.errors import Unavailable
from searchsvc.cli.data import import_documents
from searchsvc.cli.sample import sample_catalogue
from searchsvc.engines.opensearch.node import Node
from tests.opensearch import OpenSearchNode
from tests.proxy import LATE_S, SLOW_S, Fault, Proxy, proxy, self_signed
from tests.running import RunningService
from tests.waiting import wait_for

TIMEOUT_S = 1.0
N_DOCUMENTS = 60
KNOWN = {"query": "shoe"}
NEW = {"query": "jacket"}


@pytest.fixture
def between(opensearch: OpenSearchNode) -> Iterator[Proxy]:
    with proxy(opensearch.port) as running:
        yield running


@pytest.fixture
def shop(between: Proxy, start_service: Callable[..., RunningService]) -> RunningService:
    """A service with the sample catalogue, and one search that was answered without faults."""
    service = start_service(
        "far",
        SEARCHSVC_OPENSEARCH_URL=between.url,
        SEARCHSVC_OPENSEARCH_PREFIX=f"t-{uuid.uuid4().hex}",
        SEARCHSVC_OPENSEARCH_TIMEOUT_MS=str(TIMEOUT_S * 1e3),
    )
    import_documents(service.url, "shop", sample_catalogue(N_DOCUMENTS))
    assert search(service, KNOWN)[1]["degraded"] == []
    return service


def search(service: RunningService, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    return service.call("POST", "/v1/indexes/shop/search", request)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("busy", "too busy"),
        ("html", "is not one of OpenSearch"),
        ("broken", "is not one of OpenSearch"),
        ("cut", "cannot be reached"),
        ("slow", "in time"),
    ],
)
def test_a_search_is_answered_from_the_last_results_or_with_a_clear_503(
    shop: RunningService, between: Proxy, fault: Fault, message: str
) -> None:
    before = search(shop, KNOWN)[1]
    between.fault, between.only = fault, "/_search"
    began = time.monotonic()
    status, answer = search(shop, NEW)
    assert (status, message in answer["detail"]) == (503, True), answer
    status, again = search(shop, KNOWN)
    assert (status, again["degraded"], again["hits"]) == (200, ["last_known"], before["hits"])
    assert time.monotonic() - began < SLOW_S, "it did not wait for the slow reply"
    # A click on what was shown counts as on any other ranking.
    clicked = {"type": "click", "index": "shop", "document_id": again["hits"][0]["id"], "query_id": again["query_id"]}
    assert shop.call("POST", "/v1/events", {"events": [clicked]})[0] == 202
    between.fault = ""
    wait_for(lambda: search(shop, NEW)[0] == 200, "an answer")
    assert search(shop, KNOWN)[1]["degraded"] == []


def test_searches_of_a_slow_cluster_do_not_wait_for_each_other(shop: RunningService, between: Proxy) -> None:
    between.fault, between.only = "late", "/_search"
    began = time.monotonic()
    with ThreadPoolExecutor(40) as shoppers:
        requests = [{"query": f"new {number}"} for number in range(39)]
        answers = list(shoppers.map(lambda request: search(shop, request), [KNOWN, *requests]))
    assert time.monotonic() - began < len(answers) * LATE_S, "no search waited for all others"
    assert {status for status, _ in answers} <= {200, 503}
    assert answers[0][1]["hits"], "it was answered before"


@pytest.mark.parametrize("fault", ["partial", "timed_out"])
def test_hits_of_some_shards_are_shown_as_degraded(shop: RunningService, between: Proxy, fault: Fault) -> None:
    between.fault, between.only = fault, "/_search"
    for request in (KNOWN, NEW, NEW | {"sort": ["price:desc"]}, NEW | {"distinct": "brand"}):
        status, answer = search(shop, request)
        assert (status, answer["degraded"], len(answer["hits"]) > 0) == (200, ["shards"], True)
    between.fault = "cut"
    # An incomplete answer does not replace a complete one as the last known.
    assert search(shop, KNOWN)[1]["degraded"] == ["last_known"]
    assert search(shop, NEW)[0] == 503


@pytest.mark.parametrize("fault", ["busy", "html", "cut", "lost"])
def test_failed_writes_are_repeated_and_nothing_is_lost(shop: RunningService, between: Proxy, fault: Fault) -> None:
    between.fault, between.only = fault, "/_bulk"
    for number in range(5):
        written = {"id": f"N{number}", "title": f"new {number}"}
        assert shop.call("POST", "/v1/indexes/shop/documents", written)[0] == 200
    assert search(shop, KNOWN)[0] == 200
    wait_for(lambda: shop.call("GET", "/v1/indexes/shop")[1]["error"] != "", "a word of it")
    between.fault = ""
    wait_for(lambda: search(shop, {"query": "", "limit": 0})[1].get("total") == N_DOCUMENTS + 5, "what was written")
    wait_for(lambda: shop.call("GET", "/v1/indexes/shop")[1]["error"] == "", "all well again")
    assert shop.call("GET", "/v1/indexes/shop")[1]["n_documents"] == N_DOCUMENTS + 5
    assert search(shop, {"query": "new"})[1]["terms"][0].get("ignored") is None, "words are counted, too"


def test_a_service_that_starts_without_its_cluster_takes_documents_and_indexes_them_later(
    between: Proxy, start_service: Callable[..., RunningService]
) -> None:
    between.fault = "cut"
    address = {"SEARCHSVC_OPENSEARCH_URL": between.url, "SEARCHSVC_OPENSEARCH_PREFIX": f"t-{uuid.uuid4().hex}"}
    service = start_service("far", **address)
    for number in range(3):
        assert service.call("POST", "/v1/indexes/shop/documents", {"id": f"N{number}", "title": "shoe"})[0] == 200
    status, answer = search(service, KNOWN)
    assert (status, "being built" in answer["detail"]) == (503, True), answer
    wait_for(lambda: service.call("GET", "/health/ready")[1]["status"] == "degraded", "a word of it")
    between.fault = ""
    wait_for(lambda: search(service, KNOWN)[1].get("total") == 3, "the index")
    wait_for(lambda: service.call("GET", "/health/ready")[1]["status"] == "ready", "all well again")


def test_a_deleted_index_is_rebuilt(shop: RunningService, opensearch: OpenSearchNode) -> None:
    name = shop.call("GET", "/v1/indexes/shop")[1]["generation"]
    with_node(opensearch, lambda node: node.call("DELETE", f"/{name}", msgspec.Raw))
    status, answer = search(shop, NEW)
    assert (status, "is gone from OpenSearch" in answer["detail"]) == (503, True), answer
    assert search(shop, KNOWN)[1]["degraded"] == ["last_known"]
    wait_for(lambda: search(shop, NEW)[0] == 200, "the index")
    info = shop.call("GET", "/v1/indexes/shop")[1]
    assert (info["generation"], info["n_documents"]) == (name, N_DOCUMENTS)
    assert search(shop, KNOWN)[1]["degraded"] == []


def with_node(opensearch: OpenSearchNode, work: Callable[[Node], Any]) -> Any:
    node = Node([opensearch.url], timeout_s=10.0)
    try:
        return work(node)
    finally:
        node.close()


def test_a_red_index_is_reported_and_continues_when_it_recovers(
    shop: RunningService, opensearch: OpenSearchNode
) -> None:
    name = shop.call("GET", "/v1/indexes/shop")[1]["generation"]
    nowhere = {"index.routing.allocation.require.box": "nowhere"}
    template = {"index_patterns": [f"{name[:-3]}*"], "template": {"settings": nowhere}}

    def red(node: Node) -> bool:
        return bool(node.call("GET", f"/_cluster/health/{name}", dict[str, Any])["status"] == "red")

    # A node finds the shards that it held before, so only a new index has shards that no node may hold.
    with_node(opensearch, lambda node: node.call("PUT", "/_index_template/red", msgspec.Raw, template))
    try:
        with_node(opensearch, lambda node: node.call("DELETE", f"/{name}", msgspec.Raw))
        assert search(shop, NEW)[0] == 503
        wait_for(lambda: exists(opensearch, name), "a new index")
        assert with_node(opensearch, red)
        status, answer = search(shop, NEW)
        assert (status, "OpenSearch" in answer["detail"]) == (503, True), answer
        assert search(shop, KNOWN)[1]["degraded"] == ["last_known"]
        assert shop.call("POST", "/v1/indexes/shop/documents", {"id": "N1", "title": "new"})[0] == 200
        wait_for(lambda: shop.call("GET", "/health/ready")[1]["status"] == "degraded", "a word of it")
        assert with_node(opensearch, red)
    finally:
        with_node(opensearch, lambda node: node.call("DELETE", "/_index_template/red", msgspec.Raw))
    anywhere = {"index.routing.allocation.require.box": None}
    with_node(opensearch, lambda node: node.call("PUT", f"/{name}/_settings", msgspec.Raw, anywhere))
    wait_for(lambda: search(shop, {"query": "", "limit": 0})[1].get("total") == N_DOCUMENTS + 1, "what was written")
    wait_for(lambda: shop.call("GET", "/health/ready")[1]["status"] == "ready", "all well again")


def exists(opensearch: OpenSearchNode, name: str) -> bool:
    indexes: dict[str, Any] = with_node(opensearch, lambda node: node.call("GET", f"/{name}*", dict[str, Any]))
    return name in indexes


def test_credentials_and_certificates_come_from_files_and_are_in_no_log(
    tmp_path: Path, opensearch: OpenSearchNode, start_service: Callable[..., RunningService]
) -> None:
    certificate, secret = self_signed(tmp_path), tmp_path / "password"
    secret.write_text("open sesame\n")
    with proxy(opensearch.port, certificate=certificate, user="shop", password="open sesame") as between:
        # Two hosts, one of them away.
        service = start_service(
            "far",
            SEARCHSVC_OPENSEARCH_URL=f"https://127.0.0.1:1,{between.url}",
            SEARCHSVC_OPENSEARCH_PREFIX=f"t-{uuid.uuid4().hex}",
            SEARCHSVC_OPENSEARCH_USER="shop",
            SEARCHSVC_OPENSEARCH_PASSWORD_FILE=str(secret),
            SEARCHSVC_OPENSEARCH_CA_FILE=str(certificate),
        )
        import_documents(service.url, "shop", sample_catalogue(20))
        assert search(service, KNOWN)[1]["degraded"] == []
        for options, message in (
            ({"user": "shop", "password": "wrong", "ca_file": str(certificate)}, "denied access"),
            ({"user": "shop", "password": "open sesame"}, "certificate"),
        ):
            refused = Node([between.url], timeout_s=5.0, **options)  # type: ignore[arg-type]
            with pytest.raises(Unavailable, match=message) as raised:
                refused.call("GET", "/", msgspec.Raw)
            assert "sesame" not in str(raised.value)
            refused.close()
    for file in (tmp_path / "far.log", *(tmp_path / "far").rglob("*.log")):
        assert "sesame" not in file.read_text(errors="replace"), file
