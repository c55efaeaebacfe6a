"""Numbers as shops write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.analysis.numbers import Number, read_fraction, read_number


@pytest.mark.parametrize(
    ("text", "word", "value", "also"),
    [
        ("15", "15", "15", ""),
        ("007", "007", "007", ""),
        ("1.5", "1.5", "1.5", ""),
        ("1,5", "1.5", "1.5", ""),
        ("1.50", "1.5", "1.5", ""),
        (".75", "0.75", "0.75", ""),
        ("3.0", "3.0", "3", ""),
        ("1,000", "1000", "1000", ""),
        ("1,000.00", "1000", "1000", ""),
        ("1.000,50", "1000.5", "1000.5", ""),
        ("1'234'567.8", "1234567.8", "1234567.8", ""),
        ("1.000.000", "1000000", "1000000", ""),
        ("3.500", "3.5", "3.5", "3500"),
        ("0.500", "0.5", "0.5", ""),
        ("٤٢", "42", "42", ""),
        ("١٬٠٠٠٫٥", "1000.5", "1000.5", ""),
    ],
)
def test_a_number_is_one_word(text: str, word: str, value: str, also: str) -> None:
    assert read_number(text) == Number(word, value, also)


@pytest.mark.parametrize("text", ["1.2.3", "31.12.2026", "36,37,38", "5'11", "1.000,5,5", "12,34.5"])
def test_several_numbers_are_none(text: str) -> None:
    assert read_number(text) is None


@pytest.mark.parametrize(
    ("text", "word"),
    [("½", "0.5"), ("1/2", "0.5"), ("2/4", "0.5"), ("3/4", "0.75"), ("1-1/2", "1.5"), ("1½", "1.5"), ("⅓", "1/3")],
)
def test_a_fraction_is_a_number(text: str, word: str) -> None:
    number = read_fraction(text)
    assert number is not None
    assert number.word == word


@pytest.mark.parametrize("text", ["24/7", "16/9", "0/5"])
def test_what_is_no_part_of_one_is_no_fraction(text: str) -> None:
    assert read_fraction(text) is None


@given(st.integers(1, 10**9), st.integers(0, 999))
def test_every_way_to_write_a_number_is_the_same_word(whole: int, thousandths: int) -> None:
    decimals = f"{thousandths:03}9"
    grouped = f"{whole:,}"
    german, swiss = grouped.replace(",", "."), grouped.replace(",", "'")
    texts = (f"{whole}.{decimals}", f"{grouped}.{decimals}", f"{german},{decimals}", f"{swiss}.{decimals}")
    assert len({number.word for text in texts if (number := read_number(text))}) == 1
