"""Units: a number with its unit as one word, and the same quantity in other units."""

from __future__ import annotations

import pytest

from searchsvc.analysis.units import in_other_units, measure_of


@pytest.mark.parametrize(
    ("number", "unit", "is_negative", "expected"),
    [
        ("17", "inches", False, "17inch"),
        ("5", "m2", False, "5m2"),
        ("18", "celsius", True, "-18°c"),
        # A hyphen before other units is no minus: a cable of 1-5 m.
        ("5", "metres", True, "5m"),
    ],
)
def test_a_number_and_its_unit_are_one_word(number: str, unit: str, is_negative: bool, expected: str) -> None:
    assert measure_of(number, unit, is_negative=is_negative) == expected


@pytest.mark.parametrize(
    ("text", "some"),
    [
        ("1tb", ["1000gb", "1024gb", "1000000mb"]),
        ("1024gb", ["1tb"]),
        ("1000gb", ["1tb"]),
        ("0.5tb", ["500gb", "512gb"]),
        ("256gb", ["0.25tb"]),
        ("5m", ["500cm", "5000mm"]),
        ("2.54cm", ["25.4mm"]),
        ("75cl", ["0.75l", "750ml"]),
        ("1.5kg", ["1500g"]),
        ("2.4ghz", ["2400mhz"]),
    ],
)
def test_a_quantity_in_other_units(text: str, some: list[str]) -> None:
    assert set(some) <= set(in_other_units(text))


@pytest.mark.parametrize("text", ["", "17inch", "-18°c", "5m2", "5x10cm", "1tb2", "gb", "1" * 400 + "tb", "60fps"])
def test_what_has_no_other_units(text: str) -> None:
    assert in_other_units(text) == []


def test_what_nobody_writes_is_left_out() -> None:
    assert in_other_units("1mm") == ["0.1cm", "0.001m"]
