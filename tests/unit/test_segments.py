"""Weights for some searches, and how far weights may go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from events.edits import DeleteSegment, SetLimits, SetSegment, SetWeights
from events.errors import InvalidInput
from events.rules import Conditions, QueryPattern
from events.segments import Segment, check_segment
from searchsvc.search.request import SearchRequest
from searchsvc.search.searcher import Searcher
from searchsvc.state.serving_state import ServingState
from tests.factories import NOW, edited, engine, serving, upsert

TRADE = Conditions(user_segment="trade")
LAMPS = Conditions(query=QueryPattern("contains", "lamp"))
DOCUMENTS = [
    upsert("a", "desk lamp", votes=1),
    upsert("b", "lamp", "for a desk", votes=9),
    upsert("c", "desk", votes=5),
]


def shop(folder: Path, **segments: Segment) -> ServingState:
    plain = serving(engine(folder, DOCUMENTS).snapshot(), signal__votes=0.0)
    return edited(plain, *(SetSegment(name, one) for name, one in segments.items()))


def found(state: ServingState, query: str = "desk lamp", **asked: Any) -> tuple[list[str], str | None]:
    request = SearchRequest(query=query, **asked)
    outcome = Searcher(None, n_candidates=9).search(state, "shop", request, query_id="q", now=NOW)
    assert outcome.shown.weights_segment == (outcome.answer.weights_segment or "")
    return [hit.id for hit in outcome.answer.hits], outcome.answer.weights_segment


def test_the_weights_of_a_segment_count_for_the_searches_that_it_is_for(tmp_path: Path) -> None:
    state = shop(tmp_path, trade=Segment(TRADE, {"signal.votes": 50.0}))
    assert found(state) == (["a", "b", "c"], None)
    assert found(state, user_segment="trade") == (["b", "c", "a"], "trade")
    # Who browses, too.
    assert found(state, "", user_segment="trade") == (["b", "c", "a"], "trade")
    # What it does not name stays the index's.
    louder = edited(state, SetWeights({"exact_title": 90.0}))
    assert found(louder, user_segment="trade") == (["a", "b", "c"], "trade")
    assert found(edited(state, DeleteSegment("trade")), user_segment="trade") == (["a", "b", "c"], None)


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
def test_of_several_segments_one_counts(tmp_path: Path, segments: dict[str, Segment], counts: str | None) -> None:
    assert found(shop(tmp_path, **segments), user_segment="trade")[1] == counts


def test_a_typing_error_belongs_to_the_segment_that_was_meant(tmp_path: Path) -> None:
    state = shop(tmp_path, lamps=Segment(LAMPS, {"signal.votes": 50.0}))
    assert found(state, "desk lmap")[1] == "lamps"


@pytest.mark.parametrize(
    ("segment", "field"),
    [
        (Segment(Conditions(), {"cosine": 1.0}), "conditions"),
        (Segment(TRADE, {}, priority=5000), "priority"),
        (Segment(Conditions(query=QueryPattern("contains", "x" * 500)), {}), "conditions.query.text"),
    ],
)
def test_a_segment_that_cannot_be_honoured_is_refused(segment: Segment, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_segment(segment)
    assert refused.value.field == field


def test_limits_are_folded_by_name(tmp_path: Path) -> None:
    state = edited(
        shop(tmp_path), SetLimits({"cosine": (0.0, 5.0), "phrase": (0.0, 1.0)}, {"cosine": True, "phrase": True})
    )
    state = edited(state, SetLimits({"phrase": None}, {"cosine": False}))
    index = state.control.index("shop")
    assert (dict(index.bounds), index.locks) == ({"cosine": (0.0, 5.0)}, ("phrase",))
    assert index.weights_version == 1
