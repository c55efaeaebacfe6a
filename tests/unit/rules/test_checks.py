"""Which rules an index can honour."""

from __future__ import annotations

from pathlib import Path

import pytest

from events.errors import InvalidInput
from events.rules import (
    BoostAction,
    FilterAction,
    HideAction,
    PinAction,
    ReplaceWordsAction,
    Rule,
    SynonymAction,
)
from searchsvc.rules.checks import check_against_index, check_no_synonym_cycle, check_words
from tests.factories import engine
from tests.rules import BANNER, rulebook, when
from tests.searching import DOCUMENTS


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        (Rule((BANNER,), conditions=when("!!!")), "conditions.query.text"),
        (Rule((FilterAction("brand:"),)), "actions[0].filter"),
        (Rule((FilterAction("  "),)), "actions[0].filter"),
        (Rule((ReplaceWordsAction("!!!"),)), "actions[0].to"),
        (Rule((ReplaceWordsAction("x", "?"),)), "actions[0].from"),
        (Rule((BANNER,), conditions=when(filters="price:[1 TO")), "conditions.filters"),
    ],
)
def test_a_text_without_words_and_a_broken_filter_are_refused(rule: Rule, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_words(rule)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        (Rule((PinAction("a", 1), PinAction("nobody", 2))), "actions[1].document_id"),
        (Rule((BoostAction(2.0, "colour:red"),)), "actions[0].filter"),
        (Rule((HideAction(filter="brand>3"),)), "actions[0].filter"),
        (Rule((BANNER, FilterAction({"field": "nope", "is": 1}))), "actions[1].filter"),
        (Rule((BANNER,), conditions=when(filters="nope:1")), "conditions.filters"),
        (Rule((BoostAction(2.0, signal="margin"),)), "actions[0].signal"),
    ],
)
def test_a_rule_that_names_what_the_index_does_not_have_is_refused(tmp_path: Path, rule: Rule, field: str) -> None:
    snapshot = engine(tmp_path, DOCUMENTS).snapshot()
    check_against_index(
        Rule((PinAction("a", 1), HideAction("nobody"), BoostAction(2.0, "brand:Ab AND id:x", "votes"))), snapshot
    )
    with pytest.raises(InvalidInput) as refused:
        check_against_index(rule, snapshot)
    assert refused.value.field == field


def one_way(*pairs: tuple[str, str]) -> dict[str, Rule]:
    return {f"r{i}": Rule((SynonymAction(of=(of,), to=(to,)),)) for i, (of, to) in enumerate(pairs)}


@pytest.mark.parametrize(
    ("pairs", "circle"),
    [
        ([("tv", "television")], False),
        ([("television", "Televisions")], True),
        ([("tv", "television"), ("Televisions", "tv")], True),
        ([("tv", "flat screen"), ("flat screen", "monitor"), ("monitor", "TV")], True),
        ([("tv", "screen"), ("flat screen", "tv")], False),
        ([("tv", "monitor"), ("tv", "screen"), ("screen", "monitor"), ("monitor", "panel")], False),
        ([("tv", "screen"), ("screen", "panel"), ("panel", "screen")], True),
    ],
)
def test_one_way_synonyms_that_form_a_cycle_are_refused(pairs: list[tuple[str, str]], circle: bool) -> None:
    rules = rulebook(**one_way(*pairs), both=Rule((SynonymAction(words=("television", "tv")),)))
    last = rules.rules[f"r{len(pairs) - 1}"]
    if circle:
        with pytest.raises(InvalidInput, match="leads back to itself") as refused:
            check_no_synonym_cycle(last, rules)
        assert refused.value.field == "actions[0].from[0]"
    else:
        check_no_synonym_cycle(last, rules)
