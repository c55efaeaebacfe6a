"""Signals: the value that each transform gives a member."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from events.settings import Signal, Transform
from searchsvc.engines import signals
from searchsvc.indexing.documents import AcceptedDocument, check_signals
from searchsvc.indexing.inference import infer_settings
from tests.factories import SETTINGS

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def value_of(transform: Transform, value: object, scale: float = 1.0, now: datetime = NOW) -> float:
    described = (Signal("x", transform, scale),)
    documents = [{} if value is None else {"x": value}]
    return float(signals.values(described, signals.stored(described, documents), now.timestamp())[0, 0])


@pytest.mark.parametrize(
    ("transform", "value", "scale", "expected"),
    [
        ("identity", 3, 4.0, 0.75),
        ("identity", 9, 4.0, 1.0),
        ("identity", -1, 4.0, 0.0),
        ("log1p", 99, 4.6052, 1.0),
        ("inverse", 0, 50.0, 1.0),
        ("inverse", 50.0, 50.0, 0.5),
        ("inverse", 10**400, 50.0, 0.0),
        ("boolean", True, 1.0, 1.0),
        ("boolean", False, 1.0, 0.0),
        ("boolean", 7, 1.0, 1.0),
        ("boolean", 0, 1.0, 0.0),
    ],
)
def test_each_transform_maps_to_the_unit_interval(
    transform: Transform, value: object, scale: float, expected: float
) -> None:
    assert value_of(transform, value, scale) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("transform", ["identity", "log1p", "inverse", "decay", "boolean"])
def test_a_value_that_is_missing_or_of_another_kind_is_worth_nothing(transform: Transform) -> None:
    assert value_of(transform, None) == value_of(transform, "no date") == value_of(transform, [1]) == 0.0


def test_a_date_is_worth_half_after_each_scale_of_days_and_never_more_than_one() -> None:
    assert value_of("decay", "2026-06-01", 30.0) == pytest.approx(1.0)
    assert value_of("decay", "2026-05-02T00:00:00Z", 30.0) == pytest.approx(0.5, abs=1e-3)
    assert value_of("decay", "2026-05-02", 30.0, NOW + timedelta(days=30)) == pytest.approx(0.25, abs=1e-3)
    assert value_of("decay", "2030-01-01", 30.0) == 1.0


def test_a_value_that_a_signal_cannot_use_is_refused_with_the_kind_it_needs() -> None:
    settings = type(SETTINGS)(
        SETTINGS.searchable, SETTINGS.title, signals=(Signal("released", "decay", 30.0), Signal("in_stock", "boolean"))
    )

    def reason(**members: object) -> str | None:
        refused = check_signals(AcceptedDocument(1, "1", b"{}", {"id": "1", **members}), settings)
        return refused.reason if refused is not None else None

    assert reason(released="2026-01-01", in_stock=True) is None
    assert reason() is None
    assert "must be a date or absent" in str(reason(released=5))
    assert "must be true, false or a number or absent" in str(reason(in_stock="yes"))


def test_stock_is_inferred_from_a_member_named_after_it() -> None:
    documents = [{"id": str(i), "title": f"a red shoe {i}", "in_stock": i % 2 == 0, "wireless": True} for i in range(9)]
    assert infer_settings(documents).signals == (Signal("in_stock", "boolean"),)
