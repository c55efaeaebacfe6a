"""Weights of segments, and neighbours of a document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from events.edits import DeleteSegment, SetSegment, SetWeights
from events.rules import (
    Conditions,
    QueryPattern,
)
from events.segments import Segment
from searchsvc.search.request import SearchRequest
from searchsvc.search.searcher import Searcher
from searchsvc.state.serving_state import ServingState
from tests.factories import NOW, FakeEmbedder, edited, engine, serving, upsert
from tests.searching import red_shoes

TRADE = Conditions(user_segment="trade")
LAMPS = Conditions(query=QueryPattern("contains", "lamp"))
LAMP_DOCUMENTS = [
    upsert("a", "desk lamp", votes=1),
    upsert("b", "lamp", "for a desk", votes=9),
    upsert("c", "desk", votes=5),
]


def shop_with(folder: Path, **segments: Segment) -> ServingState:
    plain = serving(engine(folder, LAMP_DOCUMENTS).snapshot(), signal__votes=0.0)
    return edited(plain, *(SetSegment(name, segment) for name, segment in segments.items()))


def search_segment(state: ServingState, query: str = "desk lamp", **members: Any) -> tuple[list[str], str | None]:
    request = SearchRequest(query=query, **members)
    outcome = Searcher(None, n_candidates=9).search(state, "shop", request, query_id="q", now=NOW)
    assert outcome.shown.weights_segment == (outcome.answer.weights_segment or "")
    return [hit.id for hit in outcome.answer.hits], outcome.answer.weights_segment


def test_the_weights_of_a_segment_rank_the_searches_that_meet_its_conditions(tmp_path: Path) -> None:
    state = shop_with(tmp_path, trade=Segment(TRADE, {"signal.votes": 50.0}))
    assert search_segment(state) == (["a", "b", "c"], None)
    assert search_segment(state, user_segment="trade") == (["b", "c", "a"], "trade")
    assert search_segment(state, "", user_segment="trade") == (["b", "c", "a"], "trade")
    # Features that the segment does not name keep the weights of the index.
    with_title_weight = edited(state, SetWeights({"exact_title": 90.0}))
    assert search_segment(with_title_weight, user_segment="trade") == (["a", "b", "c"], "trade")
    assert search_segment(edited(state, DeleteSegment("trade")), user_segment="trade") == (["a", "b", "c"], None)


@pytest.mark.parametrize(
    ("segments", "counts"),
    [
        ({"z": Segment(TRADE, {}, priority=1), "a": Segment(LAMPS, {})}, "z"),
        ({"z": Segment(LAMPS, {}), "a": Segment(TRADE, {})}, "z"),
        ({"z": Segment(Conditions(query=QueryPattern("exact", "desk lamp")), {}), "a": Segment(LAMPS, {})}, "z"),
        ({"b": Segment(TRADE, {}), "a": Segment(TRADE, {})}, "a"),
        ({"a": Segment(TRADE, {}, enabled=False)}, None),
        ({"a": Segment(Conditions(query=QueryPattern("contains", "sofa")), {})}, None),
    ],
    ids=["the higher priority", "a pattern before none", "the closer pattern", "the id", "disabled", "no match"],
)
def test_of_several_segments_the_first_in_precedence_counts(
    tmp_path: Path, segments: dict[str, Segment], counts: str | None
) -> None:
    assert search_segment(shop_with(tmp_path, **segments), user_segment="trade")[1] == counts


def test_a_misspelt_query_belongs_to_the_segment_of_its_correction(tmp_path: Path) -> None:
    state = shop_with(tmp_path, lamps=Segment(LAMPS, {"signal.votes": 50.0}))
    assert search_segment(state, "desk lmap")[1] == "lamps"


def test_neighbours_of_a_document_are_the_nearest_without_itself(tmp_path: Path) -> None:
    searcher = Searcher(FakeEmbedder(), n_candidates=5)
    request = SearchRequest(like="d07", limit=3, facets=["text"])
    outcome = searcher.search(red_shoes(tmp_path), "shop", request, query_id="q", now=NOW)
    assert outcome.answer.total == 5
    assert len(outcome.answer.hits) == 3
    assert "d07" not in {hit.id for hit in outcome.answer.hits}
    assert sum(value.count for value in outcome.answer.facets["text"].values) == 5
    assert outcome.shown.query == ""
