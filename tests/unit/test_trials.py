"""What chance says of a search: who sees which version, and which neighbours change places."""

from __future__ import annotations

from collections import Counter

import msgspec
import numpy as np
import pytest

from events.control import ControlState, fold
from events.edits import Edit, SetLearning, SetTrial
from events.learning import Learning, Trial
from events.types import ChangePublished, IndexConfigured
from searchsvc.search.exploration import is_exploring, swap_neighbours
from searchsvc.search.trials import draw_weights, interleave
from tests.factories import NOW, SETTINGS
from tuning.features import default_weights
from tuning.gate.guard import display_shares

TRIAL = Trial("t", "ramp", {}, 0.3)
SEEN = Trial("t", "gate", {}, 0.0)
IDS = [f"q{n}" for n in range(4000)]


def test_so_many_searches_as_are_to_be_see_one_version_alone_and_coins_are_fair() -> None:
    drawn = [draw_weights(TRIAL, name, "lamp") for name in IDS]
    told = Counter(one.by for one in drawn)
    shown = [told[by] / len(drawn) for by in ("in_force", "trial", "both")]
    assert shown == pytest.approx(display_shares(0.3), abs=0.03)
    coins = [one.coins for one in drawn if one.by == "both"]
    assert np.mean(coins, axis=0) == pytest.approx([0.5] * 5, abs=0.03)
    gated = Counter(
        draw_weights(msgspec.structs.replace(TRIAL, stage="gate", solo_share=0.0), name, "lamp").by for name in IDS
    )
    assert gated == {"both": len(IDS)}, "a candidate is shown to nobody alone"
    later = [draw_weights(msgspec.structs.replace(TRIAL, solo_share=0.8), name, "lamp").by for name in IDS]
    for before, after in zip(drawn, later, strict=True):
        assert before.by != "in_force" or after == "in_force"
        assert after != "trial" or before.by == "trial"


def test_a_user_sees_the_same_each_time_and_other_queries_have_other_coins() -> None:
    def coins(query: str, user: str) -> tuple[bool, ...]:
        return draw_weights(SEEN, user, query).coins

    assert coins("lamp", "anna") == coins("lamp", "anna")
    assert len({coins("lamp", f"u{n}") for n in range(200)}) > 25
    assert len({coins(f"lamp {n}", "anna") for n in range(200)}) > 25
    by = {draw_weights(TRIAL, "anna", f"lamp {n}").by for n in range(200)}
    assert len(by) == 1, "a user sees one version, whatever they ask"


def test_past_the_first_ten_a_ranking_goes_on_without_what_was_shown() -> None:
    order, other = list(range(30)), [29, *range(29)]
    shown, compared = interleave(order, other, [True] * 5, lambda at: f"d{at}")
    assert sorted(shown) == order
    assert shown[0] == 29
    assert (compared.in_force, compared.challenger) == (
        tuple(f"d{at}" for at in order[:10]),
        tuple(f"d{at}" for at in other[:10]),
    )


def test_nearly_alike_neighbours_change_places_half_of_the_time_and_the_first_seldom_does() -> None:
    scores = np.linspace(5.0, 3.0, 21)[:20].astype(np.float64)
    order = list(range(20))
    moved = np.zeros(10)
    for name in IDS:
        shown, swaps = swap_neighbours(order, scores, name)
        assert sorted(shown) == order
        assert shown[10:] == order[10:]
        ranks = [rank for swap in swaps for rank in (swap.rank, swap.rank + 1)]
        assert len(ranks) == len(set(ranks)), "pairs share no rank"
        again = list(order)
        for swap in swaps:
            assert swap.probability == 0.5
            if swap.swapped:
                at = swap.rank - 1
                again[at], again[at + 1] = again[at + 1], again[at]
        assert again == shown
        moved += np.array(shown[:10]) != np.arange(10)
        assert swap_neighbours(order, scores, name) == (shown, swaps)
    moved /= len(IDS)
    assert moved[0] == pytest.approx(0.05, abs=0.015)
    assert moved[2:9] == pytest.approx([0.5] * 7, abs=0.05)


def test_what_is_far_better_stays_where_it_is() -> None:
    shown, swaps = swap_neighbours([0, 1, 2, 3], np.array([9.0, 5.0, 2.0, 1.0]), "q1")
    assert (shown, swaps) == ([0, 1, 2, 3], ())
    assert swap_neighbours([], np.zeros(0), "q1") == ([], ())


def test_so_many_searches_explore_as_are_to() -> None:
    assert np.mean([is_exploring(0.02, name) for name in IDS]) == pytest.approx(0.02, abs=0.008)
    assert not any(is_exploring(0.0, name) for name in IDS)


def test_what_is_to_be_judged_by_something_else_has_not_been_answered_yet() -> None:
    configured = IndexConfigured(
        id="c", timestamp=NOW, index="shop", settings=SETTINGS, default_weights=default_weights(SETTINGS)
    )
    state = fold(ControlState(), configured, 1)
    judged = Learning(mode="automatic", judgments={"lamp": {"a": 1}})
    tried = SetTrial(msgspec.structs.replace(TRIAL, judged_baseline=0.9))
    steps: list[tuple[list[Edit], float]] = [
        ([SetLearning(judged), tried], 0.9),
        ([SetLearning(msgspec.structs.replace(judged, max_boost=1.5))], 0.9),
        ([SetLearning(msgspec.structs.replace(judged, judgments={}))], 0.0),
    ]
    for seq, (edits, best) in enumerate(steps, start=2):
        state = fold(state, ChangePublished(id=f"e{seq}", timestamp=NOW, index="shop", edits=tuple(edits)), seq)
        trial = state.index("shop").trial
        assert trial is not None
        assert trial.judged_baseline == best
