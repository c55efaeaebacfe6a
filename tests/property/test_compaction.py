"""A compacted index gives the same answers as before, and goes on giving the same."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from searchsvc.engines.embedded import storage
from searchsvc.engines.embedded.engine import EmbeddedEngine
from searchsvc.engines.protocol import Delete, Upsert
from searchsvc.engines.retrieval import FacetRequest
from tests.factories import engine, serving, upsert
from tests.searching import search

WORDS = st.sampled_from(["run", "runs", "running", "shoe", "shoes", "laptop", "laptops", "mx-500", "17 inch", "rain"])
TITLES = st.lists(WORDS, max_size=3).map(" ".join)
MEMBERS = st.fixed_dictionaries(
    {"title": TITLES, "text": TITLES},
    optional={
        "brand": st.sampled_from(["Ab", "Cd", "007", 7]),
        "price": st.sampled_from([5, 7.5, "1,299.00 EUR"]),
        "tags": st.lists(st.sampled_from(["x", "y", True]), max_size=2),
    },
)
IDS = st.sampled_from([f"d{i}" for i in range(9)])
CHANGES = st.lists(st.tuples(IDS, st.none() | MEMBERS), max_size=30)
FACETS = tuple(FacetRequest(name) for name in ("brand", "price", "tags"))
REQUESTS: list[dict[str, Any]] = [
    {"query": "running shoe", "explain": True},
    {"query": "shoes lapto", "explain": True},
    {"query": '"17 inch" laptop -rain'},
    {"query": "", "facets": FACETS, "filters": "price>6 OR brand:007"},
    {"query": "", "sort": ("brand:asc", "price:desc")},
]


def changed(document_id: str, members: dict[str, object] | None) -> Upsert | Delete:
    return Delete(document_id) if members is None else upsert(document_id, **members)  # type: ignore[arg-type]


def answers(index: EmbeddedEngine) -> list[object]:
    state = serving(index.snapshot())
    return [msgspec.structs.replace(search(state, **request).answer, took_ms=0.0) for request in REQUESTS]


@settings(max_examples=40)
@given(changes=CHANGES, later=CHANGES)
def test_compaction_changes_no_answer(
    changes: list[tuple[str, dict[str, object] | None]], later: list[tuple[str, dict[str, object] | None]]
) -> None:
    with TemporaryDirectory() as folder:
        index = engine(Path(folder))
        for seq, change in enumerate(changes, start=1):
            index.apply([changed(*change)], seq)
        compacted = storage.compact(index, Path(folder))
        assert compacted.live_slots().tolist() == list(range(index.snapshot().n_documents))
        assert compacted.snapshot().digest == index.snapshot().digest
        assert answers(compacted) == answers(index)
        for both in (index, compacted):
            both.apply([changed(*change) for change in later], len(changes) + 1)
        assert answers(compacted) == answers(index)
