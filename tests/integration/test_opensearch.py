"""The OpenSearch engine on a real node: changes in any order, repeated or not, give the same index."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from events import control
from events.errors import Corrupt, InvalidInput, NotFound, Unavailable
from events.index_control import IndexControl
from events.settings import Embedding, IndexSettings, SearchableField
from events.types import IndexConfigured
from searchsvc.analysis.query import Query
from searchsvc.analysis.understanding import understand
from searchsvc.cli.data import import_documents
from searchsvc.cli.operate import doctor
from searchsvc.cli.reindex import reindex
from searchsvc.cli.repair import repair
from searchsvc.cli.sample import sample_catalogue
from searchsvc.engines.filters import Range, parse_filter
from searchsvc.engines.opensearch import mapping
from searchsvc.engines.opensearch.engine import OpenSearchEngine
from searchsvc.engines.opensearch.indexes import OpenSearchIndexes, OpenSearchStorage
from searchsvc.engines.opensearch.mapping import PROGRESS_ID
from searchsvc.engines.opensearch.node import Node
from searchsvc.engines.opensearch.stored_documents import MAX_SHORT_BYTES
from searchsvc.engines.protocol import Delete, Upsert
from searchsvc.engines.retrieval import FacetRequest, Retrieval, SortKey
from tests.factories import DIMENSION, NOW, SETTINGS, opensearch_engine, upsert, vector
from tests.opensearch import OpenSearchNode, without_plugins
from tests.proxy import proxy
from tests.running import RunningService
from tests.waiting import wait_for
from tuning.arrays import FloatArray

Change = Upsert | Delete
Start = Callable[..., RunningService]
CAUGHT_UP_S = 10.0
TIMEOUT_S = 3.0


def index_control(settings: IndexSettings = SETTINGS, created_seq: int = 1) -> IndexControl:
    event = IndexConfigured(id="1", timestamp=NOW, index="shop", settings=settings, default_weights={})
    created = control.fold(control.ControlState(), event, created_seq).index("shop")
    return msgspec.structs.replace(created, created_seq=created_seq)


def indexes(node: Node, prefix: str = "", model: str = "model", dimension: int = DIMENSION) -> OpenSearchIndexes:
    return OpenSearchIndexes(node, prefix or f"test-{uuid.uuid4().hex}", model, dimension)


def numbered(*changes: Change) -> list[Change]:
    """Return the changes with sequences from 1, in this order."""
    return [msgspec.structs.replace(change, seq=seq) for seq, change in enumerate(changes, start=1)]


def index_state(engine: OpenSearchEngine, query: str = "red shoe") -> dict[str, Any]:
    """Return all that can differ between two states of an index."""
    snapshot = engine.snapshot()
    reading = snapshot.reading()
    words = understand(query, snapshot.lexicon)
    request = Retrieval(words, vector(3), {"title": 3.0}, np.array([1.0], np.float32), k=50, window=50, operator="any")
    candidates = reading.retrieve(request)
    return {
        "digest": snapshot.digest,
        "keyword": [reading.id(slot) for slot in candidates.keyword.tolist()],
        "nearest": [reading.id(slot) for slot in candidates.nearest.tolist()],
        "trust": round(candidates.vector_trust, 5),
        "total": candidates.total,
        "counts": {word: snapshot.lexicon.count(word) for word in ("red", "blue", "shoe", "sock", "gone")},
        "kinds": snapshot.state.attribute_kinds,
    }


HISTORY = numbered(
    upsert("a", "red shoe", seed=1, votes=1),
    upsert("b", "blue shoe", seed=2, colour="blue"),
    upsert("c", "gone", seed=3),
    Delete("c"),
    upsert("b", "blue sock", seed=4, size=7.5),
    upsert("d", "red sock", seed=5),
    Delete("d"),
    upsert("d", "red red sock", seed=6, votes=9),
    upsert("e", "green hat", seed=7),
)


@pytest.fixture(scope="module")
def expected(node: Node) -> dict[str, Any]:
    """The state of an index that got the history in order, one change at a time."""
    engine = indexes(node).storage(index_control()).open()
    for change in HISTORY:
        engine.apply([change], change.seq)
    return index_state(engine)


@pytest.mark.parametrize("seed", range(4))
def test_changes_in_any_order_and_twice_end_in_the_same_index(node: Node, expected: dict[str, Any], seed: int) -> None:
    shuffled = indexes(node).storage(index_control()).open()
    changes = HISTORY * 2
    random.Random(seed).shuffle(changes)
    for start in range(0, len(changes), 4):
        batch = changes[start : start + 4]
        shuffled.apply(batch, max(change.seq for change in batch))
    assert {**index_state(shuffled), "kinds": None} == {**expected, "kinds": None}
    assert expected["digest"].count == 4
    assert expected["counts"] == {"red": 2, "blue": 1, "shoe": 1, "sock": 2, "gone": 0}


def test_an_index_that_is_opened_again_is_unchanged(node: Node) -> None:
    storage = indexes(node).storage(index_control())
    before = storage.open()
    before.apply(HISTORY, len(HISTORY))
    after = storage.open()
    assert after.snapshot().catalog_seq == len(HISTORY)
    assert index_state(after) == index_state(before)


def test_an_index_ahead_of_its_recorded_progress_is_recounted(node: Node) -> None:
    storage = indexes(node).storage(index_control())
    before = storage.open()
    before.apply(HISTORY, len(HISTORY))
    node.call("DELETE", f"/{before.name}/_doc/{PROGRESS_ID}", msgspec.Raw, query={"refresh": "true"})
    after = storage.open()
    assert after.snapshot().catalog_seq == 0
    after.apply(HISTORY, len(HISTORY))
    assert index_state(after) == index_state(before)


def test_tombstones_keep_out_older_versions_until_maintenance(node: Node) -> None:
    engine = indexes(node).storage(index_control()).open()
    engine.apply(HISTORY, len(HISTORY))
    assert engine.needs_maintenance
    assert engine.maintain()
    assert not engine.needs_maintenance
    reply = node.call("GET", f"/{engine.name}/_count", dict[str, Any])
    assert reply["count"] == 4 + 1, "four documents, and how far the index is"


def test_another_model_builds_another_index_and_both_aliases_move_in_one_call(node: Node) -> None:
    prefix = f"test-{uuid.uuid4().hex}"
    storage = indexes(node, prefix).storage(index_control())
    first = storage.open()
    first.apply(HISTORY, len(HISTORY))
    storage.adopt(first)
    other_storage = indexes(node, prefix, model="other").storage(index_control())
    second = other_storage.open()
    assert (first.name[-3:], second.name[-3:], second.snapshot().catalog_seq) == ("-v1", "-v2", 0)
    assert _aliases(node, first) == {"-r", "-w"}
    second.apply(HISTORY[:4], 4)
    # After a restart at this point, the build continues where it was, and the same index is searched.
    assert (other_storage.open().name, other_storage.open().snapshot().catalog_seq) == (second.name, 4)
    assert storage.open().name == first.name
    second.apply(HISTORY[4:], len(HISTORY))
    other_storage.adopt(second)
    assert (_aliases(node, first), _aliases(node, second)) == ({"-p"}, {"-r", "-w"})
    # With the first model again, its index is opened and brought up to date.
    assert storage.open().name == first.name


def test_the_previous_index_is_kept_to_go_back_to(node: Node) -> None:
    storage = indexes(node).storage(index_control())
    with pytest.raises(NotFound, match="no previous index"):
        storage.open_previous()
    first, second, third = (_adopted(storage) for _ in range(3))
    assert not _exists(node, first.name)
    assert (_aliases(node, second), _aliases(node, third)) == ({"-p"}, {"-r", "-w"})
    previous = storage.open_previous()
    assert (previous.name, previous.snapshot().catalog_seq) == (second.name, len(HISTORY))
    storage.adopt(previous)
    assert (_aliases(node, second), _aliases(node, third)) == ({"-r", "-w"}, {"-p"})
    assert storage.open().name == second.name


def test_an_index_that_lost_documents_is_not_adopted(node: Node) -> None:
    storage = indexes(node).storage(index_control())
    first, second = _adopted(storage), storage.create()
    second.apply(HISTORY, len(HISTORY))
    node.call("DELETE", f"/{second.name}/_doc/da", msgspec.Raw, query={"refresh": "true"})
    with pytest.raises(Corrupt, match="given 4 documents and holds 3"):
        storage.adopt(second)
    assert (_aliases(node, first), _aliases(node, second)) == ({"-r", "-w"}, set())


def test_an_index_whose_name_begins_with_that_of_another_is_not_touched(node: Node) -> None:
    all_indexes = indexes(node)
    other_control = msgspec.structs.replace(index_control(created_seq=5), name="shop-1-v7")
    other_storage, storage = all_indexes.storage(other_control), all_indexes.storage(index_control())
    other_engine = other_storage.open()
    other_storage.adopt(other_engine)
    for _ in range(3):
        storage.adopt(storage.create())
    assert _exists(node, other_engine.name)
    assert storage.open().name.endswith("-shop-1-v3")


def _adopted(storage: OpenSearchStorage) -> OpenSearchEngine:
    engine = storage.create()
    engine.apply(HISTORY, len(HISTORY))
    storage.adopt(engine)
    return engine


def _aliases(node: Node, engine: OpenSearchEngine) -> set[str]:
    """Return the endings of the index's aliases, such as `-r`."""
    reply = node.call("GET", f"/{engine.name}/_alias", dict[str, dict[str, dict[str, Any]]])
    return {name[-2:] for name in reply[engine.name]["aliases"]}


def test_a_deleted_index_is_noticed_by_reads_and_writes_and_not_created_by_a_write(
    node: Node,
) -> None:
    storage = indexes(node).storage(index_control())
    engine = storage.open()
    long = upsert("long", "word " * MAX_SHORT_BYTES, seed=9)
    engine.apply([*HISTORY, long], len(HISTORY) + 1)
    storage.adopt(engine)
    reading = engine.snapshot().reading()
    slots = [reading.find(name) for name in ("a", "long")]
    short_slot, long_slot = (slot for slot in slots if slot is not None)
    documents = reading.read([short_slot, long_slot])
    assert [document is not None and b"word word" in bytes(document) for document in documents] == [False, True]
    node.call("DELETE", f"/{engine.name}", msgspec.Raw)
    assert not engine.is_lost
    # A short document came with the hit.
    assert reading.read([short_slot])[0] is not None
    with pytest.raises(Unavailable, match="is gone from OpenSearch"):
        reading.read([short_slot, long_slot])
    assert engine.is_lost
    for changes in (HISTORY, []):
        with pytest.raises(Unavailable, match="is gone from OpenSearch"):
            engine.apply(changes, 99)
    assert not _exists(node, engine.name)
    reopened = storage.open()
    assert (reopened.is_lost, reopened.snapshot().catalog_seq) == (False, 0)


def test_a_refused_document_is_named_and_does_not_stop_the_others(node: Node) -> None:
    storage = indexes(node).storage(index_control())
    engine = storage.open()
    engine.apply(numbered(upsert("a", "red shoe", seed=1), upsert("c", "old green shoe", seed=2)), 2)
    # The node refuses vectors of another length.
    bad = msgspec.structs.replace(upsert("c", "green shoe", seed=4), vector=np.ones(DIMENSION + 1, np.float32))
    changes = [upsert("b", "blue shoe", seed=3), bad, upsert("d", "hat", seed=5)]
    engine.apply([msgspec.structs.replace(change, seq=3 + position) for position, change in enumerate(changes)], 5)
    engine.maintain()
    for state in (engine.snapshot(), storage.open().snapshot()):
        assert (state.catalog_seq, state.n_documents, list(state.refusals)) == (5, 3, ["c"])
        assert "dimension mismatch" in state.refusals["c"]
        assert [state.reading().find(name) is not None for name in "abcd"] == [True, True, False, True]
        assert (state.lexicon.count("green"), state.lexicon.count("hat")) == (0, 1)
    engine.apply([msgspec.structs.replace(upsert("c", "green shoe", seed=4), seq=6)], 6)
    assert (engine.snapshot().n_documents, dict(engine.snapshot().refusals)) == (4, {})


def test_a_catalogue_with_thousands_of_names_is_taken_whole(node: Node) -> None:
    """Each name filters, counts and sorts, whatever it is and wherever it came first."""
    storage = indexes(node).storage(index_control())
    engine = storage.open()
    names = [f"attr {j} · {'x' * (j % 30)}" for j in range(20_000)]
    documents = []
    for first in range(0, len(names), 100):
        members: dict[str, object] = {names[j]: j for j in range(first, first + 100)}
        documents.append(upsert(f"d{first}", "red shoe", "", first, **members))
    for first in range(0, len(documents), 50):
        batch = [msgspec.structs.replace(d, seq=first + i + 1) for i, d in enumerate(documents[first : first + 50])]
        engine.apply(batch, first + len(batch))
    for snapshot in (engine.snapshot(), storage.open().snapshot()):
        assert (snapshot.n_documents, dict(snapshot.refusals)) == (len(documents), {})
        assert snapshot.state.attribute_kinds.keys() >= set(names)
        for j in (0, 7777, len(names) - 1):
            name = names[j]
            request = Retrieval(
                query=understand("", snapshot.lexicon),
                vector=None,
                field_boosts={},
                signal_weights=np.zeros(1, np.float32),
                k=10,
                window=10,
                filters=Range(name, j, j),
                facets=(FacetRequest(name),),
                sort=(SortKey(name),),
            )
            found = snapshot.reading().retrieve(request)
            facet = found.facets[name]
            assert (found.total, [(v.value, v.count) for v in facet.values], facet.n_values) == (1, [(str(j), 1)], 1)
            assert facet.stats is not None
            assert (facet.stats.min, facet.stats.max) == (j, j)


def test_an_index_that_was_built_from_another_log_is_recognised(node: Node) -> None:
    storage = indexes(node).storage(index_control())
    engine = storage.open()
    assert engine.was_built_from(NOW)
    engine.apply(HISTORY, len(HISTORY))
    assert engine.was_built_from(NOW)
    reopened = storage.open()
    assert (reopened.was_built_from(NOW), reopened.was_built_from(NOW + timedelta(seconds=1))) == (True, False)


def test_nothing_is_counted_from_the_replies_of_some_shards(node: Node, opensearch: OpenSearchNode) -> None:
    shop, all_indexes = index_control(), indexes(node, prefix := f"test-{uuid.uuid4().hex}")
    all_indexes.storage(shop).open().apply(HISTORY, len(HISTORY))
    with proxy(opensearch.port) as between:
        far = Node([between.url])
        try:
            between.fault = "partial"
            with pytest.raises(Unavailable, match=r"not all shards of .* answered"):
                indexes(far, prefix).storage(shop).open()
            between.fault = ""
            opened = indexes(far, prefix).storage(shop).open()
            between.fault = "partial"
            with pytest.raises(Unavailable, match=r"not all shards of .* answered"):
                opened.snapshot().reading().find("there is none such")
        finally:
            far.close()


def test_an_index_is_rebuilt_after_the_log_was_repaired(
    start_service: Start, opensearch: OpenSearchNode, tmp_path: Path
) -> None:
    address = on_node(opensearch)
    service = start_service("far", **address)
    for _ in range(2):  # the same documents again: of each, the log keeps the newest
        import_documents(service.url, "shop", sample_catalogue(50))
    before = service.call("GET", "/v1/indexes/shop")[1]
    service.stop()
    repaired = CliRunner().invoke(repair, ["--data-dir", str(tmp_path / "far")])
    assert repaired.exit_code == 0, repaired.output
    service = start_service("far", **address)
    status, written = service.call("POST", "/v1/indexes/shop/documents", {"id": "new", "title": "red shoe"})
    assert (status, written["catalog_seq"] <= before["applied_catalog_seq"]) == (200, True)
    request = {"query": "red shoe", "min_catalog_seq": written["catalog_seq"], "limit": 100}
    status, answer = service.call("POST", "/v1/indexes/shop/search", request)
    assert (status, "new" in [hit["id"] for hit in answer["hits"]]) == (200, True)
    after = service.call("GET", "/v1/indexes/shop")[1]
    assert (after["n_documents"], after["generation"] != before["generation"]) == (51, True)


def test_large_documents_are_sent_in_several_requests(node: Node, opensearch: OpenSearchNode) -> None:
    with proxy(opensearch.port) as between:
        far = Node([between.url])
        try:
            engine = opensearch_engine(far)
            before = between.n_requests
            changes = numbered(*(upsert(str(number), "shoe", f"{number} " * 20_000) for number in range(40)))
            engine.apply(changes, len(changes))
            n_documents = between.n_requests - before - len(("what is there", "progress", "refresh"))
            assert (n_documents > 3, engine.snapshot().n_documents) == (True, 40)
        finally:
            far.close()


@pytest.mark.parametrize("n_shards", [2, 5])
def test_the_score_of_a_document_does_not_depend_on_its_shard(node: Node, n_shards: int) -> None:
    rng = random.Random(n_shards)
    words = ("red", "blue", "shoe", "sock", "wool", "rain")
    documents = [upsert(str(n), " ".join(rng.choices(words, k=3)), brand=rng.choice("abcdefgh")) for n in range(60)]
    results = []
    for engine in (opensearch_engine(node, documents), opensearch_engine(node, documents, n_shards=n_shards)):
        snapshot = engine.snapshot().reading()
        query = understand("red wool sock", engine.snapshot().lexicon)
        brands = (FacetRequest("brand", 3),)
        candidates = snapshot.retrieve(
            Retrieval(query, None, {"title": 3.0}, np.array([1.0], np.float32), k=50, window=50, facets=brands)
        )
        scores = snapshot.text_features(candidates.keyword, query).bm25.sum(axis=1)
        results.append(
            (
                {
                    snapshot.id(slot): round(float(score), 4)
                    for slot, score in zip(candidates.keyword, scores, strict=True)
                },
                candidates.facets["brand"],
            )
        )
    assert results[0] == results[1]


def test_only_indexes_that_the_service_no_longer_has_are_dropped(node: Node) -> None:
    all_indexes = indexes(node)
    present, deleted = index_control(created_seq=1), index_control(created_seq=2)
    names = [all_indexes.storage(index).open().name for index in (present, deleted)]
    other = indexes(node).storage(present).open().name
    all_indexes.drop_others([present])
    assert [_exists(node, name) for name in (*names, other)] == [True, False, True]


def _exists(node: Node, name: str) -> bool:
    try:
        node.call("GET", f"/{name}", msgspec.Raw)
    except NotFound:
        return False
    return True


def test_failures_of_the_client_are_translated(node: Node) -> None:
    with pytest.raises(NotFound, match="index_not_found"):
        node.call("GET", "/nowhere", msgspec.Raw)
    with pytest.raises(InvalidInput, match=r"parsing_exception|x_content_parse"):
        node.call("POST", "/_search", msgspec.Raw, {"nope": 1})
    with pytest.raises(Unavailable, match="is not one of OpenSearch"):
        node.call("GET", "/", list[int])
    away = Node(["http://127.0.0.1:1"], timeout_s=2.0)
    with pytest.raises(Unavailable, match="cannot be reached"):
        away.call("GET", "/", msgspec.Raw)
    away.close()


N_CATALOGUE = 90  # fewer than the candidates of a leg, so both engines find the same nearest vectors


def start_both(start: Start, opensearch: OpenSearchNode) -> Sequence[RunningService]:
    """Start a service on the node and one on the embedded engine, each with the sample catalogue."""
    both = start("far", **on_node(opensearch)), start("near")
    for service in both:
        import_documents(service.url, "shop", sample_catalogue(N_CATALOGUE))
    return both


def on_node(opensearch: OpenSearchNode) -> dict[str, str]:
    """Return the environment of a service on the node, with indexes of its own."""
    return {"SEARCHSVC_OPENSEARCH_URL": opensearch.url, "SEARCHSVC_OPENSEARCH_PREFIX": f"t-{uuid.uuid4().hex}"}


@pytest.fixture(scope="module")
def services(
    opensearch: OpenSearchNode, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sequence[RunningService]]:
    """A service on each engine, for tests that only read."""
    folder = tmp_path_factory.mktemp("services")
    running: list[RunningService] = []

    def start(name: str, **environment: str) -> RunningService:
        running.append(RunningService(folder / name, environment=environment))
        return running[-1]

    try:
        yield start_both(start, opensearch)
    finally:
        for service in running:
            service.stop()


@pytest.fixture
def changing_services(opensearch: OpenSearchNode, start_service: Start) -> Sequence[RunningService]:
    """A service on each engine, for a test that writes."""
    return start_both(start_service, opensearch)


def alike(services: Sequence[RunningService], request: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Return the answers of both services; None while their totals differ."""
    answers = [service.call("POST", "/v1/indexes/shop/search", request)[1] for service in services]
    return answers if answers[0]["total"] == answers[1]["total"] else None


def test_a_service_answers_alike_on_both_engines(services: Sequence[RunningService]) -> None:
    for request in (
        {"query": "red shoes", "highlight": True},
        {"query": "runing shoe", "filters": "price:[20 TO 200]", "facets": ["brand", "colour"]},
        {"query": "", "sort": ["price:desc"]},
        {"query": "jacket", "distinct": "brand"},
        {"query": "garden", "facets": [{"field": "category", "disjunctive": True}], "filters": "category:Garden"},
        {"like": "P00010"},
    ):
        # Which documents are near enough is measured once no more come.
        far, near = wait_for(partial(alike, services, request), f"the same total of {request}")
        assert (far["operator"], far["groups"]) == (near["operator"], near["groups"])
        assert far["facets"] == near["facets"]
        # Lucene keeps a field's length in one byte, so scores differ a little, and how much of cosines is the
        # processor's: of one brand's two best, half a percent apart, either may stand for it.
        best_far, best_near = far["hits"][0], near["hits"][0]
        assert best_far["score"] == pytest.approx(best_near["score"], rel=0.02), request
        if field := request.get("distinct"):
            assert best_far["document"][field] == best_near["document"][field]
        else:
            assert best_far["id"] == best_near["id"], request
        shown = {hit["id"] for hit in near["hits"]}
        assert len({hit["id"] for hit in far["hits"]} & shown) >= 0.8 * len(shown), request
        marked = [{hit["id"]: hit.get("highlights") for hit in answer["hits"]} for answer in (far, near)]
        assert all(marked[0][name] == marked[1][name] for name in marked[0].keys() & shown)
    for typed in ("ja", "running sh"):
        far, near = (service.call("GET", f"/v1/indexes/shop/suggest?q={quote(typed)}")[1] for service in services)
        texts = [[suggestion["text"] for suggestion in answer["suggestions"]] for answer in (far, near)]
        assert set(texts[0]) == set(texts[1])


def test_a_reindex_during_searches_and_writes_loses_nothing_and_shows_nothing_stale(
    changing_services: Sequence[RunningService],
) -> None:
    for service in changing_services:
        arguments = ["shop", "--url", service.url, "--json"]
        before = service.call("GET", "/v1/indexes/shop")[1]["generation"]
        with ThreadPoolExecutor(2) as threads:
            rebuilding = threads.submit(CliRunner().invoke, reindex, arguments)
            writing = threads.submit(_written_and_searched, service, rebuilding)
            result, (number, statuses) = rebuilding.result(60), writing.result(60)
        status = msgspec.json.decode(result.stdout)
        assert (result.exit_code, status["phase"], status["before"]) == (0, "done", before), status
        assert set(statuses) == {200}
        info = service.call("GET", "/v1/indexes/shop")[1]
        assert (info["generation"], info["rebuild"]["phase"]) == (status["after"], "done")
        assert info["n_documents"] == 90 + number
        _, document = service.call("GET", "/v1/indexes/shop/documents/P00001")
        assert document["title"] == f"written {number}"


def _written_and_searched(service: RunningService, until: Future[Any]) -> tuple[int, list[int]]:
    """Write a new and a changed document and search, until a task is done.

    Returns the number of rounds and the status of every call.
    """
    number, statuses = 0, []
    while not until.done():
        number += 1
        changed = {"id": "P00001", "title": f"written {number}"}
        for document in ({"id": f"N{number}", "title": f"new {number}"}, changed):
            status, written = service.call("POST", "/v1/indexes/shop/documents", document)
            statuses.append(status)
        request = {"query": "shoe", "min_catalog_seq": written["catalog_seq"]}
        statuses.append(service.call("POST", "/v1/indexes/shop/search", request)[0])
    return number, statuses


def test_searches_find_an_index_while_other_settings_are_built(changing_services: Sequence[RunningService]) -> None:
    for service in changing_services:
        info = service.call("GET", "/v1/indexes/shop")[1]
        settings = {**info["settings"], "searchable": info["settings"]["searchable"][:1]}
        assert service.call("PUT", "/v1/indexes/shop", settings)[0] == 200
        rebuild = wait_for(partial(_searched_until_rebuilt, service), "the rebuilt index")
        assert (rebuild["trigger"], rebuild["n_read"]) == ("settings", 90)
        # The same command goes back to the previous index, or reports that there is none.
        result = CliRunner().invoke(reindex, ["shop", "--url", service.url, "--previous"])
        assert (result.exit_code, "no previous index" in result.output) == (1, True)


def _searched_until_rebuilt(service: RunningService) -> dict[str, Any] | None:
    """Return the status of a finished rebuild; before that, check that a search finds hits, and return None."""
    _, rebuild = service.call("GET", "/v1/indexes/shop/reindex")
    if rebuild.get("phase") == "done":
        return dict(rebuild)
    status, answer = service.call("POST", "/v1/indexes/shop/search", {"query": "shoe"})
    assert (status, answer["total"] > 0) == (200, True)
    return None


@pytest.fixture(scope="module")
def bare(opensearch: OpenSearchNode) -> Iterator[OpenSearchNode]:
    """A second node, without plugins. Tests may stop it, but must leave it running."""
    running = OpenSearchNode(without_plugins())
    yield running
    running.stop()


def test_the_service_searches_the_vectors_if_the_node_cannot(bare: OpenSearchNode, start_service: Start) -> None:
    address = {"SEARCHSVC_OPENSEARCH_URL": bare.url, "SEARCHSVC_OPENSEARCH_PREFIX": "bare"}
    far, near = start_service("far", **address), start_service("near")
    for service in (far, near):
        import_documents(service.url, "shop", sample_catalogue(90))
    request = {"query": "running shoes", "filters": "price:[20 TO 500]", "explain": True}

    def ask() -> list[dict[str, Any]]:
        return [service.call("POST", "/v1/indexes/shop/search", request)[1] for service in (far, near)]

    # Until no documents come any more, the cut of neighbours depends on how many came at a time.
    wait_for(lambda: len({answer["total"] for answer in ask()}) == 1, "the cut to be measured")
    answers = ask()
    assert [answer["degraded"] for answer in answers] == [[], []]
    assert answers[0]["hits"][0]["id"] == answers[1]["hits"][0]["id"]
    assert any(hit["explanation"]["vector_rank"] for hit in answers[0]["hits"])
    # A restarted service reads the vectors from the node.
    far.kill()
    far = start_service("far", **address)
    restarted = far.call("POST", "/v1/indexes/shop/search", request)[1]
    assert [hit["id"] for hit in restarted["hits"]] == [hit["id"] for hit in answers[0]["hits"]]
    result = CliRunner().invoke(doctor, ["--url", far.url, "--data-dir", str(far.data_dir), "--json"], env=address)
    check = next(entry for entry in msgspec.json.decode(result.stdout)["checks"] if entry["check"] == "opensearch")
    assert (check["status"], "vectors are searched in the service" in check["detail"]) == ("warn", True)


N_MANY = 12_000
MANY_DIMENSION = 64
MANY_SETTINGS = IndexSettings(searchable=(SearchableField("title"),), title="title", embedding=Embedding(("title",)))


class Many(NamedTuple):
    engine: OpenSearchEngine
    vectors: FloatArray
    kinds: list[list[str]]


@pytest.fixture(scope="module")
def many(node: Node) -> Many:
    """An index whose vectors are in the service.

    Every 400th document is rare; all but the thousand nearest to the query are usual.
    """
    rng = np.random.default_rng(5)
    # Like embeddings, they vary in fewer directions than they have dimensions.
    vectors = (rng.normal(size=(N_MANY, 8)) @ rng.normal(size=(8, MANY_DIMENSION))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    query = vectors[7]
    rank = np.argsort(np.argsort(-(vectors @ query)))
    kinds = [["rare"] * (row % 400 == 0) + ["usual"] * bool(rank[row] >= 1000) for row in range(N_MANY)]
    name = f"test-{uuid.uuid4().hex}"
    node.call("PUT", f"/{name}", msgspec.Raw, mapping.index_body(MANY_SETTINGS, MANY_DIMENSION, knn=False))
    engine = OpenSearchEngine(node, name, MANY_SETTINGS, MANY_DIMENSION, knn=False)
    engine.restore()
    for start in range(0, N_MANY, 1000):
        batch = [
            msgspec.structs.replace(upsert(str(row), f"shoe {row}", kind=kinds[row]), vector=vectors[row], seq=row + 2)
            for row in range(start, start + 1000)
        ]
        engine.apply(batch, start + 1001)
    engine.maintain()
    return Many(engine, vectors, kinds)


@pytest.mark.parametrize(("scope", "n_passing"), [("", 12_000), ("kind:rare", 30), ("kind:usual", 11_000)])
def test_the_nearest_in_the_service_are_complete_in_a_scope(many: Many, scope: str, n_passing: int) -> None:
    snapshot, query, k = many.engine.snapshot().reading(), many.vectors[7], 20
    request = Retrieval(Query("x"), query, {}, np.empty(0, np.float32), k=k, window=k, scope=parse_filter(scope))
    candidates = snapshot.retrieve(request)
    kind = scope.removeprefix("kind:")
    rows = [row for row, kinds in enumerate(many.kinds) if not kind or kind in kinds]
    assert len(rows) == n_passing
    shown = [int(snapshot.id(slot)) for slot in candidates.nearest.tolist()]
    cosines = np.sort(many.vectors[rows] @ query)[::-1]
    assert len(shown) == k
    assert set(shown) <= set(rows)
    # A dimension is a byte here: documents that are equally near to a thousandth may change places.
    assert (many.vectors[shown] @ query).min() >= cosines[k - 1] - 0.002


def test_doctor_reports_the_state_of_the_node(services: Sequence[RunningService], opensearch: OpenSearchNode) -> None:
    prefix = services[0].environment["SEARCHSVC_OPENSEARCH_PREFIX"]
    arguments = ["--url", services[0].url, "--data-dir", str(services[0].data_dir), "--json"]
    environment = {"SEARCHSVC_OPENSEARCH_URL": opensearch.url, "SEARCHSVC_OPENSEARCH_PREFIX": prefix}
    result = CliRunner().invoke(doctor, arguments, env=environment)
    checks = {check["check"]: check for check in msgspec.json.decode(result.stdout)["checks"]}
    node_check = checks["opensearch"]
    assert node_check["status"] == "ok", node_check
    for part in (
        "opensearch-knn",
        f"{prefix}-shop-1-v1",
        f"{prefix}-shop-1-r",
        "90 documents",
        "0 documents behind the log",
    ):
        assert part in node_check["detail"]
    away = CliRunner().invoke(doctor, arguments, env={**environment, "SEARCHSVC_OPENSEARCH_URL": "http://127.0.0.1:1"})
    assert away.exit_code == 1
    assert "cannot be reached" in away.stdout


def test_a_node_that_hangs_or_is_killed_is_reported_and_loses_nothing(
    start_service: Start, bare: OpenSearchNode
) -> None:
    address = {"SEARCHSVC_OPENSEARCH_URL": bare.url, "SEARCHSVC_OPENSEARCH_PREFIX": "killed"}
    address["SEARCHSVC_OPENSEARCH_TIMEOUT_MS"] = f"{TIMEOUT_S * 1e3}"
    service = start_service("far", **address)
    import_documents(service.url, "shop", sample_catalogue(40))
    bare.freeze()
    # The node stays frozen: the service has to answer all the same.
    status, answer = service.call("POST", "/v1/indexes/shop/search", {"query": "shoe"})
    assert (status, "in time" in answer["detail"]) == (503, True), answer
    bare.thaw()
    bare.kill()
    status, answer = service.call("POST", "/v1/indexes/shop/search", {"query": "shoe"})
    assert (status, "OpenSearch" in answer["detail"]) == (503, True)
    for _ in range(10):
        status, answer = service.call("POST", "/v1/indexes/shop/search", {"query": "shoe"})
    assert (status, "not tried again yet" in answer["detail"]) == (503, True)
    health = service.call("GET", "/health/ready")[1]
    assert (health["status"], any("opensearch" in reason for reason in health["reasons"])) == ("degraded", True)
    for number in range(10):
        status, _ = service.call("POST", "/v1/indexes/shop/documents", {"id": f"N{number}", "title": f"new {number}"})
        assert status in (200, 202)
    bare.start()
    wait_for(lambda: _n_documents(service) == 50, "all documents after the node came back", limit_s=CAUGHT_UP_S)
    assert service.call("GET", "/health/ready")[1]["status"] == "ready"


def _n_documents(service: RunningService) -> int:
    """Return the number of documents that a search finds; 0 if it is refused."""
    status, answer = service.call("POST", "/v1/indexes/shop/search", {"query": "", "limit": 1})
    return int(answer["total"]) if status == 200 else 0


def test_a_killed_service_on_a_node_continues_where_it_was(opensearch: OpenSearchNode, start_service: Start) -> None:
    address = on_node(opensearch)
    service = start_service("far", **address)
    import_documents(service.url, "shop", sample_catalogue(50))
    status, deleted = service.call("DELETE", "/v1/indexes/shop/documents/P00007")
    assert status == 200, deleted
    service.call("PUT", "/v1/indexes/shop/weights", {"weights": {"bm25.title": 9.0}, "reason": "test"})
    service.kill()
    service = start_service("far", **address)
    _, answer = service.call("POST", "/v1/indexes/shop/search", {"query": "", "limit": 100})
    assert answer["total"] == 49
    assert answer["weights_version"] == 2
    assert "P00007" not in {hit["id"] for hit in answer["hits"]}
    status, _ = service.call("DELETE", "/v1/indexes/shop")
    assert status in (200, 204)
