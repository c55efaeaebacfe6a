"""Which rules fire, and what comes of several: docs/how-to/rules.md as a table of cases."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from events.errors import InvalidInput
from events.index_control import StoredRule
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
    SynonymAction,
    UserDataAction,
)
from searchsvc.rules.checks import check_against_index, check_no_synonym_cycle, check_words
from searchsvc.rules.conditions import SearchContext, stems_of
from searchsvc.rules.conflicts import find_conflicts
from searchsvc.rules.directives import Effect, apply_factors, place_pins
from searchsvc.rules.rulebook import Rulebook
from searchsvc.search.answer import SearchAnswer
from searchsvc.search.request import SearchRequest
from searchsvc.search.searcher import Searcher
from searchsvc.state.serving_state import ServingState
from tests.factories import NOW, FakeEmbedder, engine, serving, upsert, with_rules

BANNER = UserDataAction({"banner": "b1"})
HOUR = timedelta(hours=1)


def stored(name: str, rule: Rule, seq: int = 1) -> StoredRule:
    return StoredRule(name, rule, seq, 1, NOW, "ada", False, "")


def book(**rules: Rule) -> Rulebook:
    return Rulebook().with_rules({name: stored(name, rule) for name, rule in rules.items()})


def when(query: str | None = None, type_: str = "contains", **conditions: Any) -> Conditions:
    pattern = QueryPattern(type_, query) if query is not None else None  # type: ignore[arg-type]
    return Conditions(query=pattern, **conditions)


def search_context(query: str = "", *, context: Sequence[str] = (), **members: Any) -> SearchContext:
    return SearchContext((stems_of(query),), frozenset(context), **members)


def fired(rules: Rulebook, asked: SearchContext, now: datetime = NOW) -> list[str]:
    return [one.stored.id for one in rules.find_rules(asked, now)]


@pytest.mark.parametrize(
    ("condition", "meet", "miss"),
    [
        (when("hp printer", "exact"), ["HP printers", "hp-printer"], ["printer hp", "hp printer ink", "hp", ""]),
        (when("", "exact"), [""], ["hp"]),
        (when("hp printer", "starts"), ["hp printer", "hp printers cheap"], ["new hp printer", "hp", ""]),
        (when("hp printer", "contains"), ["hp printer", "new hp printer ink"], ["hp ink printer", "printer hp"]),
        (when("hp printer", "all_words"), ["printer by hp", "hp ink printer"], ["hp", "printer", ""]),
        (when("café", "contains"), ["CAFE noir"], ["caf"]),
        (
            Conditions(query=(QueryPattern("exact", "tv"), QueryPattern("contains", "television"))),
            ["tv", "flat televisions"],
            ["tv stand"],
        ),
        (Conditions(), ["anything", ""], []),
    ],
)
def test_a_pattern_holds_for_the_words_it_says(condition: Conditions, meet: list[str], miss: list[str]) -> None:
    rules = book(r=Rule((BANNER,), conditions=condition))
    assert [query for query in [*meet, *miss] if fired(rules, search_context(query))] == meet


@pytest.mark.parametrize(
    ("condition", "meet", "miss"),
    [
        (when(context=("mobile", "sale")), {"context": ["sale", "mobile", "x"]}, {"context": ["mobile"]}),
        (when(user_segment="trade"), {"user_segment": "trade"}, {"user_segment": "private"}),
        (when(experiment="look/b"), {"experiment": "look/b"}, {"experiment": "look/a"}),
    ],
)
def test_other_conditions_hold_for_what_a_search_brings_along(
    condition: Conditions, meet: dict[str, Any], miss: dict[str, Any]
) -> None:
    rules = book(r=Rule((BANNER,), conditions=condition))
    assert fired(rules, search_context("x", **meet)) == ["r"]
    assert fired(rules, search_context("x", **miss)) == []
    assert fired(rules, search_context("x")) == []


def test_all_conditions_have_to_hold_and_none_of_a_query_holds_without_one() -> None:
    rules = book(r=Rule((BANNER,), conditions=when("printer", context=("mobile",))))
    assert fired(rules, search_context("printer", context=["mobile"])) == ["r"]
    assert fired(rules, search_context("printer")) == []
    assert fired(rules, search_context("ink", context=["mobile"])) == []
    assert fired(rules, SearchContext((), frozenset(["mobile"]))) == []


def test_a_rule_fires_from_the_moment_it_begins_until_the_moment_it_ends() -> None:
    rule = Rule((BANNER,), valid_from=NOW, valid_until=NOW + HOUR)
    seen = [bool(fired(book(r=rule), search_context(), at)) for at in (NOW - HOUR, NOW, NOW + HOUR / 2, NOW + HOUR)]
    assert seen == [False, True, True, False]
    assert fired(book(r=msgspec.structs.replace(rule, enabled=False)), search_context(), NOW) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Rule((BANNER,), priority=1), Rule((BANNER,), conditions=when("hp printer", "exact"))),
        (Rule((BANNER,), conditions=when("hp printer", "exact")), Rule((BANNER,), conditions=when("hp", "starts"))),
        (Rule((BANNER,), conditions=when("hp", "starts")), Rule((BANNER,), conditions=when("hp printer"))),
        (Rule((BANNER,), conditions=when("hp")), Rule((BANNER,), conditions=when("hp printer", "all_words"))),
        (Rule((BANNER,), conditions=when("hp", "all_words")), Rule((BANNER,))),
        (Rule((BANNER,), conditions=when("hp printer")), Rule((BANNER,), conditions=when("hp"))),
        (Rule((BANNER,), conditions=when(context=("a", "b"))), Rule((BANNER,), conditions=when(context=("a",)))),
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
        "a priority below the usual one",
    ],
)
def test_of_two_rules_that_fire_the_one_that_says_more_goes_first(first: Rule, second: Rule) -> None:
    asked = search_context("hp printer", context=["a", "b"])
    # Whichever the ids would put first.
    assert fired(book(z=first, a=second), asked) == ["z", "a"]
    assert fired(book(a=first, z=second), asked) == ["a", "z"]


def test_of_two_rules_that_say_as_much_the_id_decides() -> None:
    assert fired(book(b=Rule((BANNER,)), a=Rule((BANNER,))), search_context()) == ["a", "b"]


def test_a_pattern_among_several_counts_as_what_it_is() -> None:
    mixed = Conditions(query=(QueryPattern("exact", "hp"), QueryPattern("all_words", "hp printer")))
    others = {f"o{i}": Rule((BANNER,), conditions=when("printer", "all_words")) for i in range(3)}
    rules = book(mixed=Rule((BANNER,), conditions=mixed), **others)
    assert "mixed" not in fired(rules, search_context("hp laptop"))
    assert all("mixed" in fired(rules, search_context(query)) for query in ("hp", "printer by hp"))


def test_replacing_words_by_more_of_them_ends(tmp_path: Path) -> None:
    state = shop(tmp_path, r=Rule((ReplaceWordsAction("shoe shoe", "shoe"),) * 40))
    found = answer(state, "red shoe")
    assert [effect.note for effect in found.rule_effects][-1].startswith("it would make the query longer")
    assert len(max((effect.words or "" for effect in found.rule_effects), key=len)) <= 512


def test_a_typing_error_is_held_against_what_was_meant_not_against_what_a_rule_made_of_it(tmp_path: Path) -> None:
    state = shop(
        tmp_path,
        words=Rule((ReplaceWordsAction("green hat", "cap"),), conditions=when("cap")),
        meant=Rule((PinAction("e", 1),), conditions=when("cap sock", "exact")),
        made=Rule((PinAction("a", 1),), conditions=when("green hat")),
    )
    assert answer(state, "cap sokc").applied_rules == answer(state, "cap sock").applied_rules
    assert ids(answer(state, "cap sokc"))[0] == "e"


def test_a_book_that_was_changed_is_the_book_of_its_rules() -> None:
    first = {
        f"r{i}": stored(f"r{i}", Rule((BANNER,), conditions=when(f"word{i % 7} x", "all_words"))) for i in range(50)
    }
    later = {name: one for name, one in first.items() if int(name[1:]) % 3}
    later["r1"] = stored("r1", Rule((BANNER,), conditions=when("word2")), 2)
    later["new"] = stored("new", Rule((SynonymAction(words=("a", "b")),), conditions=when(user_segment="s")))
    changed, anew = Rulebook().with_rules(first).with_rules(later), Rulebook().with_rules(later)
    for word in range(7):
        asked = search_context(f"x word{word}", user_segment="s")
        assert fired(changed, asked) == fired(anew, asked) != []
    assert changed.with_rules(later) is changed


@pytest.mark.parametrize(
    ("order", "pinned", "expected"),
    [
        ([0, 1, 2, 3], [(1, 3)], [3, 0, 1, 2]),
        ([0, 1, 2, 3], [(2, 0)], [1, 0, 2, 3]),
        ([0, 1, 2, 3], [(1, 9), (2, 8)], [9, 8, 0, 1, 2, 3]),
        ([0, 1], [(1, 1), (9, 7)], [1, 0, 7]),
        ([], [(3, 5)], [5]),
    ],
)
def test_pins_stand_at_their_ranks_and_the_others_keep_their_order(
    order: list[int], pinned: list[tuple[int, int]], expected: list[int]
) -> None:
    assert place_pins(order, pinned) == expected


def test_a_boost_raises_every_score_and_a_bury_lowers_every_score() -> None:
    scores = np.array([2.0, 0.0, -2.0])
    assert apply_factors(scores, np.full(3, 4.0)).tolist() == [8.0, 0.0, -0.5]
    assert apply_factors(scores, np.full(3, 0.25)).tolist() == [0.5, 0.0, -8.0]


# What rules do to a search.

DOCUMENTS = [
    upsert("a", "red shoe", "light", brand="Ab", votes=1),
    upsert("b", "red shoe", "heavy", brand="Cd", votes=10),
    upsert("c", "red shoe large", brand="Cd", votes=5),
    upsert("d", "red boot", brand="Ef", votes=2),
    upsert("e", "blue sock", brand="Ef", votes=3),
    upsert("f", "green hat", brand="Gh"),
]


def shop(folder: Path, **rules: Rule) -> ServingState:
    return with_rules(serving(engine(folder, DOCUMENTS).snapshot(), signal__votes=0.0), rules)


def answer(state: ServingState, query: str = "red shoe", n_candidates: int = 100, **request: Any) -> SearchAnswer:
    asked = SearchRequest(query=query, **request)
    asked.check()
    searcher = Searcher(None, n_candidates=n_candidates)
    return searcher.search(state, "shop", asked, query_id="q", now=NOW).answer


def ids(found: SearchAnswer) -> list[str]:
    return [hit.id for hit in found.hits]


PIN = Rule((PinAction("e", 1),), conditions=when("shoe"))


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
        # A hide is stronger than a pin, whoever says it.
        ({"p": Rule((PinAction("b", 1),), priority=9), "h": Rule((HideAction("b"),))}, "red shoe", ["a", "c", "d"]),
        # Of two ranks for one document the first rule's counts.
        (
            {"p": Rule((PinAction("d", 1),), priority=1), "q": Rule((PinAction("d", 2),))},
            "red shoe",
            ["d", "a", "b", "c"],
        ),
        # Of two documents for one rank, the other rule's takes the next.
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
        # A typing error is what it was meant to be.
        ({"r": Rule((PinAction("f", 1),), conditions=when("socks", "exact"))}, "sokc", ["f", "e"]),
        # Who browses.
        ({"r": Rule((PinAction("f", 1),), conditions=when("", "exact"))}, "", ["f", "a", "b", "c", "d", "e"]),
        ({"r": Rule((BoostAction(3.0, signal="votes"), HideAction("a")))}, "", ["b", "c", "d", "e", "f"]),
    ],
)
def test_rules_do_what_they_say(tmp_path: Path, rules: dict[str, Rule], query: str, expected: list[str]) -> None:
    found = answer(shop(tmp_path, **rules), query)
    assert ids(found) == expected
    assert found.total == len(expected)
    assert [hit.rank for hit in found.hits] == list(range(1, len(expected) + 1))


def test_pages_of_a_ranking_with_pins_add_up_to_the_whole(tmp_path: Path) -> None:
    state = shop(tmp_path, r=Rule((PinAction("e", 2), PinAction("d", 4), PinAction("a", 3))))
    whole = ids(answer(state, limit=5))
    assert whole == ["b", "e", "a", "d", "c"]
    assert [one for at in range(5) for one in ids(answer(state, limit=1, offset=at))] == whole
    assert [hit.rank for hit in answer(state, limit=2, offset=2).hits] == [3, 4]


def test_a_pin_further_down_is_not_drawn_up_by_a_short_page(tmp_path: Path) -> None:
    state = shop(tmp_path, r=Rule((PinAction("f", 4), PinAction("d", 2))))
    whole = ids(answer(state, "", distinct="brand"))
    assert whole == ["a", "d", "b", "f"]
    for size in (1, 2, 3):
        pages = [ids(answer(state, "", distinct="brand", limit=size, offset=at)) for at in range(0, 4, size)]
        assert [one for page in pages for one in page] == whole
    plain = ids(answer(state, ""))
    assert plain.index("f") == 3
    assert [ids(answer(state, "", limit=1, offset=at))[0] for at in range(6)] == plain


def test_what_is_pinned_stands_for_its_group(tmp_path: Path) -> None:
    state = shop(tmp_path, r=Rule((PinAction("c", 1),)))
    found = answer(state, distinct="brand")
    assert ids(found) == ["c", "a", "d"]
    assert found.groups == 3
    assert ids(answer(state, "", distinct="brand")) == ["c", "a", "d", "f"]


def test_a_shoppers_own_order_and_filters_stand_above_pins_and_boosts(tmp_path: Path) -> None:
    state = shop(tmp_path, r=Rule((PinAction("e", 1), BoostAction(9.0, "brand:Ab"), HideAction("c"))))
    assert ids(answer(state, sort=["votes:desc"])) == ["b", "d", "a"]
    notes = {effect.action: effect.note for effect in answer(state, sort=["votes:desc"]).rule_effects}
    assert notes == {
        "pin": "the search has an order of its own",
        "boost": "the search has an order of its own",
        "hide": "",
    }
    found = answer(state, filters="brand:Cd")
    assert ids(found) == ["b"]
    assert [e.note for e in found.rule_effects if e.action == "pin"] == [
        "the document is not there, is hidden or is filtered out"
    ]


def test_a_rule_may_ask_what_the_search_is_filtered_by(tmp_path: Path) -> None:
    state = shop(tmp_path, r=Rule((PinAction("c", 1),), conditions=when(filters="brand:Cd")))
    assert ids(answer(state, filters="votes>1 AND brand:Cd")) == ["c", "b"]
    assert ids(answer(state, filters="brand:Ef"))[0] == "d"
    assert ids(answer(state, filters="brand:(Cd OR Ef)"))[0] == "b"
    # However it is written.
    for same in (
        "votes>1 AND (votes:5 OR brand:cd) AND brand:CD",
        {"all": [{"field": "brand", "is": "cd"}]},
        'brand:"cD"',
    ):
        assert ids(answer(state, filters=same))[0] == "c"


def test_what_is_boosted_is_found_however_far_down_it_was(tmp_path: Path) -> None:
    rules = {"r": Rule((BoostAction(100.0, "brand:Ef"),))}
    assert ids(answer(shop(tmp_path), n_candidates=1, limit=1)) == ["a"]
    assert ids(answer(shop(tmp_path, **rules), n_candidates=1, limit=1)) == ["d"]
    assert ids(answer(shop(tmp_path, **rules), "", n_candidates=1, limit=1))[0] in ("d", "a")


def test_the_answer_says_which_rules_did_what(tmp_path: Path) -> None:
    state = shop(
        tmp_path,
        boost=Rule((BoostAction(2.0, "brand:Cd"), BoostAction(2.0, "brand:Nobody")), priority=5),
        first=Rule((PinAction("d", 1), RedirectAction("/one"), BANNER), priority=4),
        later=Rule((PinAction("e", 1), PinAction("d", 3), RedirectAction("/two")), priority=3),
        words=Rule((RemoveWordsAction(("cheap",)),), priority=2),
        gone=Rule((FilterAction("nothing:1"),), priority=1),
        never=Rule((BANNER,), conditions=when("hat")),
        tv=Rule((SynonymAction(words=("shoe", "boot")),)),
    )
    found = answer(state, "cheap red shoe", explain=True)
    assert found.applied_rules == ["boost", "first", "later", "words", "tv"]
    assert (found.redirect, found.user_data) == ("/one", [{"banner": "b1"}])
    assert ids(found)[:2] == ["d", "e"]
    said = {(e.rule, e.action, e.document_id, e.rank): (e.n_candidates, e.words, e.note) for e in found.rule_effects}
    assert said == {
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
    first = next(one for one in found.rule_effects if one.rule == "boost")
    assert first == Effect("boost", "boost", factor=2.0, n_candidates=2)
    for hit in found.hits:
        assert hit.explanation is not None
        total = sum(share.contribution for share in hit.explanation.features.values())
        assert hit.score == pytest.approx(total * hit.explanation.rule_factor)
        assert hit.explanation.rule_factor == math.prod(one.factor for one in hit.explanation.boosts)
    why = {hit.id: hit.explanation for hit in found.hits if hit.explanation is not None}
    assert [why["d"].pinned_by, why["e"].pinned_by, why["b"].pinned_by] == ["first", "later", None]
    assert [one.factor for one in why["b"].boosts] == [2.0]


def test_what_was_shown_is_logged_with_what_rules_forced(tmp_path: Path) -> None:
    state = shop(tmp_path, r=Rule((PinAction("e", 1), BoostAction(3.0, "brand:Cd"))))
    asked = SearchRequest(query="red shoe", limit=3)
    outcome = Searcher(None, n_candidates=9).search(state, "shop", asked, query_id="q", now=NOW)
    shown = outcome.shown
    assert shown.document_ids == ("e", "b", "c")
    assert (shown.pinned_ids, shown.rule_factors, shown.applied_rules) == (("e",), (1.0, 3.0, 3.0), ("r",))
    weights = [state.control.index("shop").weights[name] for name in shown.feature_names]
    for row, factor, score in zip(shown.features, shown.rule_factors, shown.scores, strict=True):
        assert score == pytest.approx(float(np.dot(row, weights)) * factor, abs=1e-5)


def test_what_is_hidden_is_suggested_to_nobody(tmp_path: Path) -> None:
    searcher = Searcher(None, n_candidates=9)
    plain, hidden = shop(tmp_path), shop(tmp_path, r=Rule((HideAction("f"),)))
    assert [one.document_id for one in searcher.suggest_titles(plain, "shop", "gre", 5, now=NOW)] == ["f"]
    assert searcher.suggest_titles(hidden, "shop", "gre", 5, now=NOW) == []


def test_who_asks_for_what_is_like_a_document_does_not_get_what_is_hidden(tmp_path: Path) -> None:
    rules = {"all": Rule((HideAction("b"),)), "asked": Rule((HideAction("a"),), conditions=when("red"))}
    searcher = Searcher(FakeEmbedder(), n_candidates=9)
    asked = SearchRequest(like="e")
    found = searcher.search(shop(tmp_path, **rules), "shop", asked, query_id="q", now=NOW).answer
    assert sorted(ids(found)) == ["a", "c", "d", "f"]


# What is refused.


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
def test_a_rule_that_cannot_be_honoured_is_refused_by_the_member_that_is_wrong(rule: Rule, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_rule(rule)
    assert refused.value.field == field
    assert refused.value.limit


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
def test_a_rule_without_words_or_with_half_a_filter_is_refused(rule: Rule, field: str) -> None:
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
    ],
)
def test_one_way_synonyms_that_go_round_in_a_circle_are_refused(pairs: list[tuple[str, str]], circle: bool) -> None:
    rules = book(**one_way(*pairs), both=Rule((SynonymAction(words=("television", "tv")),)))
    last = rules.rules[f"r{len(pairs) - 1}"]
    if circle:
        with pytest.raises(InvalidInput, match="leads back to itself") as refused:
            check_no_synonym_cycle(last, rules)
        assert refused.value.field == "actions[0].from[0]"
    else:
        check_no_synonym_cycle(last, rules)


def test_what_two_rules_cannot_both_have_is_told_with_who_gets_it() -> None:
    hp = when("hp")
    rules = book(
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
    rules = rules.with_rules({**rules.rules, "mine": stored("mine", later, 2)})
    assert {(one.rule, one.subject, one.winner) for one in find_conflicts(rules.rules["mine"], rules)} == {
        ("ranks", "documents a and c at rank 1", "ranks"),
        ("document", "document b at rank 2 and 5", "mine"),
        ("hides", "document a pinned and hidden", "hides"),
        ("elsewhere", "a redirect each", "elsewhere"),
        ("always", "documents a and e at rank 1", "mine"),
    }


def test_of_two_rules_with_the_same_tags_the_one_that_wins_is_told() -> None:
    tags = when(context=("mobile", "vip"))
    rules = book(
        other=Rule((BANNER,), conditions=when(context=("mobile",))),
        r1=Rule((PinAction("a", 1),), conditions=tags),
        r2=Rule((PinAction("a", 2),), conditions=tags, priority=10),
    )
    for name, other in (("r1", "r2"), ("r2", "r1")):
        assert [(one.rule, one.winner) for one in find_conflicts(rules.rules[name], rules)] == [(other, "r2")]
