"""Requests to a cluster, over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from events.errors import InvalidInput, NotFound, Unavailable
from searchsvc.engines.opensearch.node import GRACE_S, Node
from searchsvc.engines.opensearch.replies import Health
from searchsvc.runtime.config import OpenSearchConfig

WHOLE = b'{"_shards": {"failed": 0}, "hits": {"hits": [], "total": {"value": 7}}}'
REPLIES = {
    "/_cluster/health": (200, b'{"status": "green", "number_of_nodes": 1}'),
    "/missing": (404, b'{"error": {"root_cause": [{"type": "index_not_found_exception", "reason": "no"}]}}'),
    "/refused": (400, b'{"error": {"root_cause": [{"type": "parsing_exception", "reason": "bad"}]}}'),
    "/html": (200, b"<html></html>"),
    "/shop/_search": (200, WHOLE),
    "/busy/_search": (503, b"{}"),
}


class Handler(BaseHTTPRequestHandler):
    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        status, body = REPLIES[self.path.partition("?")[0]]
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = _answer  # noqa: N815 - named by http.server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by http.server
        pass


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    client = Node([f"http://127.0.0.1:{server.server_port}"], timeout_s=60.0)
    yield client
    client.close()
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_reply_is_decoded_to_its_type(node: Node) -> None:
    assert node.call("GET", "/_cluster/health", Health).status == "green"
    assert [reply.hits.total.value for reply in node.search("shop", [{}, {}])] == [7, 7]


def test_failures_are_translated(node: Node) -> None:
    with pytest.raises(NotFound, match="index_not_found_exception: no"):
        node.call("GET", "/missing", Health)
    with pytest.raises(InvalidInput, match="parsing_exception: bad"):
        node.call("POST", "/refused", Health, {})
    with pytest.raises(Unavailable, match="is not one of OpenSearch"):
        node.call("GET", "/html", Health)


def test_searches_fail_at_once_after_several_failures(node: Node) -> None:
    for _ in range(5):
        with pytest.raises(Unavailable):
            node.search("busy", [{}])
    assert "/busy/_search" in node.trouble
    with pytest.raises(Unavailable, match="not tried again yet"):
        node.search("shop", [{}])


def test_the_configuration_names_hosts_and_limits() -> None:
    configured = Node.from_config(OpenSearchConfig(url="http://127.0.0.1:1,http://127.0.0.1:2", timeout_ms=500))
    try:
        assert configured.hosts == ["http://127.0.0.1:1", "http://127.0.0.1:2"]
        assert configured.longest_search_s == 2 * (0.5 + GRACE_S)
    finally:
        configured.close()
