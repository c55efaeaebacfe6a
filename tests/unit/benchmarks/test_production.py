"""The weights that shoppers see before anything is learnt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.featurefile import FeatureFile, JudgedList
from benchmarks.production import production_of
from events.errors import InvalidInput

rng = np.random.default_rng(1)
LISTS = [JudgedList(rows, (rows[:, 0] > 0.6).astype(np.int64)) for rows in rng.random((80, 12, 2))]
FEATURES = FeatureFile("random", ["title", "noise"], None, {"train": [q for q in LISTS if q.grades.any()]})


def test_weights_come_from_the_file_that_is_named(tmp_path: Path) -> None:
    file = tmp_path / "weights.json"
    file.write_text('{"noise": 0.5}')
    weights, origin = production_of(FEATURES, file)
    assert (weights.tolist(), origin) == ([0.0, 0.5], "weights.json")


@pytest.mark.parametrize(("content", "message"), [('{"other": 1}', "no feature 'other'"), ("[1]", "cannot be read")])
def test_other_weights_are_refused(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "weights.json"
    file.write_text(content)
    with pytest.raises(InvalidInput, match=message):
        production_of(FEATURES, file)


@pytest.mark.parametrize("optimal", [True, False])
def test_without_weights_some_are_fitted(optimal: bool) -> None:
    weights, origin = production_of(FEATURES, None, optimal=optimal)
    assert weights[0] > abs(weights[1])
    assert origin == ("the best there are" if optimal else "fitted on 50 queries")
