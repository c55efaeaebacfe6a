"""The words of `weights set`."""

from __future__ import annotations

import math

import pytest
import rich_click as click

from searchsvc.cli.weights import parse_assignments


def test_assignments_are_names_and_numbers() -> None:
    assert parse_assignments(("bm25.title=4", "cosine=-1.5", "a=b=2")) == {
        "bm25.title": 4.0,
        "cosine": -1.5,
        "a=b": 2.0,
    }


def test_what_only_the_service_can_refuse_is_passed_on() -> None:
    weights = parse_assignments(("cosine=nan", "bm25.title=inf"))
    assert math.isnan(weights["cosine"])
    assert math.isinf(weights["bm25.title"])


@pytest.mark.parametrize("word", ["cosine", "cosine=", "cosine=high"])
def test_a_word_that_is_no_assignment_is_named(word: str) -> None:
    with pytest.raises(click.BadParameter, match=f"'{word}' is not NAME=NUMBER"):
        parse_assignments((word,))
