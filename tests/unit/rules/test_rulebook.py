"""Which rules fire, and in which order."""

from __future__ import annotations

import msgspec
import pytest

from events.rules import (
    Conditions,
    QueryPattern,
    Rule,
    SynonymAction,
)
from searchsvc.rules.rulebook import Rulebook, Rulebooks
from tests.factories import NOW, index_after
from tests.rules import BANNER, HOUR, context_of, fired_ids, rulebook, stored_rule, when


def test_a_rule_fires_from_its_beginning_until_its_end() -> None:
    rule = Rule((BANNER,), valid_from=NOW, valid_until=NOW + HOUR)
    fires = [
        bool(fired_ids(rulebook(r=rule), context_of(), now)) for now in (NOW - HOUR, NOW, NOW + HOUR / 2, NOW + HOUR)
    ]
    assert fires == [False, True, True, False]
    assert fired_ids(rulebook(r=msgspec.structs.replace(rule, enabled=False)), context_of(), NOW) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Rule((BANNER,), priority=1), Rule((BANNER,), conditions=when("hp printer", "exact"))),
        (
            Rule((BANNER,), conditions=when("hp printer", "exact")),
            Rule((BANNER,), conditions=when("hp", "starts")),
        ),
        (
            Rule((BANNER,), conditions=when("hp", "starts")),
            Rule((BANNER,), conditions=when("hp printer")),
        ),
        (
            Rule((BANNER,), conditions=when("hp")),
            Rule((BANNER,), conditions=when("hp printer", "all_words")),
        ),
        (Rule((BANNER,), conditions=when("hp", "all_words")), Rule((BANNER,))),
        (Rule((BANNER,), conditions=when("hp printer")), Rule((BANNER,), conditions=when("hp"))),
        (
            Rule((BANNER,), conditions=when(context=("a", "b"))),
            Rule((BANNER,), conditions=when(context=("a",))),
        ),
        (Rule((BANNER,)), Rule((BANNER,), priority=-1)),
    ],
    ids=[
        "the higher priority",
        "exact before starts",
        "starts before contains",
        "contains before all words",
        "all words before none",
        "the longer pattern",
        "more conditions",
        "a priority below the default",
    ],
)
def test_the_more_specific_rule_goes_first(first: Rule, second: Rule) -> None:
    context = context_of("hp printer", context=["a", "b"])
    # The ids make no difference.
    assert fired_ids(rulebook(z=first, a=second), context) == ["z", "a"]
    assert fired_ids(rulebook(a=first, z=second), context) == ["a", "z"]


def test_equally_specific_rules_are_ordered_by_id() -> None:
    assert fired_ids(rulebook(b=Rule((BANNER,)), a=Rule((BANNER,))), context_of()) == ["a", "b"]


def test_each_of_several_patterns_matches_by_its_own_type() -> None:
    mixed = Conditions(query=(QueryPattern("exact", "hp"), QueryPattern("all_words", "hp printer")))
    others = {f"o{i}": Rule((BANNER,), conditions=when("printer", "all_words")) for i in range(3)}
    rules = rulebook(mixed=Rule((BANNER,), conditions=mixed), **others)
    assert "mixed" not in fired_ids(rules, context_of("hp laptop"))
    assert all("mixed" in fired_ids(rules, context_of(query)) for query in ("hp", "printer by hp"))


def test_a_changed_book_fires_the_same_rules_as_a_new_one() -> None:
    first = {
        f"r{i}": stored_rule(f"r{i}", Rule((BANNER,), conditions=when(f"word{i % 7} x", "all_words")))
        for i in range(50)
    }
    later = {name: rule for name, rule in first.items() if int(name[1:]) % 3}
    later["r1"] = stored_rule("r1", Rule((BANNER,), conditions=when("word2")), 2)
    later["new"] = stored_rule("new", Rule((SynonymAction(words=("a", "b")),), conditions=when(user_segment="s")))
    changed, new = Rulebook().with_rules(first).with_rules(later), Rulebook().with_rules(later)
    for word in range(7):
        context = context_of(f"x word{word}", user_segment="s")
        assert fired_ids(changed, context) == fired_ids(new, context) != []
    assert changed.with_rules(later) is changed


def test_the_books_of_deleted_indexes_are_forgotten() -> None:
    books, shop = Rulebooks(), index_after([])
    book = books.get(shop)
    books.drop_others({"shop"})
    assert books.get(shop) is book
    books.drop_others({"films"})
    assert books.get(shop) is not book
