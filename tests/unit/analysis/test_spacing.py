"""Spaces say what belongs together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.analysis.spacing import spaced


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"iphone 15"', '"iphone 15 '),
        ("Bob “Highway 61” live", "Bob “Highway 61  live"),
        ('a 17" monitor', 'a 17" monitor'),
        ('a 17 " monitor', 'a 17-" monitor'),
        ('24" "wide 16" 9"', '24" "wide 16  9"'),
        ("1 1/2 inch", "1-1/2 inch"),
        ("1 ½ inch", "1-½ inch"),
        ("1\u00a0500 m", "1’500 m"),
        ("12345\u00a0678", "12345\u00a0678"),
    ],
)
def test_what_is_one_number_has_no_space_and_a_closing_quote_is_one(text: str, expected: str) -> None:
    assert spaced(text) == expected


@given(st.text(max_size=80))
def test_no_character_moves(text: str) -> None:
    assert len(spaced(text)) == len(text)
