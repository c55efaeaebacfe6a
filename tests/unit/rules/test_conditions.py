"""Which searches meet conditions."""

from __future__ import annotations

from typing import Any

import pytest

from events.rules import (
    Conditions,
    QueryPattern,
    Rule,
)
from searchsvc.rules.conditions import SearchContext
from tests.rules import BANNER, context_of, fired_ids, rulebook, when


@pytest.mark.parametrize(
    ("condition", "meet", "miss"),
    [
        (
            when("hp printer", "exact"),
            ["HP printers", "hp-printer"],
            ["printer hp", "hp printer ink", "hp", ""],
        ),
        (when("", "exact"), [""], ["hp"]),
        (when("hp printer", "starts"), ["hp printer", "hp printers cheap"], ["new hp printer", "hp", ""]),
        (
            when("hp printer", "contains"),
            ["hp printer", "new hp printer ink"],
            ["hp ink printer", "printer hp"],
        ),
        (when("hp printer", "all_words"), ["printer by hp", "hp ink printer"], ["hp", "printer", ""]),
        (when("café", "contains"), ["CAFE noir"], ["caf"]),
        (
            Conditions(query=(QueryPattern("exact", "tv"), QueryPattern("contains", "television"))),
            ["tv", "flat televisions"],
            ["tv stand"],
        ),
        (Conditions(), ["anything", ""], []),
    ],
)
def test_a_pattern_matches_queries_by_its_type(condition: Conditions, meet: list[str], miss: list[str]) -> None:
    rules = rulebook(r=Rule((BANNER,), conditions=condition))
    assert [query for query in [*meet, *miss] if fired_ids(rules, context_of(query))] == meet


@pytest.mark.parametrize(
    ("condition", "meet", "miss"),
    [
        (when(context=("mobile", "sale")), {"context": ["sale", "mobile", "x"]}, {"context": ["mobile"]}),
        (when(user_segment="trade"), {"user_segment": "trade"}, {"user_segment": "private"}),
        (when(experiment="look/b"), {"experiment": "look/b"}, {"experiment": "look/a"}),
    ],
)
def test_tags_segments_and_experiments_are_compared_with_the_search(
    condition: Conditions, meet: dict[str, Any], miss: dict[str, Any]
) -> None:
    rules = rulebook(r=Rule((BANNER,), conditions=condition))
    assert fired_ids(rules, context_of("x", **meet)) == ["r"]
    assert fired_ids(rules, context_of("x", **miss)) == []
    assert fired_ids(rules, context_of("x")) == []


def test_all_conditions_must_hold_and_a_pattern_needs_a_query() -> None:
    rules = rulebook(r=Rule((BANNER,), conditions=when("printer", context=("mobile",))))
    assert fired_ids(rules, context_of("printer", context=["mobile"])) == ["r"]
    assert fired_ids(rules, context_of("printer")) == []
    assert fired_ids(rules, context_of("ink", context=["mobile"])) == []
    assert fired_ids(rules, SearchContext((), frozenset(["mobile"]))) == []
