"""Which weights and limits are allowed."""

from __future__ import annotations

import math

import pytest

from events.errors import InvalidInput
from tuning.weights import check_limits, check_weights


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 100.1, -100.1])
def test_weights_out_of_range_are_refused(value: float) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_weights({"a": 1.0, "b": value}, {"a": 0.0, "b": 0.0}, {})
    assert refused.value.field == "weights.b"


def test_a_weight_is_known_and_within_its_bounds() -> None:
    in_force = {"a": 1.0, "b": 1.0}
    check_weights({"a": 2.0, "b": 50.0}, in_force, {"a": (0.0, 2.0)})
    for weights, field in (
        ({"a": 2.1}, "weights.a"),
        ({"a": -0.1}, "weights.a"),
        ({"c": 1.0}, "weights.c"),
        ({}, "weights"),
    ):
        with pytest.raises(InvalidInput) as refused:
            check_weights(weights, in_force, {"a": (0.0, 2.0)})
        assert refused.value.field == field


@pytest.mark.parametrize(
    ("bounds", "locks", "field"),
    [
        ({"nope": (0.0, 1.0)}, {}, "bounds.nope"),
        ({}, {"nope": True}, "locks.nope"),
        ({"a": (2.0, 1.0)}, {}, "bounds.a"),
        ({"a": (0.0, math.inf)}, {}, "bounds.a"),
        ({"a": (-200.0, 1.0)}, {}, "bounds.a"),
        ({"a": (2.0, 3.0)}, {}, "bounds.a"),
    ],
)
def test_invalid_limits_are_refused_by_field(
    bounds: dict[str, tuple[float, float] | None], locks: dict[str, bool], field: str
) -> None:
    check_limits({"a": (1.0, 1.0), "b": None}, {"a": True}, {"a": 1.0, "b": 1.0})
    with pytest.raises(InvalidInput) as refused:
        check_limits(bounds, locks, {"a": 1.0, "b": 1.0})
    assert refused.value.field == field
