"""What rules do to a search as a whole."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from events.rules import (
    BoostAction,
    BuryAction,
    FilterAction,
    HideAction,
    PinAction,
    RedirectAction,
    RemoveWordsAction,
    ReplaceWordsAction,
    Rule,
    SynonymAction,
)
from searchsvc.analysis.understanding import MAX_ADDED_WORDS
from searchsvc.rules.directives import Effect
from searchsvc.search.request import SearchRequest
from searchsvc.search.searcher import Searcher
from tests.factories import NOW, FakeEmbedder, engine, serving, upsert, with_rules
from tests.rules import BANNER, made_up_words, when
from tests.searching import PIN, answer, hit_ids, shoe_shop


@pytest.mark.parametrize(
    ("rules", "query", "expected"),
    [
        ({}, "red shoe", ["a", "b", "c", "d"]),
        ({"r": PIN}, "red shoe", ["e", "a", "b", "c", "d"]),
        ({"r": PIN}, "red boot", ["d", "a", "b", "c"]),
        ({"r": Rule((PinAction("c", 2),))}, "red shoe", ["a", "c", "b", "d"]),
        ({"r": Rule((PinAction("a", 9),))}, "red shoe", ["b", "c", "d", "a"]),
        ({"r": Rule((HideAction("b"),))}, "red shoe", ["a", "c", "d"]),
        ({"r": Rule((HideAction(filter="brand:Cd"),))}, "red shoe", ["a", "d"]),
        ({"r": Rule((FilterAction("brand:Cd"),))}, "red shoe", ["b", "c"]),
        ({"r": Rule((FilterAction("brand:Cd"),)), "s": Rule((FilterAction("votes>5"),))}, "red shoe", ["b"]),
        ({"r": Rule((BoostAction(50.0, "brand:Ef"),))}, "red shoe", ["d", "a", "b", "c"]),
        ({"r": Rule((BuryAction(0.01, "brand:Ab"),))}, "red shoe", ["b", "c", "d", "a"]),
        ({"r": Rule((BoostAction(5.0, signal="votes"),))}, "red shoe", ["b", "c", "a", "d"]),
        ({"r": Rule((BoostAction(5.0, "brand:Cd", "votes"),))}, "red shoe", ["b", "c", "a", "d"]),
        ({"r": Rule((ReplaceWordsAction("sock", "shoe"),))}, "blue shoe", ["e"]),
        ({"r": Rule((ReplaceWordsAction("hat"),), conditions=when("cap", "exact"))}, "cap", ["f"]),
        ({"r": Rule((RemoveWordsAction(("cheap", "buy")),))}, "buy cheap hat", ["f"]),
        ({"r": Rule((RemoveWordsAction(("hat",)),))}, "hat", ["f"]),
        ({"r": Rule((SynonymAction(words=("cap", "hat")),), conditions=when(context=("x",)))}, "cap", []),
        # A hide is stronger than a pin of any rule.
        ({"p": Rule((PinAction("b", 1),), priority=9), "h": Rule((HideAction("b"),))}, "red shoe", ["a", "c", "d"]),
        # Of two ranks for one document, that of the first rule counts.
        (
            {"p": Rule((PinAction("d", 1),), priority=1), "q": Rule((PinAction("d", 2),))},
            "red shoe",
            ["d", "a", "b", "c"],
        ),
        # Of two documents for one rank, that of the second rule gets the next rank.
        (
            {"p": Rule((PinAction("d", 1),), priority=1), "q": Rule((PinAction("e", 1),))},
            "red shoe",
            ["d", "e", "a", "b", "c"],
        ),
        # Boosts multiply, by a hundred at most.
        (
            {"p": Rule((BoostAction(100.0, "brand:Ef"),)), "q": Rule((BuryAction(0.01, "brand:Ef"),))},
            "red shoe",
            ["a", "b", "c", "d"],
        ),
        # A pattern matches the corrected query.
        ({"r": Rule((PinAction("f", 1),), conditions=when("socks", "exact"))}, "sokc", ["f", "e"]),
        # Browsing.
        ({"r": Rule((PinAction("f", 1),), conditions=when("", "exact"))}, "", ["f", "a", "b", "c", "d", "e"]),
        ({"r": Rule((BoostAction(3.0, signal="votes"), HideAction("a")))}, "", ["b", "c", "d", "e", "f"]),
    ],
)
def test_rules_do_what_they_say(tmp_path: Path, rules: dict[str, Rule], query: str, expected: list[str]) -> None:
    result = answer(shoe_shop(tmp_path, **rules), query)
    assert hit_ids(result) == expected
    assert result.total == len(expected)
    assert [hit.rank for hit in result.hits] == list(range(1, len(expected) + 1))


def test_patterns_match_the_corrected_query_but_not_a_rewritten_one(tmp_path: Path) -> None:
    state = shoe_shop(
        tmp_path,
        words=Rule((ReplaceWordsAction("green hat", "cap"),), conditions=when("cap")),
        meant=Rule((PinAction("e", 1),), conditions=when("cap sock", "exact")),
        made=Rule((PinAction("a", 1),), conditions=when("green hat")),
    )
    assert answer(state, "cap sokc").applied_rules == answer(state, "cap sock").applied_rules
    assert hit_ids(answer(state, "cap sokc"))[0] == "e"


def test_sort_and_filters_of_the_request_win_over_pins_and_boosts(tmp_path: Path) -> None:
    state = shoe_shop(tmp_path, r=Rule((PinAction("e", 1), BoostAction(9.0, "brand:Ab"), HideAction("c"))))
    assert hit_ids(answer(state, sort=["votes:desc"])) == ["b", "d", "a"]
    notes = {effect.action: effect.note for effect in answer(state, sort=["votes:desc"]).rule_effects}
    assert notes == {
        "pin": "the search has an order of its own",
        "boost": "the search has an order of its own",
        "hide": "",
    }
    result = answer(state, filters="brand:Cd")
    assert hit_ids(result) == ["b"]
    assert [e.note for e in result.rule_effects if e.action == "pin"] == [
        "the document is not there, is hidden or is filtered out"
    ]


def test_a_rule_may_require_a_filter_of_the_request(tmp_path: Path) -> None:
    state = shoe_shop(tmp_path, r=Rule((PinAction("c", 1),), conditions=when(filters="brand:Cd")))
    assert hit_ids(answer(state, filters="votes>1 AND brand:Cd")) == ["c", "b"]
    assert hit_ids(answer(state, filters="brand:Ef"))[0] == "d"
    assert hit_ids(answer(state, filters="brand:(Cd OR Ef)"))[0] == "b"
    # A condition matches a filter in any notation.
    for equal_filter in (
        "votes>1 AND (votes:5 OR brand:cd) AND brand:CD",
        {"all": [{"field": "brand", "is": "cd"}]},
        'brand:"cD"',
    ):
        assert hit_ids(answer(state, filters=equal_filter))[0] == "c"


def test_a_rule_may_require_a_scope_and_then_also_change_what_matches(tmp_path: Path) -> None:
    rules = {
        "pin": Rule((PinAction("c", 1), HideAction("b")), conditions=when(scope="brand:Cd")),
        "filters": Rule((BANNER,), conditions=when(filters="brand:Cd")),
    }
    state = shoe_shop(tmp_path, **rules)
    in_scope = answer(state, scope='brand:"cD"', facets=["votes"])
    assert hit_ids(in_scope) == ["c"]
    assert (in_scope.total, in_scope.applied_rules) == (1, ["pin"])
    value = in_scope.facets["votes"].values[0]
    assert answer(state, scope="brand:Cd", filters=f"votes:{value.value}").total == value.count
    assert answer(state, filters="brand:Cd").applied_rules == ["filters"]


def test_the_answer_says_which_rules_did_what(tmp_path: Path) -> None:
    state = shoe_shop(
        tmp_path,
        boost=Rule((BoostAction(2.0, "brand:Cd"), BoostAction(2.0, "brand:Nobody")), priority=5),
        first=Rule((PinAction("d", 1), RedirectAction("/one"), BANNER), priority=4),
        later=Rule((PinAction("e", 1), PinAction("d", 3), RedirectAction("/two")), priority=3),
        words=Rule((RemoveWordsAction(("cheap",)),), priority=2),
        gone=Rule((FilterAction("nothing:1"),), priority=1),
        never=Rule((BANNER,), conditions=when("hat")),
        tv=Rule((SynonymAction(words=("shoe", "boot")),)),
    )
    result = answer(state, "cheap red shoe", explain=True)
    assert result.applied_rules == ["boost", "first", "later", "words", "tv"]
    assert (result.redirect, result.user_data) == ("/one", [{"banner": "b1"}])
    assert hit_ids(result)[:2] == ["d", "e"]
    effects = {
        (e.rule, e.action, e.document_id, e.rank): (e.n_candidates, e.words, e.note) for e in result.rule_effects
    }
    assert effects == {
        ("boost", "boost", "", None): (0, None, "no candidate passes its filter, or has the signal"),
        ("first", "pin", "d", 1): (None, None, ""),
        ("first", "redirect", "", None): (None, None, ""),
        ("first", "user_data", "", None): (None, None, ""),
        ("later", "pin", "e", 2): (None, None, "rank 1 was taken"),
        ("later", "pin", "d", None): (None, None, "rule first pins it at rank 1"),
        ("later", "redirect", "", None): (None, None, "/one came first"),
        ("words", "remove_words", "", None): (None, "red shoe", ""),
        ("gone", "filter", "", None): (None, None, "no document has what its filter names"),
        ("tv", "synonym", "", None): (None, None, ""),
    }
    first = next(effect for effect in result.rule_effects if effect.rule == "boost")
    assert first == Effect("boost", "boost", factor=2.0, n_candidates=2)
    for hit in result.hits:
        assert hit.explanation is not None
        total = sum(share.contribution for share in hit.explanation.features.values())
        assert hit.score == pytest.approx(total * hit.explanation.rule_factor)
        assert hit.explanation.rule_factor == math.prod(boost.factor for boost in hit.explanation.boosts)
    explanations = {hit.id: hit.explanation for hit in result.hits if hit.explanation is not None}
    assert [explanations[name].pinned_by for name in "deb"] == ["first", "later", None]
    assert [boost.factor for boost in explanations["b"].boosts] == [2.0]


def test_rules_apply_in_order_until_they_cost_as_much_as_a_search_may(tmp_path: Path) -> None:
    # No single one of them would have been refused.
    filler = {
        f"x{i}": Rule((PinAction("b", 1),) * 125, conditions=when(word), priority=1)
        for i, word in enumerate(("red", "shoe", "boot", "sock"))
    }
    last = Rule((HideAction("a"),))
    query = "red shoe boot sock"
    within = answer(shoe_shop(tmp_path / "a", **{**filler, "x3": PIN, "last": last}), query, operator="any")
    assert (within.warnings, "a" in hit_ids(within)) == ([], False)
    beyond = answer(shoe_shop(tmp_path / "b", **filler, last=last, later=last), query, operator="any")
    assert "a" in hit_ids(beyond)
    assert [(warning.field, warning.message) for warning in beyond.warnings] == [
        ("query", "rules may cost a search 500: those of lower precedence were left out, last, later")
    ]


def test_synonyms_that_would_add_more_words_than_a_query_may_have_are_left_out(tmp_path: Path) -> None:
    words = made_up_words("w", MAX_ADDED_WORDS)
    documents = [upsert(f"d{i}", f"red shoe {' '.join(words[i : i + 50])}") for i in range(0, len(words), 50)]
    state = serving(engine(tmp_path, documents).snapshot())
    rules = {f"r{i}": Rule((SynonymAction(of=("red",), to=words[i : i + 50]),)) for i in range(0, len(words), 50)}
    full = answer(with_rules(state, rules), "red")
    assert (full.warnings, len(full.terms[0].alternatives)) == ([], MAX_ADDED_WORDS)
    left = answer(
        with_rules(
            state, {**rules, **{f"s{i}": Rule((SynonymAction(of=("shoe",), to=(words[i],)),)) for i in range(5)}}
        ),
        "red shoe",
    )
    assert [len(term.alternatives) for term in left.terms] == [MAX_ADDED_WORDS, 0]
    assert [warning.message for warning in left.warnings] == [
        "synonyms may add 200 words to a query: others were left out, of s0, s1, s2 and 2 more"
    ]


def test_neighbours_of_a_document_do_not_include_hidden_ones(tmp_path: Path) -> None:
    rules = {"all": Rule((HideAction("b"),)), "red": Rule((HideAction("a"),), conditions=when("red"))}
    searcher = Searcher(FakeEmbedder(), n_candidates=9)
    request = SearchRequest(like="e")
    result = searcher.search(shoe_shop(tmp_path, **rules), "shop", request, query_id="q", now=NOW).answer
    assert sorted(hit_ids(result)) == ["a", "c", "d", "f"]


def test_a_product_of_hundreds_of_factors_stays_within_its_bounds(tmp_path: Path) -> None:
    rules = {"up": Rule((BoostAction(100.0),) * 200), "down": Rule((BuryAction(0.01),) * 200, priority=-1)}
    (hit, *_) = answer(shoe_shop(tmp_path / "a", up=rules["up"]), explain=True).hits
    assert hit.explanation is not None
    assert hit.explanation.rule_factor == 100.0
    (hit, *_) = answer(shoe_shop(tmp_path / "b", **rules), explain=True).hits
    assert hit.explanation is not None
    assert hit.explanation.rule_factor == 0.01
