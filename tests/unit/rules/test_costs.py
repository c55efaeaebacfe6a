"""What an action costs a search."""

from __future__ import annotations

import pytest

from events.rules import (
    Action,
    BoostAction,
    FilterAction,
    HideAction,
    PinAction,
    RedirectAction,
    RemoveWordsAction,
    ReplaceWordsAction,
    Rule,
    SynonymAction,
    UserDataAction,
)
from searchsvc.rules.costs import n_synonym_pairs
from searchsvc.rules.rulebook import PreparedRule
from tests.rules import stored_rule


@pytest.mark.parametrize(
    ("action", "cost"),
    [
        (PinAction("a", 1), 1),
        (HideAction("a"), 1),
        (HideAction(filter="brand:Ab AND NOT (price>3 OR tags:x)"), 3),
        (BoostAction(2.0), 1),
        (BoostAction(2.0, "brand:Ab"), 1),
        (FilterAction("price>1 AND price<3"), 2),
        # Every ten values of one comparison count as one.
        (BoostAction(2.0, {"field": "brand", "is": [str(i) for i in range(10)]}), 1),
        (BoostAction(2.0, {"field": "brand", "is": [str(i) for i in range(11)]}), 2),
        (ReplaceWordsAction("shoe", of="boot"), 1),
        (RemoveWordsAction(("a", "b", "c")), 3),
        (RedirectAction("/sale"), 1),
        (UserDataAction("x" * 1021), 1),
        (UserDataAction("x" * 1022), 2),
        (SynonymAction(words=("a", "b")), 0),
    ],
)
def test_an_action_costs_what_it_makes_a_search_compare(action: Action, cost: int) -> None:
    assert PreparedRule.prepare(stored_rule("r", Rule((action,)))).cost == cost


def test_a_rule_costs_as_much_as_its_actions() -> None:
    rule = Rule((PinAction("a", 1), FilterAction("price>1 AND price<3"), SynonymAction(words=("a", "b"))))
    assert PreparedRule.prepare(stored_rule("r", rule)).cost == 3


def test_synonym_pairs_are_those_of_enabled_rules() -> None:
    both, one_way = SynonymAction(words=("a", "b", "c")), SynonymAction(of=("a", "b"), to=("c", "d", "e"))
    assert n_synonym_pairs([Rule((both, one_way, PinAction("a", 1))), Rule((both,), enabled=False)]) == 12
