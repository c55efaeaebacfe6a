"""Differences between the answers of two services."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.answers import Difference, differences


def answer(score: float = 1.5, **members: Any) -> dict[str, Any]:
    facet = {"values": [{"value": "red", "count": 2}], "n_values": 1}
    return {"hits": [{"id": "a", "score": score}], "total": 1, "facets": {"colour": facet}, "took_ms": 1.0, **members}


def test_equal_answers_have_no_difference_whatever_else_they_carry() -> None:
    assert differences("shoe", answer(), answer(took_ms=9.0, new_member=True)) == []
    assert differences("shoe", answer(facets=None), answer(facets={})) == []


@pytest.mark.parametrize(
    ("member", "other", "value"),
    [
        ("scores", answer(score=1.5000000001), [1.5000000001]),
        ("total", answer(total=2), 2),
        ("facets", answer(facets={"colour": {"values": [{"value": "red", "count": 3}]}}), {"colour": [["red", 3]]}),
    ],
)
def test_the_smallest_difference_is_found(member: str, other: dict[str, Any], value: object) -> None:
    (difference,) = differences("shoe", answer(), other)
    assert (difference.query, difference.member, difference.other) == ("shoe", member, value)


def test_other_hits_differ_in_ids() -> None:
    other = answer(hits=[{"id": "b", "score": 1.5}])
    assert differences("shoe", answer(), other) == [Difference("shoe", "ids", ["a"], ["b"])]
