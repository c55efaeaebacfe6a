"""Which rules are valid by themselves."""

from __future__ import annotations

import math
from datetime import datetime

import pytest

from events.errors import InvalidInput
from events.rule_checks import check_rule
from events.rules import (
    BoostAction,
    BuryAction,
    Conditions,
    FilterAction,
    HideAction,
    PinAction,
    QueryPattern,
    RedirectAction,
    RemoveWordsAction,
    ReplaceWordsAction,
    Rule,
    UserDataAction,
)
from tests.factories import NOW
from tests.rules import BANNER, HOUR, when


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        (Rule(()), "actions"),
        (Rule((BANNER,), priority=9999), "priority"),
        (Rule((BANNER,), valid_from=NOW, valid_until=NOW - HOUR), "valid_until"),
        (Rule((BANNER,), valid_from=datetime(2026, 1, 1)), "valid_from"),  # noqa: DTZ001
        (Rule((BANNER,), conditions=when("x" * 10_000)), "conditions.query.text"),
        (Rule((BANNER,), conditions=when("", "contains")), "conditions.query.text"),
        (Rule((BANNER,), conditions=Conditions(query=(QueryPattern("exact", "x"),) * 26)), "conditions.query"),
        (Rule((BANNER,), conditions=Conditions(query=())), "conditions.query"),
        (Rule((BANNER,), conditions=Conditions(query=(QueryPattern("starts", " "),))), "conditions.query[0].text"),
        (Rule((BANNER,), conditions=when(context=("",))), "conditions.context[0]"),
        (Rule((BANNER,), conditions=when(user_segment="x" * 200)), "conditions.user_segment"),
        (Rule((BANNER, PinAction("a", 1)), conditions=when(filters="brand:Ab")), "actions[1].type"),
        (Rule((HideAction("a"),), conditions=when(filters="brand:Ab")), "actions[0].type"),
        (Rule((FilterAction("brand:Ab"),), conditions=when(filters="brand:Ab")), "actions[0].type"),
        (Rule((RemoveWordsAction(("x",)),), conditions=when(filters="brand:Ab")), "actions[0].type"),
        (Rule((PinAction("a", 0),)), "actions[0].rank"),
        (Rule((PinAction("", 1),)), "actions[0].document_id"),
        (Rule((PinAction("a", 1), PinAction("b", 1))), "actions[1].rank"),
        (Rule((PinAction("a", 1), PinAction("a", 2))), "actions[1].document_id"),
        (Rule((PinAction("a", 1), HideAction("a"))), "actions[0].document_id"),
        (Rule((HideAction(),)), "actions[0]"),
        (Rule((HideAction("a", "brand:x"),)), "actions[0]"),
        (Rule((BoostAction(math.inf, "brand:Ab"),)), "actions[0].factor"),
        (Rule((BoostAction(math.nan, "brand:Ab"),)), "actions[0].factor"),
        (Rule((BoostAction(0.0, "brand:Ab"),)), "actions[0].factor"),
        (Rule((BuryAction(1.5, "brand:Ab"),)), "actions[0].factor"),
        (Rule((FilterAction(""),)), "actions[0].filter"),
        (Rule((RedirectAction("javascript:alert(1)"),)), "actions[0].url"),
        (Rule((RedirectAction("/a"), RedirectAction("/b"))), "actions[1].type"),
        (Rule((RemoveWordsAction(()),)), "actions[0].words"),
        (Rule((ReplaceWordsAction(""),)), "actions[0].to"),
        (Rule((UserDataAction("x" * 20_000),)), "actions[0].data"),
        (Rule((BANNER,) * 301), "actions"),
    ],
)
def test_an_invalid_rule_is_refused_and_the_error_names_the_member(rule: Rule, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_rule(rule)
    assert refused.value.field == field
    assert refused.value.limit
