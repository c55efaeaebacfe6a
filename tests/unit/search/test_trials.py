"""Who sees which weights of a trial."""

from __future__ import annotations

from collections import Counter

import msgspec
import numpy as np
import pytest

from events.learning import Trial
from searchsvc.search.trials import draw_weights, interleave
from tuning.gate.guard import display_shares

TRIAL = Trial("t", "ramp", {}, 0.3)
AT_GATE = Trial("t", "gate", {}, 0.0)
IDS = [f"q{n}" for n in range(4000)]


def test_shares_of_one_version_alone_are_as_set_and_coins_are_fair() -> None:
    draws = [draw_weights(TRIAL, name, "lamp") for name in IDS]
    counts = Counter(draw.ranked_by for draw in draws)
    shares = [counts[version] / len(draws) for version in ("in_force", "trial", "both")]
    assert shares == pytest.approx(display_shares(0.3), abs=0.03)
    coins = [draw.coins for draw in draws if draw.ranked_by == "both"]
    assert np.mean(coins, axis=0) == pytest.approx([0.5] * 5, abs=0.03)
    at_gate = Counter(
        draw_weights(msgspec.structs.replace(TRIAL, stage="gate", solo_share=0.0), name, "lamp").ranked_by
        for name in IDS
    )
    assert at_gate == {"both": len(IDS)}, "no user sees a candidate alone"
    later = [draw_weights(msgspec.structs.replace(TRIAL, solo_share=0.8), name, "lamp").ranked_by for name in IDS]
    for before, after in zip(draws, later, strict=True):
        assert before.ranked_by != "in_force" or after == "in_force"
        assert after != "trial" or before.ranked_by == "trial"


def test_a_user_sees_the_same_each_time_and_other_queries_have_other_coins() -> None:
    def coins(query: str, user: str) -> tuple[bool, ...]:
        return draw_weights(AT_GATE, user, query).coins

    assert coins("lamp", "anna") == coins("lamp", "anna")
    assert len({coins("lamp", f"u{n}") for n in range(200)}) > 25
    assert len({coins(f"lamp {n}", "anna") for n in range(200)}) > 25
    versions = {draw_weights(TRIAL, "anna", f"lamp {n}").ranked_by for n in range(200)}
    assert len(versions) == 1, "a user sees one version, whatever the query"


def test_beyond_the_draft_the_ranking_continues_without_repetition() -> None:
    order, challenger = list(range(30)), [29, *range(29)]
    shown, record = interleave(order, challenger, [True] * 5, lambda position: f"d{position}")
    assert sorted(shown) == order
    assert shown[0] == 29
    assert (record.in_force, record.challenger) == (
        tuple(f"d{position}" for position in order[:10]),
        tuple(f"d{position}" for position in challenger[:10]),
    )
