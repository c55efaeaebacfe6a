"""Rules that would make searches cost too much."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest

from events.errors import InvalidInput
from events.rules import Conditions, HideAction, Rule, SynonymAction
from searchsvc.rules.cost_checks import RuleCost, check_costs, cost_of
from searchsvc.rules.costs import MAX_SEARCH_COST, MAX_SYNONYM_WORDS
from searchsvc.rules.rulebook import Rulebook
from tests.factories import NOW
from tests.rules import made_up_words, rulebook, stored_rule, when

SHOE = when("shoe")


def costing(cost: int, conditions: Conditions = SHOE) -> Rule:
    return Rule(tuple(HideAction(f"d{i}") for i in range(cost)), conditions=conditions)


def synonyms(n_words: int, of: str = "shoe", prefix: str = "w") -> Rule:
    return Rule((SynonymAction(of=(of,), to=made_up_words(prefix, n_words)),))


def check(rules: Mapping[str, Rule], written: str, before: Mapping[str, Rule] | None = None) -> None:
    """Check one of some rules. before: the rules without it; None for the others"""
    others = {name: rule for name, rule in rules.items() if name != written}
    check_costs(stored_rule(written, rules[written]), rulebook(**(others if before is None else before)), book(rules))


def book(rules: Mapping[str, Rule]) -> Rulebook:
    return rulebook(**rules)


@pytest.mark.parametrize(
    "other",
    [
        costing(MAX_SEARCH_COST - 10),
        costing(MAX_SEARCH_COST - 10, Conditions()),
        costing(MAX_SEARCH_COST - 10, when("red shoes", "all_words")),
    ],
    ids=["the same words", "every search", "one of several patterns"],
)
def test_the_rules_that_fire_for_one_search_may_cost_so_much_and_no_more(other: Rule) -> None:
    new_conditions = Conditions(query=(*SHOE.patterns, *when("a red shoe", "exact").patterns))
    check({"new": costing(10, new_conditions), "other": other}, "new")
    with pytest.raises(InvalidInput, match="with rule new, a search that just meets it costs 501") as refused:
        check({"new": costing(11, new_conditions), "other": other}, "new")
    assert (refused.value.field, refused.value.value) == ("actions", MAX_SEARCH_COST + 1)
    assert str(refused.value.limit).startswith(f"at most {MAX_SEARCH_COST}")


def test_rules_that_no_search_meets_together_do_not_add_up() -> None:
    most = costing(MAX_SEARCH_COST)
    check({"new": most, "other": costing(MAX_SEARCH_COST, when("boot"))}, "new")
    check({"new": most, "other": msgspec.structs.replace(most, enabled=False)}, "new")
    check(
        {"new": msgspec.structs.replace(most, valid_from=NOW), "other": msgspec.structs.replace(most, valid_until=NOW)},
        "new",
    )
    check({"new": msgspec.structs.replace(most, enabled=False), "other": most}, "new")


def test_a_rule_that_costs_too_much_already_may_be_made_cheaper() -> None:
    check({"r": costing(600)}, "r", {"r": costing(700)})
    with pytest.raises(InvalidInput):
        check({"r": costing(601)}, "r", {"r": costing(600)})
    check({"r": synonyms(200)}, "r", {"r": synonyms(300)})
    with pytest.raises(InvalidInput):
        check({"r": synonyms(201)}, "r", {"r": synonyms(200)})


def test_the_synonyms_of_a_phrase_may_have_so_many_words_and_no_more() -> None:
    other = synonyms(MAX_SYNONYM_WORDS - 10)
    check({"new": synonyms(10, prefix="v"), "other": other}, "new")
    with pytest.raises(InvalidInput, match=r"with rule new, actions\[0\]\.from\[0\] 'shoe' has 101 words") as refused:
        check({"new": synonyms(11, prefix="v"), "other": other}, "new")
    assert (refused.value.field, refused.value.value) == ("actions[0].from[0]", MAX_SYNONYM_WORDS + 1)
    assert str(refused.value.limit).startswith(f"at most {MAX_SYNONYM_WORDS} words")
    # The same synonym of two rules is looked up once.
    check({"new": synonyms(MAX_SYNONYM_WORDS), "other": other}, "new")
    check({"new": synonyms(11, of="boot", prefix="v"), "other": other}, "new")


def test_words_of_phrases_count_for_each_word_that_they_stand_for() -> None:
    check({"new": synonyms(50, of="red shoe")}, "new")
    with pytest.raises(InvalidInput, match="has 102 words"):
        check({"new": synonyms(51, of="red shoe")}, "new")
    both = Rule((SynonymAction(words=("shoe", *(f"{first} {first}" for first in made_up_words("v", 49)))),))
    with pytest.raises(InvalidInput, match=r"actions\[0\]\.words\[1\] 'vbbo vbbo' has 194 words"):
        check({"new": both}, "new")


def test_the_cost_of_a_rule_is_told_with_its_limits() -> None:
    rules = {"r": costing(3), "other": costing(4, Conditions()), "s": synonyms(5), "t": synonyms(6, prefix="v")}
    assert cost_of(stored_rule("r", rules["r"]), book(rules)) == RuleCost(7, MAX_SEARCH_COST, 0, MAX_SYNONYM_WORDS)
    assert cost_of(stored_rule("s", rules["s"]), book(rules)) == RuleCost(0, MAX_SEARCH_COST, 11, MAX_SYNONYM_WORDS)
