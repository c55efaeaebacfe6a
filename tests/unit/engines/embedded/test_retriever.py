"""Retrieval: match sets, totals, facets, pins and boosts of one search; with and without an executor."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from searchsvc.analysis.query import Query
from searchsvc.analysis.understanding import understand
from searchsvc.engines.embedded.retriever import Retriever
from searchsvc.engines.embedded.snapshot import EmbeddedSnapshot
from searchsvc.engines.filters import Is, Range
from searchsvc.engines.retrieval import FacetRequest, Retrieval, Retrieved, SortKey
from tests.factories import engine, upsert, vector
from tuning.arrays import FloatArray


@pytest.fixture
def snapshot(tmp_path: Path) -> EmbeddedSnapshot:
    documents = [
        upsert(str(i), f"{'red' if i % 2 else 'blue'} shoe", seed=i, votes=i, brand=f"b{i % 3}") for i in range(30)
    ]
    return engine(tmp_path, documents).snapshot()


def request(snapshot: EmbeddedSnapshot, text: str, **changes: Any) -> Retrieval:
    query = understand(text, snapshot.lexicon) if text else Query("")
    arguments: dict[str, Any] = {"vector": None, "k": 5, "window": 10, "operator": "all", **changes}
    return Retrieval(query, field_boosts={}, signal_weights=np.ones(1, np.float32), **arguments)


def ids(snapshot: EmbeddedSnapshot, slots: Any) -> list[str]:
    return [snapshot.reading().id(slot) for slot in slots.tolist()]


def test_equal_scores_order_by_id_and_all_matches_count(snapshot: EmbeddedSnapshot) -> None:
    retrieved = snapshot.reading().retrieve(request(snapshot, "red"))
    assert retrieved.total == 15
    assert ids(snapshot, retrieved.keyword) == sorted(str(i) for i in range(1, 30, 2))[:10]
    unlimited = snapshot.reading().retrieve(request(snapshot, "red", window=None))
    assert len(unlimited.keyword) == 15


def test_without_text_documents_order_by_their_signals(snapshot: EmbeddedSnapshot) -> None:
    retrieved = snapshot.reading().retrieve(request(snapshot, ""))
    assert (retrieved.total, retrieved.operator) == (30, None)
    # `votes` saturates at 10.
    assert set(ids(snapshot, retrieved.keyword)) <= {str(i) for i in range(10, 30)}


def test_filters_and_scope_restrict_the_match_set(snapshot: EmbeddedSnapshot) -> None:
    changes = {"filters": Is("brand", ("b1",)), "scope": Range("votes", 10.0), "excluded_slot": 19}
    retrieved = snapshot.reading().retrieve(request(snapshot, "red", window=None, **changes))
    assert sorted(ids(snapshot, retrieved.keyword), key=int) == ["13", "25"]


def test_a_disjunctive_facet_counts_what_a_shopper_could_choose(snapshot: EmbeddedSnapshot) -> None:
    facets = (FacetRequest("brand"), FacetRequest("brand", disjunctive=True))
    for facet, expected in zip(facets, ({"b1": 5}, {"b0": 5, "b1": 5, "b2": 5}), strict=True):
        changes = {"filters": Is("brand", ("b1",)), "facets": (facet,)}
        retrieved = snapshot.reading().retrieve(request(snapshot, "red", **changes))
        assert {value.value: value.count for value in retrieved.facets["brand"].values} == expected


def test_pinned_documents_belong_to_the_match_set_if_they_are_allowed(snapshot: EmbeddedSnapshot) -> None:
    changes = {"pinned_ids": ("2", "4", "none"), "filters": Range("votes", 3.0)}
    retrieved = snapshot.reading().retrieve(request(snapshot, "red", **changes))
    assert ids(snapshot, retrieved.pinned) == ["4"]
    assert retrieved.total == 15 - 1 + 1 - 0


def test_the_best_boosted_matches_are_retrieved_as_well(snapshot: EmbeddedSnapshot) -> None:
    boosted = snapshot.reading().retrieve(request(snapshot, "red", k=2, boosted=Range("votes", 26.0))).boosted
    assert ids(snapshot, boosted) == ["27", "29"]
    without_text = snapshot.reading().retrieve(request(snapshot, "", k=1, boosted=Range("votes", 26.0))).boosted
    assert len(without_text) == 1


def test_sort_keys_order_the_whole_match_set(snapshot: EmbeddedSnapshot) -> None:
    sort = (SortKey("brand", descending=True), SortKey("votes"))
    retrieved = snapshot.reading().retrieve(request(snapshot, "red", window=None, sort=sort))
    assert ids(snapshot, retrieved.keyword)[:6] == ["5", "11", "17", "23", "29", "1"]


def test_neighbours_belong_to_the_match_set_nearest_first(snapshot: EmbeddedSnapshot) -> None:
    retrieved = snapshot.reading().retrieve(request(snapshot, "", vector=vector(3), k=4))
    assert ids(snapshot, retrieved.nearest)[0] == "3"
    assert (np.diff(retrieved.cosines) <= 0).all()
    assert (len(retrieved.nearest), retrieved.vector_trust) == (4, 1.0)


def test_neighbours_are_dropped_where_cosines_cannot_be_trusted(snapshot: EmbeddedSnapshot) -> None:
    trusts = set()
    for seed in range(40):
        retrieved = snapshot.reading().retrieve(request(snapshot, "red", vector=vector(seed), k=4))
        trusts.add(retrieved.vector_trust > 0.0)
        assert (len(retrieved.nearest) > 0) == (retrieved.vector_trust > 0.0)
        assert len(retrieved.nearest) == len(retrieved.cosines)
    assert trusts == {True, False}


def test_the_vector_leg_runs_on_the_executor_and_finds_the_same(snapshot: EmbeddedSnapshot) -> None:
    threads: list[str] = []

    def encode() -> FloatArray:
        threads.append(threading.current_thread().name)
        return vector(3)

    asked = request(snapshot, "red", vector=encode, facets=(FacetRequest("brand", disjunctive=True),))
    terms = snapshot.query_terms(asked.query)
    with ThreadPoolExecutor(1, thread_name_prefix="vector leg") as executor:
        concurrent = Retriever(snapshot.views, asked, terms, executor).run()
    sequential = Retriever(snapshot.views, asked, terms, None).run()
    assert threads[0].startswith("vector leg")
    assert threads[1] == threading.current_thread().name
    assert plain(concurrent) == plain(sequential)


def plain(retrieved: Retrieved) -> list[object]:
    values = [getattr(retrieved, name) for name in retrieved.__struct_fields__]
    return [value.tolist() if isinstance(value, np.ndarray) else value for value in values]
