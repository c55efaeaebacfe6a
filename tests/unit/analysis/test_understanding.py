"""Queries against a small vocabulary: typos, completions, splits, compounds, synonyms and stop words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import pytest

from benchmarks.oracle import OracleLexicon
from events.index_control import StoredRule
from events.rules import Rule, SynonymAction
from searchsvc.analysis.query import Query
from searchsvc.analysis.stemming import stem
from searchsvc.analysis.synonyms import SynonymLookup
from searchsvc.analysis.understanding import MAX_QUERY_TERMS, understand
from searchsvc.rules.rulebook import Rulebook
from tests.factories import NOW

WORDS = {
    "printer": 50,
    "printers": 50,
    "print": 20,
    "wireless": 30,
    "mouse": 40,
    "house": 90,
    "notebook": 60,
    "laptop": 9,
    "hard": 15,
    "drive": 15,
    "television": 8,
    "flat": 30,
    "screen": 9,
    "the": 99,
    "who": 5,
    "hose": 2,
    "dv7": 3,
    "7": 80,
    "dv": 3,
    "17": 20,
    "inch": 20,
    "17inch": 10,
    "wifi": 4,
    "mousehouse": 40,
    "drivehouse": 14,
    "computers": 7,
}
LEXICON = OracleLexicon(set(WORDS), {stem(word): n for word, n in WORDS.items()})


def alternatives(query: Query) -> list[list[str]]:
    """Return the alternatives of each term: the word, with the kind before it unless it is exact."""
    return [
        [each.word if each.kind == "exact" else f"{each.kind}:{each.word}" for each in term.alternatives]
        for term in query.terms
    ]


@pytest.mark.parametrize(
    ("typed", "expected", "did_you_mean"),
    [
        ("Printers", [["printers"]], None),
        ("wirelss mouse", [["typo:wireless"], ["mouse"]], "wireless mouse"),
        ("muose", [["typo:mouse"]], "mouse"),
        ("noteboks", [["typo:notebook"]], "notebook"),
        ("notbok", [[]], None),
        ("moose", [["typo:mouse"]], "mouse"),
        ("teh", [["typo:the"]], "the"),
        ("dvx7", [[], ["7"]], None),
        # A number that no document has is not made of two, and so is no model.
        ("7117", [[]], None),
        ("dv36", [[]], None),
        ("mx-500 mouse", [[], ["mouse"]], None),
        ("laptop36", [["laptop"], []], None),
        ("hte", [["typo:the"]], "the"),
        # The index has only their plural.
        ("comptuer", [["typo:computers"]], "computers"),
        ("compuers", [["typo:computers"]], "computers"),
        ("hose", [["hose"]], "house"),
        ("tel", [["prefix:television"]], None),
        ("tel mouse", [[], ["mouse"]], None),
        ("harddrive", [["hard"], ["drive"]], "hard drive"),
        ("note book", [["compound:notebook"], ["compound:notebook"]], None),
        ("mouse house", [["mouse", "compound:mousehouse"], ["house", "compound:mousehouse"]], None),
        ("drive house", [["drive"], ["house"]], None),
        ("dv7", [["dv7"]], None),
        ("dv-7", [["dv7"]], None),
        ('17"', [["17inch"]], None),
        ("17 inches mouse", [["17inch"], ["mouse"]], None),
        ("Wi-Fi mouse", [["wifi"], ["mouse"]], None),
        ("", [], None),
    ],
)
def test_each_word_has_its_alternatives(typed: str, expected: list[list[str]], did_you_mean: str | None) -> None:
    query = understand(typed, LEXICON)
    assert alternatives(query) == expected
    assert query.did_you_mean == did_you_mean


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("ssd 1tb", [["ssd"], ["1tb", "compound:1000gb", "compound:1024gb"]]),
        ("ssd 1000 GB", [["ssd"], ["compound:1tb"]]),
        ("cable 5 m", [["cable"], ["compound:500cm"]]),
        ("cable 6 m", [["cable"], []]),
    ],
)
def test_a_measure_also_finds_the_same_in_other_units(typed: str, expected: list[list[str]]) -> None:
    words = {"ssd": 9, "cable": 9, "1tb": 3, "1000gb": 3, "1024gb": 1, "500cm": 2}
    if "1000" in typed:
        del words["1000gb"]
    lexicon = OracleLexicon(set(words), {stem(word): n for word, n in words.items()})
    assert alternatives(understand(typed, lexicon)) == expected


def test_the_last_word_may_be_unfinished_while_the_user_types() -> None:
    typing = understand("wireless print", LEXICON, typing=True)
    assert alternatives(typing) == [["wireless"], ["print", "prefix:printer"]]
    assert alternatives(understand("wireless print", LEXICON)) == [["wireless"], ["print"]]


def test_stop_words_are_optional_unless_there_is_nothing_else() -> None:
    assert [term.optional for term in understand("the mouse", LEXICON).terms] == [True, False]
    assert [term.optional for term in understand("the who", LEXICON).terms] == [False, False]
    assert understand("the who", LEXICON).required_positions == [0, 1]


def test_a_very_long_query_is_cut() -> None:
    assert len(understand("mouse house " * 100, LEXICON).terms) == MAX_QUERY_TERMS


def rules(**actions: SynonymAction) -> Mapping[str, StoredRule]:
    return {name: stored(name, Rule((action,))) for name, action in actions.items()}


def stored(name: str, rule: Rule) -> StoredRule:
    return StoredRule(name, rule, 1, 1, NOW, "a", False, "")


def with_rules(typed: str, stored_rules: Mapping[str, StoredRule]) -> Query:
    return understand(typed, LEXICON, synonyms(stored_rules, NOW))


def synonyms(stored_rules: Mapping[str, StoredRule], now: datetime) -> SynonymLookup:
    return Rulebook().with_rules(stored_rules).synonyms_for((), now)


def test_synonyms_work_both_ways_or_one_way() -> None:
    both = rules(lap=SynonymAction(words=("Laptops", "notebook")))
    assert alternatives(with_rules("laptop", both)) == [["laptop", "synonym:notebook"]]
    assert alternatives(with_rules("notebooks", both)) == [["notebooks", "synonym:laptops"]]
    assert with_rules("notebook", both).rule_ids == ("lap",)
    assert with_rules("mouse", both).rule_ids == ()
    one_way = rules(tv=SynonymAction(of=("tv",), to=("television",)))
    assert alternatives(with_rules("tv", one_way)) == [["synonym:television"]]
    assert alternatives(with_rules("television", one_way)) == [["television"]]


def test_a_synonym_with_digits_or_hyphens_is_one_word_if_documents_contain_it() -> None:
    phrases = rules(one=SynonymAction(words=("dv7", "wi-fi", "mouse")))
    assert alternatives(with_rules("dv7", phrases)) == [["dv7", "synonym:wifi", "synonym:mouse"]]
    assert alternatives(with_rules("mouse", phrases)) == [["mouse", "synonym:dv7", "synonym:wifi"]]


def test_a_synonym_of_several_words_is_a_phrase_and_has_synonyms() -> None:
    phrases = rules(tv=SynonymAction(words=("television", "flat screen")))
    assert alternatives(with_rules("flat screen", phrases)) == [
        ["flat", "synonym:television"],
        ["screen", "synonym:television"],
    ]
    assert alternatives(with_rules("television", phrases)) == [["television", "synonym:flat screen"]]
    (alternative,) = with_rules("television", phrases).phrase_alternatives
    assert (alternative.phrase.stems, alternative.positions) == (("flat", "screen"), (0,))


def test_a_phrase_with_a_word_that_no_document_has_is_no_synonym() -> None:
    phrases = rules(tv=SynonymAction(words=("television", "qqqq screen")))
    assert alternatives(with_rules("television", phrases)) == [["television"]]


def test_signs_ask_for_phrases_and_exclude_words() -> None:
    query = understand('television -"flat screen" "red laptop" -wi-fi', LEXICON)
    assert query.text == "television red laptop"
    assert query.words == ("television", "red", "laptop")
    assert [phrase.stems for phrase in query.required] == [("red", "laptop")]
    assert [phrase.stems for phrase in query.excluded] == [("flat", "screen"), ("wi", "fi"), ("wifi",)]


def test_a_rule_counts_only_while_it_is_enabled_and_within_its_window() -> None:
    action = SynonymAction(words=("laptop", "notebook"))
    hour = timedelta(hours=1)
    by_window = {
        "off": stored("off", Rule((action,), enabled=False)),
        "later": stored("later", Rule((action,), valid_from=NOW + hour)),
        "past": stored("past", Rule((action,), valid_until=NOW)),
    }
    assert understand("laptop", LEXICON, synonyms(by_window, NOW)).rule_ids == ()
    assert understand("laptop", LEXICON, synonyms(by_window, NOW + hour)).rule_ids == ("later",)
    assert understand("laptop", LEXICON, synonyms(by_window, NOW - hour)).rule_ids == ("past",)


def test_a_sentence_of_another_language_is_left_as_it_is() -> None:
    """Its words are near to some of the catalogue's, and a few of them are there."""
    known, unknown = "wireless printer", "qqwireless qqprinter laptob"
    assert understand(f"{known} laptob", LEXICON).did_you_mean == f"{known} laptop"
    assert understand(f"wireless laptop {known} laptob", LEXICON).did_you_mean is not None
    sentence = understand(f"{known} {unknown}", LEXICON)
    assert sentence.did_you_mean is None
    assert [bool(term.alternatives) for term in sentence.terms] == [True, True, False, False, False]
    # Two of eight are, one of four is not: that is a typing error.
    assert understand(f"{known} mouse house the hard laptob qqprinter", LEXICON).did_you_mean is None
    assert understand(f"{known} mouse laptob", LEXICON).did_you_mean == f"{known} mouse laptop"
    # Nor are two of its words one.
    assert alternatives(understand("qqwireless qqprinter mouse house", LEXICON))[2:] == [["mouse"], ["house"]]


def test_an_unknown_word_is_two_words_only_if_all_others_are_known() -> None:
    assert [term.word for term in understand("wirelessprinter", LEXICON).terms] == ["wireless", "printer"]
    assert [term.word for term in understand("wirelessprinter qqqqqq", LEXICON).terms] == ["wirelessprinter", "qqqqqq"]
