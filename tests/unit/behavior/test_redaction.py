"""Which e-mail addresses and telephone numbers are redacted, and which queries stay."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.behavior.redaction import redacted


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("write to Anna.Muster+x@mail.example.com please", "write to [e-mail] please"),
        ("call +41 44 123 45 67", "call [phone]"),
        ("0041 44 123 45 67 shoes", "[phone] shoes"),
        ("044 123 45 67", "[phone]"),
        ("(555) 123-4567", "[phone]"),
        ("555-123-4567", "[phone]"),
        ("030/1234567", "[phone]"),
        ("06.12.34.56.78", "[phone]"),
        ("555 123 4567", "[phone]"),
        ("tel.+41 44 123 45 67", "tel.[phone]"),
        ("+4915112345678", "[phone]"),
    ],
)
def test_addresses_and_numbers_are_redacted(typed: str, expected: str) -> None:
    assert redacted(typed) == expected


@pytest.mark.parametrize(
    "typed",
    [
        "hp ce505a toner",
        "4006381333931",
        "0012345678905",
        "iphone 15 128gb",
        "movies of 1994",
        "60w e27 led 2700k",
        "3,5 inch 1000 GB",
        "lego 10251",
        "samsung ue55-ku6000 2016-2017",
        "10 x 15 x 20 cm",
        "a@b",
        "size 41 / 42 / 43",
        "usb 3.0 100-240v",
    ],
)
def test_queries_that_shops_are_searched_by_stay(typed: str) -> None:
    assert redacted(typed) == typed


@given(st.text(max_size=200))
def test_redacting_twice_equals_redacting_once(text: str) -> None:
    assert redacted(redacted(text)) == redacted(text)
