"""What a search requests from the engine."""

from __future__ import annotations

import pytest

from benchmarks.oracle.snapshot import OracleSnapshot
from events.rules import BoostAction, BuryAction, FilterAction, PinAction, Rule
from searchsvc.engines.filters import parse_filter
from searchsvc.engines.retrieval import Retrieval, Retrieved
from tests.factories import SETTINGS, serving, with_rules
from tests.searching import DOCUMENTS, answer


class RecordingOracle(OracleSnapshot):
    """Keeps the last request."""

    def retrieve(self, request: Retrieval) -> Retrieved:
        self.last_request = request
        return super().retrieve(request)


def test_the_keyword_leg_weighs_fields_and_signals_as_the_score_does() -> None:
    snapshot = RecordingOracle(DOCUMENTS, SETTINGS)
    answer(serving(snapshot, bm25__title=7.0, bm25__text=0.5, signal__votes=2.0), "red")
    assert snapshot.last_request.field_boosts == {"title": 7.0, "text": 0.5}
    assert snapshot.last_request.signal_weights.tolist() == [2.0]
    assert (snapshot.last_request.k, snapshot.last_request.window) == (100, 10)


def test_rules_decide_scope_pins_and_boosted_documents() -> None:
    snapshot = RecordingOracle(DOCUMENTS, SETTINGS)
    actions = (FilterAction("votes>0"), PinAction("e", 1), BoostAction(2.0, "brand:Ef"), BuryAction(0.5, "brand:Ab"))
    answer(with_rules(serving(snapshot), {"r": Rule(actions)}), "red", limit=5)
    request = snapshot.last_request
    assert request.scope == parse_filter("votes>0", "filter")
    assert request.pinned_ids == ("e",)
    assert request.window == 6, "a pin further down leaves its place to another"
    assert request.boosted == parse_filter("brand:Ef", "filter")
    assert set(request.test_filters) == {parse_filter("brand:Ef", "filter"), parse_filter("brand:Ab", "filter")}


@pytest.mark.parametrize(("limit", "k"), [(10, 5), (30, 5)])
def test_a_grouped_search_retrieves_the_whole_keyword_order(limit: int, k: int) -> None:
    snapshot = RecordingOracle(DOCUMENTS, SETTINGS)
    answer(serving(snapshot), "red", n_candidates=k, distinct="brand", limit=limit)
    assert (snapshot.last_request.k, snapshot.last_request.window) == (k, None)
