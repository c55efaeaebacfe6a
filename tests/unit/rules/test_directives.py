"""The combined directives of several rules."""

from __future__ import annotations

import numpy as np
import pytest

from events.rules import BoostAction, BuryAction, FilterAction, HideAction, PinAction, RedirectAction, Rule
from searchsvc.engines.filters import AllOf, Is, Not, parse_filter
from searchsvc.rules.directives import apply_factors, combine_actions, place_pins
from tests.factories import NOW
from tests.rules import context_of, rulebook


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
def test_pins_get_their_ranks_and_other_documents_keep_their_order(
    order: list[int], pinned: list[tuple[int, int]], expected: list[int]
) -> None:
    assert place_pins(order, pinned) == expected


def test_a_boost_raises_every_score_and_a_bury_lowers_every_score() -> None:
    scores = np.array([2.0, 0.0, -2.0])
    assert apply_factors(scores, np.full(3, 4.0)).tolist() == [8.0, 0.0, -0.5]
    assert apply_factors(scores, np.full(3, 0.25)).tolist() == [0.5, 0.0, -8.0]


def test_scopes_add_up_and_an_invalid_filter_does_nothing() -> None:
    rules = rulebook(
        a=Rule((FilterAction("brand:x"), HideAction("1"), BoostAction(2.0, "gone:1")), priority=1),
        b=Rule((BoostAction(3.0, "brand:y"), BuryAction(0.5, "brand:z"), RedirectAction("/b"))),
    )
    invalid = parse_filter("gone:1", "filter")
    directives = combine_actions(rules.find_rules(context_of("q"), NOW), lambda condition: condition != invalid)
    brand_x, brand_y = parse_filter("brand:x", "filter"), parse_filter("brand:y", "filter")
    assert brand_x is not None
    assert directives.scope == AllOf((brand_x, Not(Is("id", ("1",)))))
    assert [(boost.rule, boost.action, boost.factor) for boost in directives.boosts] == [
        ("b", "boost", 3.0),
        ("b", "bury", 0.5),
    ]
    assert directives.boosted_filter == brand_y
    assert directives.redirect == "/b"
    ineffective = [effect for effect in directives.effects if not effect.took_effect]
    assert [(effect.rule, effect.note) for effect in ineffective] == [("a", "no document has what its filter names")]


def test_a_document_gets_its_first_pin_and_a_taken_rank_moves_down() -> None:
    rules = rulebook(
        first=Rule((PinAction("a", 1),), priority=1),
        second=Rule((PinAction("b", 1), PinAction("a", 5))),
    )
    directives = combine_actions(rules.find_rules(context_of("q"), NOW), lambda _: True)
    assert [(pin.document_id, pin.rank, pin.requested_rank) for pin in directives.pins] == [("a", 1, 1), ("b", 2, 1)]
    assert [effect.note for effect in directives.effects] == ["rule first pins it at rank 1"]
