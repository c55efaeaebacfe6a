"""False alarms and power of the guard over simulated pages."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tuning.gate.guard import SHOWN, Guard, PageOutcome, display_shares


def pages(
    n: int,
    alone: float,
    *,
    seed: int = 0,
    clicked: tuple[float, float] = (0.6, 0.6),
    took_ms: tuple[float, float] = (5.0, 5.0),
    shown: tuple[float, float, float] | None = None,
) -> Iterator[PageOutcome]:
    """clicked, took_ms: of the new version and of the one before: shares of pages, and medians."""
    rng = np.random.default_rng(seed)
    drawn = rng.choice(3, size=n, p=shown or display_shares(alone))
    for which in drawn.tolist():
        at = min(which, 1)
        yield PageOutcome(
            SHOWN[which],
            click_preference=float(rng.choice((-0.5, 0.0, 0.5))) if which == 2 else 0.0,
            clicked=bool(rng.random() < clicked[at]),
            took_ms=float(took_ms[at] * np.exp(0.5 * rng.standard_normal())),
        )


def alarmed(guard: Guard, seen: Iterator[PageOutcome]) -> tuple[int, str]:
    """After how many pages, and why; the why is '' where there was none."""
    n = 0
    for n, one in enumerate(seen, start=1):
        alarm = guard.observe(one)
        if alarm is not None:
            return n, alarm.why
    return n, ""


@pytest.mark.parametrize("alone", [0.01, 0.5, 0.95])
def test_there_is_no_alarm_where_neither_version_is_better(alone: float) -> None:
    for seed in range(4):
        assert alarmed(Guard(alone), pages(20_000, alone, seed=seed))[1] == ""


def test_more_searches_without_a_click_raise_an_alarm() -> None:
    n, why = alarmed(Guard(0.5), pages(60_000, 0.5, clicked=(0.4, 0.7)))
    assert "without a click" in why
    assert n < 20_000


def test_more_slow_searches_raise_an_alarm() -> None:
    n, why = alarmed(Guard(0.5), pages(60_000, 0.5, took_ms=(20.0, 5.0)))
    assert "slow" in why
    assert n < 20_000


def test_carts_raise_an_alarm_by_themselves() -> None:
    guard = Guard(0.95)
    seen = (PageOutcome("both", first=False, click_preference=0.05, cart_preference=-0.6) for _ in range(300))
    n, why = alarmed(guard, seen)
    assert "carts" in why
    assert n < 60


def test_versions_that_are_not_displayed_as_drawn_raise_an_untrusted_alarm() -> None:
    new, old, both = display_shares(0.5)
    guard, n_lost = Guard(0.5), 0.1 * both
    total = 1.0 - n_lost
    seen = pages(30_000, 0.5, shown=(new / total, old / total, (both - n_lost) / total))
    for n, one in enumerate(seen, start=1):
        alarm = guard.observe(one)
        if alarm is not None:
            assert not alarm.trusted
            assert "cannot be compared" in alarm.why
            assert n < 25_000
            return
    pytest.fail("a tenth of what showed both was lost, and nobody noticed")


def test_later_pages_of_a_user_do_not_count_where_one_version_is_shown_alone() -> None:
    guard = Guard(0.5)
    for one in pages(30_000, 0.5, clicked=(0.2, 0.9)):
        seen = PageOutcome(one.shown, first=False, clicked=one.clicked, took_ms=one.took_ms)
        assert guard.observe(seen) is None
    assert guard.value == 0.0


def test_a_new_rung_restarts_the_counts_and_keeps_the_evidence() -> None:
    guard, other = Guard(0.1), Guard(0.5)
    alarmed(guard, pages(3000, 0.1, clicked=(0.3, 0.8)))
    before = guard.value
    assert before > 0.0
    guard.ramp(0.5)
    assert guard.value == before
    other.restore(*guard.parts())
    for one in pages(500, 0.5, clicked=(0.3, 0.8), seed=1):
        assert guard.observe(one) == other.observe(one)
    assert guard.value == pytest.approx(other.value)
    assert guard.value > before
