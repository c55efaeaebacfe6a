"""What stands between what was learnt and what shoppers see: comparing, deciding, going back."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuning.arrays import ScoreArray
from tuning.clicks.limits import BURST, MUTED_S, PACE_S, RateLimiter, VoteLimiter
from tuning.curves import curves, piece_names, pieces
from tuning.gate.evalues import Bet, Detector
from tuning.gate.guard import ALARM, PageOutcome
from tuning.gate.interleaving import N_COINS, preference, team_draft
from tuning.gate.pipeline import BETTER, MIN_COMPARED, RAMP, WATCHED, Pipeline
from tuning.gate.steps import MAX_MOVED, StepLimits, exposure_moved, largest_step

COINS = [list(coins) for coins in product((False, True), repeat=N_COINS)]
RANKINGS = st.lists(st.integers(0, 14), unique=True, max_size=12)


@given(RANKINGS, RANKINGS, st.sampled_from(COINS))
def test_two_rankings_in_one_hold_the_best_of_both_and_nothing_twice(
    first: list[int], second: list[int], coins: list[bool]
) -> None:
    shown = team_draft(first, second, coins)
    assert len(shown) == len(set(shown)) == min(len({*first, *second}), 10)
    for ranking in (first, second):
        if ranking and len(shown) > 1:
            assert ranking[0] in shown[:2]
    assert team_draft(first, first, coins) == first[:10]


@settings(deadline=None)  # compiled at first
@given(st.permutations(range(12)), st.permutations(range(12)), st.integers(1, 10))
def test_shoppers_who_click_by_rank_alone_prefer_neither(first: list[int], second: list[int], n_shown: int) -> None:
    """Over all that the coins may say, and however far down the page goes: no click says more than it may, and where
    all are as relevant nothing is to be expected."""
    first, second = first[:n_shown], second[:n_shown]
    total = np.zeros(10)
    for coins in COINS:
        shown = team_draft(first, second, coins)[:n_shown]
        others = [not coin for coin in coins]
        assert abs(preference(first, second, coins, set(shown), n_shown)) <= 1.0
        for at, document in enumerate(shown):
            value = preference(first, second, coins, {document}, n_shown)
            assert value == pytest.approx(-preference(second, first, others, {document}, n_shown))
            total[at] += value / len(COINS)
    assert total == pytest.approx(np.zeros(10), abs=1e-9), "of no place, however much it is looked at"


LOOKS: dict[str, Callable[[int], float]] = {
    "as usual": lambda rank: 1.0 / rank,
    "hardly below the first": lambda rank: rank**-2.0,
    "at all alike": lambda rank: 0.9,
    "on and on": lambda rank: 0.85**rank,
}


@pytest.mark.parametrize("looks", LOOKS)
@pytest.mark.parametrize("dropped", range(3))
@pytest.mark.parametrize("better", [1.0, 1.3])
def test_a_version_that_drops_a_document_and_moves_the_others_up_is_no_better(
    looks: str, dropped: int, better: float
) -> None:
    """Whatever shoppers look at: what is lost is as much as all others win together, or more where it was better."""
    first = list(range(12))
    second = [one for one in first if one != dropped]
    total = 0.0
    for coins in COINS:
        for rank, document in enumerate(team_draft(first, second, coins), start=1):
            attraction = better if document == dropped else 1.0
            total += attraction * LOOKS[looks](rank) * preference(first, second, coins, {document})
    assert total == pytest.approx(0.0, abs=1e-9) if better == 1.0 else total < -1e-6


def test_a_cascade_of_shoppers_prefers_neither_of_two_that_are_as_good() -> None:
    rng = np.random.default_rng(3)
    first = list(range(12))
    for second in (first[1:], [99, *first], first[::-1]):
        said = []
        for _ in range(4000):
            coins = [bool(coin) for coin in rng.random(N_COINS) < 0.5]
            clicked = set()
            for document in team_draft(first, second, coins):
                if rng.random() < 0.25:
                    clicked.add(document)
                    if rng.random() < 0.5:
                        break
            said.append(preference(first, second, coins, clicked))
        assert abs(np.mean(said)) < 3.5 * np.std(said) / len(said) ** 0.5


def test_a_click_speaks_for_the_ranking_that_had_the_document_higher() -> None:
    first, second = list("abcdefghij"), list("bacdefghij")
    for coins in COINS:
        assert preference(first, second, coins, {"b"}) > 0.0 > preference(first, second, coins, {"a"})
        assert preference(first, second, coins, {"c"}) == 0.0
        assert preference(first, second, coins, set()) == 0.0
        assert preference(first, first, coins, {"a"}) == 0.0
        assert preference(first, second, coins, {"j"}, 5) == 0.0, "it was not shown"


def test_a_bet_against_nothing_is_seldom_won_however_often_one_looks() -> None:
    rng = np.random.default_rng(1)
    won = 0
    for _ in range(400):
        bet, best = Bet(), 1.0
        for value in rng.choice((-1.0, 0.0, 1.0), size=400, p=(0.2, 0.6, 0.2)):
            bet.observe(float(value))
            best = max(best, bet.value)
        won += best >= BETTER
    assert won / 400 <= 1.5 / BETTER


def test_a_bet_on_something_is_won_and_a_late_change_is_heard() -> None:
    rng = np.random.default_rng(2)
    bet, deaf, detector = Bet(), Bet(), Detector()
    for _ in range(2000):
        bet.observe(float(rng.choice((-1.0, 1.0), p=(0.4, 0.6))))
    for _ in range(5000):
        value = float(rng.choice((-1.0, 1.0), p=(0.6, 0.4)))
        detector.observe(value)
        deaf.observe(value)
    n = 0
    while detector.value < ALARM and n < 500:
        detector.observe(0.8)
        deaf.observe(0.8)
        n += 1
    assert bet.value > BETTER
    assert n < 60
    assert deaf.value < 1.0, "one bet for all time is lost by then"


def gated(pipeline: Pipeline, values: ScoreArray) -> list[str]:
    steps = [pipeline.observe(PageOutcome("both", first=False, click_preference=float(value))) for value in values]
    return [step.kind for step in steps if step is not None]


def test_what_is_better_is_published_step_by_step_and_what_turns_out_bad_is_taken_back() -> None:
    pipeline = Pipeline()
    assert pipeline.propose("learnt").kind == "proposed"
    assert pipeline.solo_share == 0.0
    assert gated(pipeline, np.full(MIN_COMPARED, 0.5)) == ["published"]
    assert pipeline.solo_share == RAMP[0][0]
    steps = [pipeline.observe(PageOutcome("new", first=False)) for _ in range(sum(n for _, n in RAMP))]
    assert [step.kind for step in steps if step is not None] == ["ramped", "ramped", "settled"]
    assert not pipeline.may_propose, "it is watched first"
    assert gated(pipeline, np.full(WATCHED, 0.0)) == []
    assert pipeline.may_propose
    assert gated(pipeline, np.full(200, -0.5)) == ["rolled_back"]
    assert pipeline.stage == "frozen"
    assert not pipeline.may_propose
    assert pipeline.observe(PageOutcome("both", click_preference=-1.0)) is None


def test_what_is_worse_is_given_up_and_a_few_comparisons_decide_nothing() -> None:
    pipeline = Pipeline()
    pipeline.propose("learnt")
    assert gated(pipeline, np.full(MIN_COMPARED - 1, 1.0)) == []
    assert all(pipeline.observe(PageOutcome("both", counted=False)) is None for _ in range(MIN_COMPARED)), (
        "nobody who counts"
    )
    pipeline.propose("learnt")
    assert gated(pipeline, np.full(MIN_COMPARED, -0.5)) == ["given_up"]
    assert pipeline.may_propose


def test_what_nobody_can_tell_apart_is_given_up_and_makes_way_before() -> None:
    pipeline = Pipeline()
    pipeline.propose("learnt")
    waited = []
    for _ in range(3):
        n = 0
        while not pipeline.may_propose:
            assert pipeline.observe(PageOutcome("both")) is None
            n += 1
        waited.append(n)
        pipeline.propose("learnt")
    assert waited == sorted(waited)
    assert waited[0] < waited[2], "each waits longer than the one before"


def test_a_pipeline_goes_on_where_it_was() -> None:
    values = np.random.default_rng(3).uniform(-0.4, 0.6, 400)
    one, other = Pipeline(), Pipeline()
    one.propose("learnt")
    gated(one, values[:90])
    other.restore(msgspec.msgpack.encode(one.parts()))
    assert gated(one, values[90:]) == gated(other, values[90:]) == ["published"]
    assert (one.evidence, one.alarm) == (other.evidence, other.alarm)


def lists(seed: int, n: int = 30) -> list[ScoreArray]:
    rng = np.random.default_rng(seed)
    return [rng.random((10, 3)) for _ in range(n)]


NAMES = piece_names(("a", "b", "c"))
NOW = np.array([2.0, 1.0, 1.0, *[0.0] * 6])


def test_a_step_keeps_what_people_set() -> None:
    wanted = np.array([1.0, -3.0, 2.0, *[0.5] * 6])
    limits = StepLimits(bounds={"c": (0.0, 1.1)}, locks=("a",), max_step=0.4)
    found = largest_step(NAMES, NOW, wanted, lists(1), limits)
    assert found is not None
    by_name = dict(zip(NAMES, found.weights, strict=True))
    assert (by_name["a"], by_name["a>1/3"], by_name["a>2/3"]) == (2.0, 0.0, 0.0)
    assert 0.0 <= by_name["b"] <= 1.0, "what counts for a document does not count against it from one day to the next"
    assert by_name["c"] <= 1.1
    assert np.abs(found.weights - NOW).max() <= 0.4 + 1e-12


@pytest.mark.parametrize("seed", range(8))
def test_a_step_moves_no_more_than_is_allowed(seed: int) -> None:
    wanted = np.random.default_rng(seed).random(9)
    found = largest_step(NAMES, NOW, wanted, lists(seed), StepLimits())
    if found is not None:
        assert exposure_moved(lists(seed), NOW, found.weights) == pytest.approx(found.exposure_moved)
        assert found.exposure_moved <= MAX_MOVED


def test_a_step_to_where_one_is_is_none() -> None:
    assert largest_step(NAMES, NOW, NOW * 7.0, lists(2), StepLimits()) is None
    assert largest_step(NAMES, NOW, NOW[::-1].copy(), [], StepLimits()) is None


def test_scores_of_named_bends_are_those_of_all_pieces() -> None:
    features = np.random.default_rng(4).random((20, 3)).astype(np.float32)
    weights = {"a": 1.0, "b": 0.5, "c": 0.0, "b>2/3": -2.0, "a>1/3": 0.7, "gone>1/3": 5.0}
    by = curves(("a", "b", "c"), weights)
    every = np.array([weights.get(name, 0.0) for name in NAMES])
    assert by.names == ("a", "b", "c", "b>2/3", "a>1/3")
    np.testing.assert_allclose(by.columns(features) @ by.weights, pieces(features) @ every, atol=1e-12)
    plain = curves(("a", "b", "c"), {"a": 1.0})
    assert plain.columns(features) is features, "who does not bend pays nothing for it"


def test_nobody_is_heard_much_more_often_than_others() -> None:
    voters, few = VoteLimiter(), np.array([True] + [False] * 9)
    heard = sum(voters.accepts("bot", few) for _ in range(300) for _ in (voters.accepts(f"u{_}", few),))
    assert heard < 10
    assert voters.accepts("", few)
    assert not voters.accepts("new", np.ones(10, np.bool_))


def test_who_goes_on_at_the_pace_of_a_machine_is_not_heard_for_an_hour() -> None:
    velocity, now_s = RateLimiter(), 1e9
    assert all(velocity.allows("quick", now_s + n / 10) for n in range(int(BURST)))
    assert not all(velocity.allows("quick", now_s + 6 + n / 10) for n in range(10))
    assert not velocity.allows("quick", now_s + MUTED_S - 60)
    assert velocity.allows("quick", now_s + MUTED_S + 60)
    assert all(velocity.allows("steady", now_s + n * PACE_S) for n in range(1000))
    assert all(velocity.allows("", now_s) for _ in range(1000)), "they may be many"
    assert velocity.allows("late", now_s)
    assert velocity.allows("late", now_s - 100), "time does not go back"
