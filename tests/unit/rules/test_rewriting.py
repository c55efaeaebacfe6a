"""Queries that rules rewrite."""

from __future__ import annotations

from pathlib import Path

import pytest

from events.rules import (
    Action,
    RemoveWordsAction,
    ReplaceWordsAction,
    Rule,
)
from searchsvc.rules.rewriting import rewrite_query
from tests.factories import NOW
from tests.rules import context_of, rulebook
from tests.searching import answer, shoe_shop


@pytest.mark.parametrize(
    ("actions", "query", "expected"),
    [
        ((ReplaceWordsAction("notebook", "laptop"),), "Laptops 14 inch", "notebook 14 inch"),
        ((ReplaceWordsAction("mx500", "mx-500"),), "mouse MX-500 black", "mouse mx500 black"),
        ((ReplaceWordsAction("hat"),), "cap", "hat"),
        ((ReplaceWordsAction("b", "a"), ReplaceWordsAction("c", "b")), "a", "c"),
        ((RemoveWordsAction(("cheap", "buy")),), "buy cheap hat", "hat"),
        ((RemoveWordsAction(("hat",)),), "hat", "hat"),
        ((ReplaceWordsAction("x", "sofa"),), "red shoe", "red shoe"),
    ],
    ids=["by stem", "across signs", "whole query", "in order", "remove", "never all words", "no match"],
)
def test_words_are_replaced_and_removed(actions: tuple[Action, ...], query: str, expected: str) -> None:
    text, effects = rewrite_query(query, rulebook(r=Rule(actions)).find_rules(context_of(query), NOW))
    assert text == expected
    assert [effect.took_effect for effect in effects][-1] == (text != query)


def test_repeated_replacement_stops_at_the_longest_query(tmp_path: Path) -> None:
    state = shoe_shop(tmp_path, r=Rule((ReplaceWordsAction("shoe shoe", "shoe"),) * 40))
    result = answer(state, "red shoe")
    assert [effect.note for effect in result.rule_effects][-1].startswith("it would make the query longer")
    assert len(max((effect.words or "" for effect in result.rule_effects), key=len)) <= 512
