"""The lookup finds exactly the conditions that a search meets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from events.rules import Conditions, QueryPattern
from searchsvc.engines.filters import parse_filter
from searchsvc.rules.condition_lookup import ConditionLookup
from searchsvc.rules.conditions import PreparedConditions, SearchContext, filter_conjuncts

WORDS = ("red", "blue", "shoe", "hat")
words = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3)
patterns = st.builds(QueryPattern, st.sampled_from(("exact", "starts", "contains", "all_words")), words.map(" ".join))
conditions = st.builds(
    Conditions,
    query=st.one_of(st.none(), patterns, st.lists(patterns, min_size=1, max_size=3).map(tuple)),
    context=st.sampled_from(((), ("a",), ("a", "b"))),
    scope=st.sampled_from(("", "store:7")),
    filters=st.sampled_from(("", "brand:x", "brand:x AND votes>1")),
    user_segment=st.sampled_from(("", "trade")),
    experiment=st.sampled_from(("", "look/b")),
).map(PreparedConditions.prepare)
named = st.dictionaries(st.sampled_from([f"c{i}" for i in range(8)]), conditions, max_size=8)
contexts = st.builds(
    SearchContext,
    queries=st.lists(words.map(tuple), max_size=2).map(tuple),
    tags=st.sampled_from((frozenset[str](), frozenset({"a"}), frozenset({"a", "b"}))),
    scope=st.sampled_from(("", "store:7", "brand:x")).map(lambda text: filter_conjuncts(parse_filter(text, "scope"))),
    filters=st.sampled_from(("", "brand:x", "votes>1 AND brand:X")).map(
        lambda text: filter_conjuncts(parse_filter(text, "filters"))
    ),
    user_segment=st.sampled_from(("", "trade")),
    experiment=st.sampled_from(("", "look/b")),
)


@given(named, named, contexts)
def test_a_changed_lookup_finds_each_met_condition_once_and_no_other(
    first: dict[str, PreparedConditions], second: dict[str, PreparedConditions], context: SearchContext
) -> None:
    before = ConditionLookup().with_changes((), first)
    lookup = before.with_changes(first.keys(), second)
    assert sorted(lookup.find_met(context)) == sorted(name for name, own in second.items() if own.are_met(context))
    assert sorted(before.find_met(context)) == sorted(name for name, own in first.items() if own.are_met(context))


def test_conditions_that_one_search_can_meet_overlap() -> None:
    texts = {"red": "red", "red_shoe": "red shoe", "blue": "blue"}
    prepared = {
        name: PreparedConditions.prepare(Conditions(query=QueryPattern("contains", text)))
        for name, text in texts.items()
    }
    lookup = ConditionLookup().with_changes((), prepared)
    assert lookup.find_overlapping("red_shoe") == ["red", "red_shoe"]
    assert lookup.get("blue") == prepared["blue"]
