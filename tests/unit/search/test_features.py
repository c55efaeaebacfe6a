"""Features of candidates, and factors for shoppers' behavior."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

import msgspec
import pytest

from events.edits import SetLearning
from events.learning import Learning, Mode
from searchsvc.search.answer import SearchOutcome
from searchsvc.state.serving_state import BehaviorValue, IndexBehavior
from searchsvc.state.sharded_mapping import ShardedMapping
from tests.factories import edited
from tests.searching import hit_ids, red_shoes, search
from tuning.features import BEHAVIOR

DOCUMENTS = ShardedMapping[BehaviorValue]().with_changes(
    {"d03": BehaviorValue(1.5, 0.5), "d04": BehaviorValue(1.1, 0.2)}
)
QUERIES = ShardedMapping[dict[str, BehaviorValue]]().with_changes({"red shoe": {"d04": BehaviorValue(9.0, 1.0)}})


def searched(folder: Path, mode: Mode, query: str) -> SearchOutcome:
    state = edited(red_shoes(folder), SetLearning(Learning(mode=mode, max_boost=2.0)))
    behavior = MappingProxyType({"shop": IndexBehavior(DOCUMENTS, QUERIES)})
    return search(msgspec.structs.replace(state, behavior=behavior), query, limit=40)


def test_the_value_of_a_query_replaces_the_factor_of_the_document_and_is_limited(tmp_path: Path) -> None:
    outcome = searched(tmp_path, "automatic", "Red  SHOE")
    factors = dict(zip(hit_ids(outcome.answer), outcome.shown.behavior_factors, strict=True))
    assert {name: factor for name, factor in factors.items() if factor != 1.0} == {"d03": 1.5, "d04": 2.0}
    columns = [outcome.shown.feature_names.index(name) for name in BEHAVIOR]
    rows = dict(zip(hit_ids(outcome.answer), outcome.shown.features, strict=True))
    assert [rows["d04"][column] for column in columns] == pytest.approx([0.2, 1.0])
    assert [rows["d00"][column] for column in columns] == [0.0, 0.0]


def test_the_value_of_a_query_does_not_count_for_others(tmp_path: Path) -> None:
    outcome = searched(tmp_path, "automatic", "red")
    factors = dict(zip(hit_ids(outcome.answer), outcome.shown.behavior_factors, strict=True))
    assert {name: factor for name, factor in factors.items() if factor != 1.0} == {"d03": 1.5, "d04": 1.1}


@pytest.mark.parametrize(("mode", "has_features"), [("suggest", True), ("off", False)])
def test_behavior_changes_scores_in_automatic_mode_only(tmp_path: Path, mode: Mode, has_features: bool) -> None:
    shown = searched(tmp_path, mode, "red shoe").shown
    column = shown.feature_names.index(BEHAVIOR[0])
    assert shown.behavior_factors == ()
    assert any(row[column] for row in shown.features) == has_features
