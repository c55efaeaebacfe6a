"""Values of attributes: equality, order, and what texts are read as."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.engines.values import (
    AttributeValue,
    Number,
    Reading,
    canonical_number,
    collation_key,
    equal_keys,
    is_number_text,
    kinds_of,
    number_key,
    number_text,
    parse_number,
    read_text,
    value_key,
)

NUMBERS = st.one_of(
    st.integers(-(10**20), 10**20),
    st.integers(2**53 - 3, 2**53 + 3),
    st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300),
)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1299", 1299.0),
        ("12.5", 12.5),
        ("1,299.00 €", 1299.0),
        ("1.299,00 EUR", 1299.0),
        ("€ 99,90", 99.9),
        ("1 299,00 kr", 1299.0),
        ("CHF 1'299.50", 1299.5),
        ("US$ 20", 20.0),
        ("$-5", -5.0),
        ("99,- €", 99.0),
        # It may be 1299 or 1.299.
        ("1.299", None),
        # Money has no three decimals.
        ("1.299 €", 1299.0),
        ("-1,299 USD", -1299.0),
        ("007", None),
        ("12-14", None),
        ("1.2.3", None),
        ("12 kg", None),
        ("free", None),
    ],
)
def test_amounts_are_read_where_they_can_mean_one_number_only(text: str, amount: float | None) -> None:
    assert read_text(text).amount == amount


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-12-31", (2026, 12, 31)),
        ("31.12.2026", (2026, 12, 31)),
        ("1.2.2026", (2026, 2, 1)),
        ("12/31/2026", (2026, 12, 31)),
        ("31/12/2026", (2026, 12, 31)),
        ("2/2/2026", (2026, 2, 2)),
        ("2026/12/31", (2026, 12, 31)),
        # It may be in March or in April.
        ("3/4/2026", None),
        ("31.13.2026", None),
        ("31.12.26", None),
        ("3.10", None),
    ],
)
def test_dates_are_read_where_they_can_mean_one_day_only(text: str, day: tuple[int, int, int] | None) -> None:
    assert read_text(text).moment == (datetime(*day, tzinfo=UTC).timestamp() if day else None)


def test_yes_and_no_are_read_in_some_languages() -> None:
    assert [read_text(text).truth for text in ("yes", "TRUE", "Ja", "no", "false", "nein", "maybe", "1")] == [
        *[True] * 3,
        *[False] * 3,
        None,
        None,
    ]


def test_equal_values_have_one_key() -> None:
    assert value_key("Red") == value_key("RED") != value_key("Reds")
    assert value_key("Straße") == value_key("STRASSE")
    assert value_key("Café") == value_key("Cafe\u0301") != value_key("Cafe")
    assert value_key(7) == value_key("7") == value_key(canonical_number(7.0))
    assert len({value_key(value) for value in ("007", "7.0", "3.10", "3.1", 7)}) == 5
    assert len({value_key(number) for number in (2**53, 2**53 + 1, 2**53 + 2)}) == 3


def test_a_filter_names_a_number_in_any_way_unless_there_are_texts() -> None:
    assert equal_keys("7.0", {"number"}) == ["7.0", "7"]
    assert equal_keys("7.0", {"number", "text", "no truth"}) == ["7.0"]
    assert equal_keys("9007199254740993", {"number"})[-1] == "9007199254740993"
    assert set(equal_keys("true", kinds_of("yes"))) >= {"true", "yes"}
    assert equal_keys("true", {*kinds_of("yes"), *kinds_of("maybe")}) == ["true"]


def test_how_texts_are_read_depends_on_all_of_them() -> None:
    def reading(*values: AttributeValue) -> Reading:
        return Reading.of_kinds({kind for value in values for kind in kinds_of(value)})

    assert reading("1,299.00 €", "99,90 €", 12.5).amounts
    assert reading("31.12.2026", "2026-01-01").dates
    assert reading("yes", "no", "true").truths
    plain: list[tuple[AttributeValue, ...]] = [
        ("1,299.00 €", "call us"),
        ("31.12.2026", "soon"),
        ("yes", "maybe"),
        (1, 2.5),
        ("1.299", "1"),
    ]
    assert not any(any(reading(*values)) for values in plain)


@given(st.lists(NUMBERS, min_size=2, max_size=8))
def test_the_keys_of_numbers_order_as_they_do(numbers: list[Number]) -> None:
    for a, b in itertools.combinations(map(canonical_number, numbers), 2):
        assert (number_key(a) < number_key(b), number_key(a) == number_key(b)) == (a < b, a == b)


@given(NUMBERS)
def test_a_number_is_read_back_as_it_is_written(number: Number) -> None:
    text = number_text(canonical_number(number))
    parsed = parse_number(text)
    assert is_number_text(text) == text[-1].isdigit() or "e" in text
    assert parsed is not None
    assert number_text(parsed) == text


def test_numbers_are_written_as_people_write_them() -> None:
    assert [number_text(number) for number in (3.0, 2.5, -1, 1e16, 10**30)] == [
        "3",
        "2.5",
        "-1",
        "10000000000000000",
        "1e+30",
    ]
    assert [parse_number(text) for text in ("2.5", "red", "nan", "9007199254740993")] == [2.5, None, None, 2**53 + 1]


def test_texts_order_by_collation_without_regard_to_case() -> None:
    texts = ["_x", "10", "Apfel", "äpfel", "éclair", "eclipse", "Zulu"]
    assert sorted(texts, key=collation_key) == texts
    assert collation_key("Red") == collation_key("rED")
