"""What is published about documents, and when again."""

from __future__ import annotations

import msgspec
import pytest

from tuning.online.published import MAX_CHANGED, REVISITED, PublishedValues

LAMP = ("lamp", "d1")


@pytest.mark.parametrize(
    ("value", "published"),
    [
        ((1.105, 0.5), False),
        ((1.12, 0.5), True),
        ((1.1, 0.55), False),
        ((1.1, 0.65), True),
        ((1.0, 0.5), True),
        ((1.1, 0.0), True),
        (None, True),
    ],
)
def test_a_value_is_published_where_it_differs_enough(value: tuple[float, float] | None, published: bool) -> None:
    values = PublishedValues()
    assert values.update(LAMP, (1.1, 0.5))
    assert values.update(LAMP, value) is published


def test_an_unknown_document_is_published_only_where_serving_may_hold_a_value() -> None:
    values = PublishedValues()
    assert not values.update(LAMP, None)
    values.mark_unconfirmed([LAMP])
    assert values.next_keys() == [LAMP]
    assert values.update(LAMP, None)
    assert not values.update(LAMP, None)


def test_a_turn_examines_changed_values_first_and_some_others_in_turn() -> None:
    values = PublishedValues()
    old = [("", f"d{number}") for number in range(REVISITED + 5)]
    for key in old:
        values.update(key, (1.1, 0.5))
    values.mark_changed(("", f"new{number}") for number in range(MAX_CHANGED + 1))
    first, second = values.next_keys(), values.next_keys()
    assert len(first) == MAX_CHANGED + REVISITED
    assert second[0] == ("", f"new{MAX_CHANGED}")
    assert first[MAX_CHANGED:] == old[:REVISITED]
    assert second[1:6] == old[REVISITED:]


def test_restored_values_are_published_again() -> None:
    values, restored = PublishedValues(), PublishedValues()
    values.update(LAMP, (1.1, 0.5))
    values.mark_unconfirmed([("", "d2")])
    restored.restore(msgspec.msgpack.encode(values.parts()))
    assert restored.values == values.values
    assert set(restored.next_keys()) == {LAMP, ("", "d2")}
    assert restored.update(LAMP, (1.1, 0.5))
    assert not restored.update(LAMP, (1.1, 0.5))
