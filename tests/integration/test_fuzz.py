"""Random requests never cause a 5xx or unbounded memory. Duplicates and another order change nothing."""

from __future__ import annotations

import json
import os
import random
import sys
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.command_line import run
from tests.integration.test_events import command, publish, tail
from tests.running import RunningService
from tests.waiting import wait_for

ROUNDS = int(os.environ.get("SEARCHSVC_TEST_ROUNDS", "1"))
MAX_GROWTH_BYTES = 300_000_000
ROUTES = [
    ("POST", "/v1/indexes/shop/search"),
    ("POST", "/v1/events"),
    ("POST", "/v1/indexes/shop/documents"),
    ("PUT", "/v1/indexes/fuzz"),
    ("PUT", "/v1/indexes/shop/weights"),
    ("POST", "/v1/dead/replay"),
    ("POST", "/v1/privacy/erase"),
]
NAMES = ["query", "limit", "offset", "events", "type", "index", "document_id", "weights", "title", "id", "ids", "key"]
values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.sampled_from(["click", "shop"])
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=15,
)
bodies = st.one_of(st.binary(max_size=300), values.map(lambda value: json.dumps(value).encode()))


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> RunningService:
    service = RunningService(tmp_path_factory.mktemp("fuzzed") / "data")
    service.call("PUT", "/v1/indexes/shop", {"searchable": [{"name": "title"}], "title": "title"})
    wait_for(lambda: service.call("POST", "/v1/indexes/shop/search", {})[0] == 200, "a search of the new index")
    return service


@pytest.fixture(scope="module", autouse=True)
def ended(fuzzed: RunningService) -> object:
    yield
    fuzzed.stop()


def resident_bytes(service: RunningService) -> int:
    pages = int(Path(f"/proc/{service.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_no_body_is_answered_with_a_server_error(fuzzed: RunningService) -> None:
    before, counts = resident_bytes(fuzzed), dict[int, int]()

    @settings(
        max_examples=200 * ROUNDS,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(st.sampled_from(ROUTES), bodies)
    def send(route: tuple[str, str], body: bytes) -> None:
        with closing(fuzzed.connection()) as connection:
            connection.request(*route, body)
            response = connection.getresponse()
            answer = response.read()
        counts[response.status] = counts.get(response.status, 0) + 1
        assert response.status < 500, (route, body, answer)

    send()
    grown = resident_bytes(fuzzed) - before
    sys.stdout.write(f"answers by status {dict(sorted(counts.items()))}, {grown / 1e6:.0f} MB more memory\n")
    assert grown < MAX_GROWTH_BYTES
    assert fuzzed.call("GET", "/health/ready")[1]["status"] == "ready"


def test_bodies_over_the_limit_are_refused_whole(fuzzed: RunningService) -> None:
    before = resident_bytes(fuzzed)
    for route, size in ((ROUTES[0], 2_000_000), (ROUTES[1], 2_000_000), (ROUTES[2], 40_000_000)):
        with closing(fuzzed.connection()) as connection:
            try:
                connection.request(*route, b"x" * size)
                assert connection.getresponse().status == 413
            except (BrokenPipeError, ConnectionResetError):
                pass  # the service may close the connection before it has read the body
    assert resident_bytes(fuzzed) - before < MAX_GROWTH_BYTES


def test_what_is_sent_twice_and_out_of_order_counts_once(fuzzed: RunningService) -> None:
    rng = random.Random(ROUNDS)
    documents = b"\n".join(b'{"id":"d%d","title":"lamp %d"}' % (i, i) for i in range(20))
    with closing(fuzzed.connection()) as connection:
        connection.request("POST", "/v1/indexes/shop/documents", documents)
        catalog_seq = json.loads(connection.getresponse().read())["catalog_seq"]
    request = {"query": "lamp", "min_catalog_seq": catalog_seq}
    _, answer = fuzzed.call("POST", "/v1/indexes/shop/search", request)
    clicks = [
        {"id": f"twice-{i}", "type": "click", "document_id": hit["id"], "query_id": answer["query_id"]}
        for i in range(20 * min(ROUNDS, 10))
        for hit in [answer["hits"][i % len(answer["hits"])]]
    ]
    sent = clicks + rng.sample(clicks, len(clicks) // 10 + 1)
    rng.shuffle(sent)
    half = len(sent) // 2
    publish(fuzzed, "shop", *(json.dumps(event).encode() for event in sent[:half]))
    for event in sent[half:]:
        assert fuzzed.call("POST", "/v1/events", {"events": [{**event, "index": "shop"}]})[0] == 202

    def stored() -> list[str]:
        entries = [entry["event"] for entry in tail(fuzzed, 5000) if entry["stream"] == "BEHAVIOR"]
        return sorted(event["id"] for event in entries if event["id"].startswith("twice"))

    wait_for(lambda: len(stored()) >= len(clicks), "every click in the log")
    assert stored() == sorted(event["id"] for event in clicks)
    lost = json.loads(command("events", "dead", "--key", str(answer["query_id"]), "--url", fuzzed.url, "--json"))
    assert lost["dead"] == []
    verified = run("events", "verify", "--data-dir", str(fuzzed.data_dir), "--url", fuzzed.url)
    assert verified.status == 0, verified.stdout
