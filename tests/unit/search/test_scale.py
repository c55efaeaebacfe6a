"""Words and vectors on one scale: the same whatever the page, the filter's rules and the level of the raw values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from events.rules import BoostAction, PinAction, Rule
from searchsvc.search import scale
from searchsvc.search.scale import SCORING_VERSION, WORDS, neighbour_weights, scale_cosines, scale_words
from tests.factories import engine, serving, upsert, with_rules
from tests.searching import search

COSINES = npst.arrays(np.float32, st.integers(1, 50), elements=st.floats(-1, 1, width=32))


def every(n: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.ones(n, bool)


@given(COSINES, st.floats(0.5, 1.0, width=32), st.floats(-0.25, 0.25, width=32))
def test_scaled_cosines_do_not_depend_on_the_level_of_a_model(cosines: np.ndarray, factor: float, level: float) -> None:
    spread = float(cosines.std()) * factor
    if spread < 2 * scale.MIN_COSINE_DEVIATION:
        return
    scaled, _ = scale_cosines("cosine", cosines, every(len(cosines)))
    other, _ = scale_cosines("cosine", cosines * np.float32(factor) + np.float32(level), every(len(cosines)))
    np.testing.assert_allclose(scaled, other, atol=1e-3)
    assert scaled.min() == 0.0


@given(COSINES)
def test_a_logged_scale_gives_the_raw_cosines_back(cosines: np.ndarray) -> None:
    scaled, logged = scale_cosines("cosine", cosines, every(len(cosines)))
    np.testing.assert_allclose(scaled * logged.unit + logged.lowest, cosines, atol=1e-5)


def test_what_rules_add_has_no_part_in_the_scale() -> None:
    cosines = np.array([0.2, 0.5, 0.8, -0.9, 0.99], np.float32)
    is_retrieved = np.array([True, True, True, False, False])
    scaled, logged = scale_cosines("cosine", cosines, is_retrieved)
    assert logged == scale_cosines("cosine", cosines[:3], every(3))[1]
    assert scaled[3] == 0.0
    assert scaled[4] > scaled[2]
    columns = np.array([[1.0], [2.0], [3.0], [50.0], [0.0]], np.float32)
    alone = columns[:3].copy()
    assert scale_words(columns, np.ones(1), is_retrieved) == scale_words(alone, np.ones(1), every(3))


def test_equal_candidates_are_not_driven_apart() -> None:
    columns = np.full((4, 2), 0.5, np.float32)
    assert scale_words(columns, np.ones(2), every(4)).unit == scale.MIN_WORDS_DEVIATION / scale.USUAL_WORDS_DEVIATION
    scaled, logged = scale_cosines("cosine", np.full(4, 0.3, np.float32), every(4))
    assert (scaled.tolist(), logged.unit) == ([0.0] * 4, scale.DEVIATIONS_IN_RANGE * scale.MIN_COSINE_DEVIATION)
    assert scale_cosines("cosine", np.empty(0, np.float32), every(0))[0].tolist() == []
    assert neighbour_weights(np.empty(0, np.float32)).tolist() == []


def test_the_nearest_says_most_of_what_a_query_is_after() -> None:
    weights = neighbour_weights(np.array([0.9, 0.8, 0.5, 0.4], np.float32))
    assert weights[0] == 1.0
    assert all(weights[:-1] > weights[1:])


def test_scores_are_the_same_whatever_page_and_limit_and_with_rules(tmp_path: Path) -> None:
    documents = [
        upsert(f"d{i:02d}", "red shoe" if i % 3 else "blue hat", "shoe" * (i % 5), seed=i + 1) for i in range(60)
    ]
    snapshot = engine(tmp_path, documents).snapshot()
    scores = {hit.id: hit.score for hit in search(serving(snapshot), "red shoe 7", limit=60).answer.hits}
    for offset in (0, 7, 20):
        page = search(serving(snapshot), "red shoe 7", offset=offset, limit=5).answer
        assert {hit.id: hit.score for hit in page.hits} == {hit.id: scores[hit.id] for hit in page.hits}
    pinned = search(with_rules(serving(snapshot), {"r": Rule((PinAction("d00", 1),))}), "red shoe 7", limit=60).answer
    assert {hit.id: hit.score for hit in pinned.hits if hit.id in scores} == {
        hit.id: scores[hit.id] for hit in pinned.hits if hit.id in scores
    }
    boosted = search(with_rules(serving(snapshot), {"r": Rule((BoostAction(2.0),))}), "red shoe 7", limit=60).answer
    assert {hit.id: hit.score for hit in boosted.hits} == pytest.approx(
        {hit.id: 2 * scores[hit.id] for hit in boosted.hits}
    )


def test_the_log_has_the_version_and_the_scales(tmp_path: Path) -> None:
    snapshot = engine(tmp_path, [upsert(str(i), "red shoe", seed=i + 1) for i in range(20)]).snapshot()
    shown = search(serving(snapshot), "red shoe 7").shown
    assert shown.scoring_version == SCORING_VERSION
    assert [one.feature for one in shown.scales] == [WORDS, "cosine", "neighbourhood"]
    words_only = search(serving(snapshot), "red shoe 7", retrieval="keyword").shown
    assert [one.feature for one in words_only.scales] == [WORDS, "cosine", "neighbourhood"]
