"""Rules whose actions cannot be honoured together."""

from __future__ import annotations

from events.rules import (
    HideAction,
    PinAction,
    RedirectAction,
    Rule,
)
from searchsvc.rules.conflicts import find_conflicts
from tests.factories import NOW
from tests.rules import BANNER, rulebook, stored_rule, when


def test_a_conflict_names_the_other_rule_the_subject_and_the_winner() -> None:
    hp = when("hp")
    rules = rulebook(
        mine=Rule((PinAction("a", 1), PinAction("b", 2), RedirectAction("/x")), conditions=hp),
        ranks=Rule((PinAction("c", 1),), conditions=hp, priority=1),
        document=Rule((PinAction("b", 5),), conditions=hp, priority=-1),
        hides=Rule((HideAction("a"),), conditions=hp),
        elsewhere=Rule((RedirectAction("/y"),), conditions=hp),
        past=Rule((PinAction("d", 1),), conditions=hp, valid_until=NOW),
        others=Rule((PinAction("d", 1),), conditions=when("ink")),
        off=Rule((PinAction("d", 1),), conditions=hp, enabled=False),
        always=Rule((PinAction("e", 1),)),
    )
    later = Rule(rules.rules["mine"].rule.actions, conditions=hp, valid_from=NOW)
    rules = rules.with_rules({**rules.rules, "mine": stored_rule("mine", later, 2)})
    assert {
        (conflict.rule, conflict.subject, conflict.winner) for conflict in find_conflicts(rules.rules["mine"], rules)
    } == {
        ("ranks", "documents a and c at rank 1", "ranks"),
        ("document", "document b at rank 2 and 5", "mine"),
        ("hides", "document a pinned and hidden", "hides"),
        ("elsewhere", "a redirect each", "elsewhere"),
        ("always", "documents a and e at rank 1", "mine"),
    }


def test_of_two_rules_with_the_same_tags_the_one_with_higher_priority_wins() -> None:
    tags = when(context=("mobile", "vip"))
    rules = rulebook(
        other=Rule((BANNER,), conditions=when(context=("mobile",))),
        r1=Rule((PinAction("a", 1),), conditions=tags),
        r2=Rule((PinAction("a", 2),), conditions=tags, priority=10),
    )
    for name, other in (("r1", "r2"), ("r2", "r1")):
        assert [(conflict.rule, conflict.winner) for conflict in find_conflicts(rules.rules[name], rules)] == [
            (other, "r2")
        ]
