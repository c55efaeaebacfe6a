"""What the log keeps of a search."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from events.rules import (
    BoostAction,
    PinAction,
    Rule,
)
from searchsvc.search.request import SearchRequest
from searchsvc.search.searcher import Searcher
from tests.factories import NOW, SETTINGS
from tests.searching import hit_ids, red_shoes, search, shoe_shop
from tuning.features import default_weights


def test_the_record_contains_what_was_shown(tmp_path: Path) -> None:
    outcome = search(red_shoes(tmp_path), "red shoe", limit=3, offset=2, explain=True)
    shown = outcome.shown
    assert list(shown.document_ids) == hit_ids(outcome.answer)
    assert (shown.first_rank, shown.weights_version, shown.applied_seq) == (3, 1, 1)
    weights = default_weights(SETTINGS)
    assert tuple(weights) == shown.feature_names
    scores = np.array(shown.features) @ np.array(list(weights.values()))
    np.testing.assert_allclose(scores, shown.scores, rtol=1e-6)


def test_the_record_contains_pins_and_rule_factors(tmp_path: Path) -> None:
    state = shoe_shop(tmp_path, r=Rule((PinAction("e", 1), BoostAction(3.0, "brand:Cd"))))
    request = SearchRequest(query="red shoe", limit=3)
    outcome = Searcher(None, n_candidates=9).search(state, "shop", request, query_id="q", now=NOW)
    shown = outcome.shown
    assert shown.document_ids == ("e", "b", "c")
    assert (shown.pinned_ids, shown.rule_factors, shown.applied_rules) == (("e",), (1.0, 3.0, 3.0), ("r",))
    weights = [state.control.index("shop").weights[name] for name in shown.feature_names]
    for row, factor, score in zip(shown.features, shown.rule_factors, shown.scores, strict=True):
        assert score == pytest.approx(float(np.dot(row, weights)) * factor, abs=1e-5)
