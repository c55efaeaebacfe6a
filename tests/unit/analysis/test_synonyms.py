"""Synonyms of rules, prepared for lookup."""

from __future__ import annotations

from events.index_control import StoredRule
from events.rules import HideAction, Rule, SynonymAction
from searchsvc.analysis.synonyms import Synonym, no_synonyms, synonyms_of
from tests.factories import NOW


def stored(*actions: SynonymAction | HideAction) -> StoredRule:
    return StoredRule("r", Rule(actions), 1, 1, NOW, "a", False, "")


def test_words_that_mean_the_same_are_synonyms_both_ways() -> None:
    assert list(synonyms_of(stored(SynonymAction(words=("Laptops", "notebook"))))) == [
        Synonym("r", ("laptop",), ("notebook",)),
        Synonym("r", ("notebook",), ("laptops",)),
    ]


def test_one_way_synonyms_lead_from_a_phrase_to_each_target() -> None:
    assert list(synonyms_of(stored(SynonymAction(of=("flat screen",), to=("television", "tv"))))) == [
        Synonym("r", ("flat", "screen"), ("television",), one_way=True),
        Synonym("r", ("flat", "screen"), ("tv",), one_way=True),
    ]


def test_a_compound_is_found_in_parts_and_as_one_word() -> None:
    assert list(synonyms_of(stored(SynonymAction(of=("wi-fi",), to=("dv-7",))))) == [
        Synonym("r", ("wi", "fi"), ("dv", "7"), "dv7", True),
        Synonym("r", ("wifi",), ("dv", "7"), "dv7", True),
    ]


def test_other_actions_and_texts_without_words_have_no_synonyms() -> None:
    assert list(synonyms_of(stored(HideAction("1"), SynonymAction(words=("!!!", "shoe"))))) == []
    assert no_synonyms(["shoe"]) == ()
