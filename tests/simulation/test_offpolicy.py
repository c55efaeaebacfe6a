"""Off-policy estimates from a simulated log: close to the planted truth at the stated rate, or refused."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import pytest

from events.types import PairSwap
from tuning.clicks.offpolicy import Estimate, LoggedRanking, NoEstimate, estimate_change

DOCUMENTS = tuple("abcdefgh")
# Examination by position, and attractiveness by document: the logged order is not the best one.
EXAMINED = np.array([1.0, 0.7, 0.5, 0.4, 0.3, 0.25, 0.2, 0.15])
ATTRACTIVE = dict(zip(DOCUMENTS, (0.2, 0.5, 0.3, 0.1, 0.4, 0.2, 0.3, 0.1), strict=True))
PAIRS = ((1, 0.2), (3, 0.3), (5, 0.5))
N_SEEDS = 30

Simulated = tuple[Sequence[str], list[PairSwap] | None, set[str], str]


def swapped(order: Sequence[str], *ranks: int) -> tuple[str, ...]:
    moved = list(order)
    for rank in ranks:
        moved[rank - 1], moved[rank] = moved[rank], moved[rank - 1]
    return tuple(moved)


def expected(order: Sequence[str]) -> float:
    """Return the clicks per search."""
    return float(sum(EXAMINED[position] * ATTRACTIVE[name] for position, name in enumerate(order)))


def logged(
    rng: np.random.Generator,
    n: int,
    after: Sequence[str],
    *,
    pairs: Sequence[tuple[int, float]] | None = PAIRS,
    before: Sequence[str] = DOCUMENTS,
) -> list[LoggedRanking]:
    """Log n searches of 500 users, who differ in how often they click."""
    searches = simulated(rng, n, pairs)
    return [LoggedRanking(shown, swaps, clicked, user, before, after) for shown, swaps, clicked, user in searches]


def simulated(rng: np.random.Generator, n: int, pairs: Sequence[tuple[int, float]] | None) -> list[Simulated]:
    """Return what n searches show, with which swaps, what is clicked, and by whom."""
    curious = rng.uniform(0.5, 1.5, 500)
    searches = list[Simulated]()
    for _ in range(n):
        user = int(rng.integers(500))
        swaps = [PairSwap(rank, p, bool(rng.random() < p)) for rank, p in pairs] if pairs is not None else None
        shown = swapped(DOCUMENTS, *(swap.rank for swap in swaps or () if swap.swapped))
        chances = [EXAMINED[position] * ATTRACTIVE[name] * curious[user] for position, name in enumerate(shown)]
        clicked = {name for name, chance in zip(shown, chances, strict=True) if rng.random() < chance}
        searches.append((shown, swaps, clicked, f"u{user}"))
    return searches


@pytest.fixture(scope="module")
def logs() -> list[list[Simulated]]:
    return [simulated(np.random.default_rng(seed), 6000, PAIRS) for seed in range(N_SEEDS)]


@pytest.mark.parametrize("ranks", [(1,), (3,), (1, 5), (1, 3, 5)])
def test_the_interval_covers_the_truth_at_the_stated_rate(logs: list[list[Simulated]], ranks: tuple[int, ...]) -> None:
    after = swapped(DOCUMENTS, *ranks)
    truth = expected(after) - expected(DOCUMENTS)
    results = [estimate_change(LoggedRanking(*search, DOCUMENTS, after) for search in log) for log in logs]
    estimates = [estimate for estimate in results if isinstance(estimate, Estimate)]
    assert len(estimates) == N_SEEDS
    n_covered = sum(estimate.low <= truth <= estimate.high for estimate in estimates)
    # Fewer than 25 of 30 come once in three hundred times.
    assert n_covered >= 25, (n_covered, truth)
    spread = np.std([estimate.change for estimate in estimates]) / np.sqrt(N_SEEDS)
    assert np.mean([estimate.change for estimate in estimates]) == pytest.approx(truth, abs=4 * spread)
    assert np.mean([estimate.now for estimate in estimates]) == pytest.approx(_logged_rate(), rel=0.01)


def _logged_rate() -> float:
    """Return the clicks per search under the logging policy."""
    swaps = sum(p * (expected(swapped(DOCUMENTS, rank)) - expected(DOCUMENTS)) for rank, p in PAIRS)
    return expected(DOCUMENTS) + swaps


def test_users_with_different_tastes_widen_the_interval() -> None:
    """Of forty users, half prefer the first document and half the second, so clicks of one user are correlated."""
    after, n_covered = swapped(DOCUMENTS, 1), 0
    for seed in range(N_SEEDS):
        rng = np.random.default_rng(seed)
        likes = rng.random(40) < 0.5
        rankings = []
        for number in range(8000):
            swap = PairSwap(1, 0.5, bool(rng.random() < 0.5))
            shown = after if swap.swapped else DOCUMENTS
            liked = "b" if likes[number % 40] else "a"
            clicked = {liked} if rng.random() < EXAMINED[shown.index(liked)] else set()
            rankings.append(LoggedRanking(shown, [swap], clicked, f"u{number % 40}", DOCUMENTS, after))
        estimate = estimate_change(rankings)
        assert isinstance(estimate, Estimate)
        # The true change over all possible users is 0.
        n_covered += estimate.low <= 0.0 <= estimate.high
    assert n_covered >= 25


def test_an_order_that_changes_nothing_has_an_estimate_of_zero() -> None:
    estimate = estimate_change(logged(np.random.default_rng(1), 100, DOCUMENTS))
    assert isinstance(estimate, Estimate)
    assert (estimate.change, estimate.low, estimate.high) == (0.0, 0.0, 0.0)


def test_a_better_order_is_told_from_a_worse_one() -> None:
    rng = np.random.default_rng(7)
    second_first = swapped(DOCUMENTS, 1)
    better = estimate_change(logged(rng, 10_000, second_first))
    worse = estimate_change(logged(rng, 10_000, DOCUMENTS, before=second_first))
    assert isinstance(better, Estimate)
    assert isinstance(worse, Estimate)
    assert better.low > 0 > worse.high


@pytest.mark.parametrize(
    ("n", "after", "pairs", "reason"),
    [
        (5000, swapped(DOCUMENTS, 1), None, "none of 5000 rankings was randomized"),
        (5000, swapped(DOCUMENTS, 2), PAIRS, "never shown there"),
        (5000, ("e", *DOCUMENTS[:4], *DOCUMENTS[5:]), PAIRS, "never shown there"),
        (5000, ("new", *DOCUMENTS[:7]), PAIRS, "never shown there"),
        (500, swapped(DOCUMENTS, 1), PAIRS, "an effective sample of"),
        (8000, swapped(DOCUMENTS, 1), PAIRS, "1 users are too few"),
        (8000, swapped(DOCUMENTS, 1), PAIRS, "0 interactions were made on what changes"),
        (200_000, swapped(DOCUMENTS, 1), ((1, 0.001),), "an effective sample of|hardly ever shown"),
    ],
)
def test_there_is_no_estimate_where_the_log_does_not_suffice(
    n: int, after: Sequence[str], pairs: Sequence[tuple[int, float]] | None, reason: str
) -> None:
    rankings = logged(np.random.default_rng(3), n, after, pairs=pairs)
    if "users" in reason:
        rankings = [msgspec.structs.replace(ranking, user="anna") for ranking in rankings]
    if "made" in reason:
        rankings = [msgspec.structs.replace(ranking, clicked=()) for ranking in rankings]
    result = estimate_change(rankings)
    assert isinstance(result, NoEstimate)
    assert any(part in result.reason for part in reason.split("|")), result.reason
