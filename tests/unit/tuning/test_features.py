"""The feature schema and its default weights."""

from __future__ import annotations

import msgspec
import pytest

from events.settings import SearchableField, Signal
from tests.factories import SETTINGS
from tuning.features import (
    BEHAVIOR,
    FIELD_WEIGHT,
    GROUP_WEIGHT,
    SIGNALS_WEIGHT,
    TITLE_WEIGHT,
    default_weights,
    feature_names,
)


def test_every_feature_has_a_default_weight_in_column_order() -> None:
    assert tuple(default_weights(SETTINGS)) == feature_names(SETTINGS)
    assert feature_names(SETTINGS)[-2:] == BEHAVIOR


def test_an_index_without_embedding_has_no_features_of_the_vector_leg() -> None:
    names = feature_names(msgspec.structs.replace(SETTINGS, embedding=None))
    assert set(feature_names(SETTINGS)) - set(names) == {"cosine", "neighbourhood", "rr.vector"}


def test_the_title_weighs_most_and_a_field_of_many_members_least() -> None:
    searchable = (SearchableField("title"), SearchableField("text"), SearchableField("rest", ("attr_*",)))
    weights = default_weights(msgspec.structs.replace(SETTINGS, searchable=searchable))
    fields = [weights[f"bm25.{name}"] for name in ("title", "text", "rest")]
    assert fields == [TITLE_WEIGHT, FIELD_WEIGHT, GROUP_WEIGHT]


def test_signals_share_one_budget_and_behavior_starts_at_zero() -> None:
    signals = tuple(Signal(name, "identity", 1.0) for name in ("votes", "sales"))
    weights = default_weights(msgspec.structs.replace(SETTINGS, signals=signals))
    assert weights["signal.votes"] + weights["signal.sales"] == pytest.approx(SIGNALS_WEIGHT)
    assert [weights[name] for name in BEHAVIOR] == [0.0, 0.0]
