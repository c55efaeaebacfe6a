"""Rules in words."""

from __future__ import annotations

import pytest

from events.rules import (
    Action,
    BoostAction,
    BuryAction,
    Conditions,
    FilterAction,
    HideAction,
    PinAction,
    RedirectAction,
    RemoveWordsAction,
    ReplaceWordsAction,
    SynonymAction,
)
from searchsvc.cli.rule_text import describe_action, describe_conditions, describe_cost, describe_effect
from searchsvc.rules.cost_checks import RuleCost
from searchsvc.rules.directives import Effect


@pytest.mark.parametrize(
    ("action", "text"),
    [
        (SynonymAction(words=("laptop", "notebook")), "laptop = notebook"),
        (SynonymAction(of=("tv",), to=("soundbar",)), "tv → soundbar"),
        (PinAction("42", 1), "pin 42 at 1"),
        (HideAction("42"), "hide 42"),
        (HideAction(filter="brand:x"), "hide brand:x"),
        (BoostAction(factor=1.5, filter="supplier:HP"), "boost x 1.5 of supplier:HP"),
        (BuryAction(factor=0.5), "bury x 0.5"),
        (FilterAction("stock:true"), "filter stock:true"),
        (ReplaceWordsAction(of="tv", to="television"), "tv → television"),
        (RemoveWordsAction(("cheap", "best")), "without cheap, best"),
        (RedirectAction("/sale"), "redirect to /sale"),
    ],
)
def test_each_action_is_one_phrase(action: Action, text: str) -> None:
    assert describe_action(action) == text


def test_conditions_are_listed_and_a_rule_without_any_fires_always() -> None:
    assert describe_conditions(Conditions()) == "always"
    conditions = Conditions(context=("mobile",), filters="brand:x", user_segment="trade")
    assert describe_conditions(conditions) == "context mobile; filters brand:x; user_segment trade"


def test_a_cost_is_told_with_what_it_may_be() -> None:
    assert describe_cost(RuleCost(120, 500, 0, 100)) == "a search that just meets it costs 120 of 500"
    assert describe_cost(RuleCost(0, 500, 7, 100)) == "a phrase has 7 of 100 words of synonyms"
    assert describe_cost(RuleCost(1, 500, 7, 100)).count("; ") == 1
    assert describe_cost(RuleCost(0, 500, 0, 100)) == "it costs searches nothing"


def test_an_effect_names_only_what_it_did() -> None:
    assert describe_effect(Effect("r", "pin", document_id="42", rank=1)) == "42 rank 1"
    assert describe_effect(Effect("r", "boost", factor=1.5, n_candidates=3)) == "x 1.5 3 candidates"
