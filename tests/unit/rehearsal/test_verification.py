"""The checks of a logged answer, each by itself."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from events.edits import SetRule, SetTrial
from events.learning import Trial
from events.rules import HideAction, Rule
from events.types import InterleavedRanking, PairSwap, RankingShown
from searchsvc.rehearsal.receipts.repetition import NotRepeated
from searchsvc.rehearsal.receipts.verification import check_order, check_retrieval, check_rules, verification
from searchsvc.search.request import SearchRequest
from tests.factories import SETTINGS, index_after, ranking
from tuning.features import default_weights
from tuning.gate.interleaving import team_draft

NOT_REPEATED = NotRepeated("the settings of the index have changed")
SHOES = SearchRequest(query="red shoe")
IN_FORCE, CHALLENGER, COINS = ("a", "b", "c"), ("c", "a", "b"), (True, False, True, True, False)


def shown(**members: Any) -> RankingShown:
    """A ranking of a, b and c by falling scores."""
    return msgspec.structs.replace(ranking(), **{"scores": (3.0, 2.0, 1.0), **members})


def interleaved(**members: Any) -> RankingShown:
    expected = tuple(team_draft(IN_FORCE, CHALLENGER, COINS))
    return shown(
        **{"document_ids": expected, "interleaving": InterleavedRanking(IN_FORCE, CHALLENGER, COINS), **members}
    )


class Outcome:
    """The part of a `SearchOutcome` that is compared."""

    def __init__(self, repeated: RankingShown) -> None:
        self.shown = repeated


def outcome(**members: Any) -> Any:
    return Outcome(shown(**members))


@pytest.mark.parametrize(
    ("logged", "request_", "state", "detail"),
    [
        (shown(), SHOES, "holds", "3 hits by score, 0 pinned"),
        (shown(scores=(1.0, 2.0, 3.0)), SHOES, "differs", "b belongs before a"),
        (shown(scores=(1.0, 1.0, 1.0)), SHOES, "holds", "3 hits by score"),
        (shown(scores=(1.0, 1.0, 1.0), document_ids=("b", "a", "c")), SHOES, "differs", "a belongs before b"),
        (shown(scores=(1.0, 3.0, 2.0), pinned_ids=("a",)), SHOES, "holds", "2 hits by score, 1 pinned"),
        # Past the candidates, the order is that of the keywords.
        (shown(scores=(3.0, 1.0, 2.0), first_rank=9), SHOES, "holds", "2 hits by score"),
        (shown(), None, "not repeated", "the query is sealed"),
        (shown(), SearchRequest(query="shoe", sort=["price:asc"]), "not repeated", "not ordered by score"),
        (shown(), SearchRequest(), "not repeated", "not ordered by score"),
        (shown(rule_factors=(2.0, 1.0, 1.0)), SearchRequest(), "holds", "3 hits by score"),
        (shown(exploration=(PairSwap(1, 0.5, True),)), SHOES, "not repeated", "swapped for exploration"),
        (interleaved(), SHOES, "holds", "interleaved by the logged coins"),
        (interleaved(document_ids=("x", "y", "z")), SHOES, "differs", "not the team draft"),
        (interleaved(first_rank=11), SHOES, "not repeated", "a later page"),
    ],
)
def test_hits_are_ordered_by_score_then_by_id_or_it_is_said_why_not(
    logged: RankingShown, request_: SearchRequest | None, state: str, detail: str
) -> None:
    check = check_order(logged, request_, n_candidates=10)
    assert check.state == state
    assert detail in check.detail


def test_rules_that_control_does_not_have_or_that_do_not_fire_again_are_named() -> None:
    with_rule = index_after([SetRule("r", Rule((HideAction("d1"),)))])
    fired = shown(applied_rules=("r",))
    assert check_rules(fired, index_after(), outcome()).detail == "CONTROL 1 has no rule r"
    assert check_rules(fired, with_rule, NOT_REPEATED).state == "not repeated"
    differs = check_rules(fired, with_rule, outcome())
    assert (differs.state, differs.detail) == ("differs", "now [], then ['r']")
    assert check_rules(fired, with_rule, outcome(applied_rules=("r",))).state == "holds"


@pytest.mark.parametrize(
    ("now", "detail"),
    [
        ({"document_ids": ("a", "c", "b")}, "b was at 2 of the page, at 3 now"),
        ({"document_ids": ("a", "x", "c")}, "b was at 2 of the page, not there now"),
        ({"document_ids": ("a", "b", "c", "d")}, "4 hits now, 3 then"),
        ({"scores": (3.5, 2.0, 1.0)}, "other features or scores"),
        ({"features": ((0.25,), (0.5,), (0.5,))}, "other features or scores"),
        ({"rule_factors": (2.0, 1.0, 1.0)}, "other features or scores"),
    ],
)
def test_the_first_difference_of_a_repeated_search_is_named(now: dict[str, Any], detail: str) -> None:
    check = check_retrieval(shown(), index_after(), outcome(**now))
    assert check.state == "differs"
    assert detail in check.detail


def test_a_search_that_behavior_ranked_is_not_repeated_where_it_differs() -> None:
    ranked_by_behavior = shown(behavior_factors=(1.1, 1.0, 1.0))
    check = check_retrieval(ranked_by_behavior, index_after(), outcome(document_ids=("b", "a", "c")))
    assert check.state == "not repeated"
    assert "only of the documents that were shown" in check.detail
    assert check_retrieval(ranked_by_behavior, index_after(), outcome()).state == "holds"


def test_a_holdout_is_scored_by_the_weights_of_its_trial() -> None:
    trial = Trial("t1", "ramp", {**default_weights(SETTINGS), "bm25.title": 2.0}, 0.5)
    index = msgspec.structs.replace(index_after([SetTrial(trial)]), weights_version=1, config_version=1)
    logged = shown(scores=(1.0, 1.0, 1.0), trial="t1", holdout=True)
    in_force = msgspec.structs.replace(logged, holdout=False)
    assert index.weights["bm25.title"] != 2.0
    checks = [verification(record, index, SHOES, NOT_REPEATED, 10).checks[0] for record in (logged, in_force)]
    assert [check.state for check in checks] == ["holds", "differs"]


def test_a_verification_holds_unless_a_check_differs() -> None:
    index = msgspec.structs.replace(index_after(), weights_version=1, config_version=1)
    title = index.weights["bm25.title"] * 0.5
    sealed = verification(shown(scores=(title, title, title)), index, None, NOT_REPEATED, 10)
    assert [check.state for check in sealed.checks] == ["holds", "not repeated", "not repeated", "not repeated"]
    assert sealed.holds
    assert not verification(shown(), index, None, NOT_REPEATED, 10).holds
