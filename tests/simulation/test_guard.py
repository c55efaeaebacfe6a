"""False alarms and power of the guard over simulated pages."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tuning.gate.guard import SHOWN, Guard, PageOutcome, display_shares


def pages(
    n: int,
    solo_share: float,
    *,
    seed: int = 0,
    clicked: tuple[float, float] = (0.6, 0.6),
    took_ms: tuple[float, float] = (5.0, 5.0),
    shown: tuple[float, float, float] | None = None,
) -> Iterator[PageOutcome]:
    """Yield pages.

    clicked: share of pages with a click, of the new and of the previous version
    took_ms: median latency, of the new and of the previous version
    """
    rng = np.random.default_rng(seed)
    versions = rng.choice(3, size=n, p=shown or display_shares(solo_share))
    for version_drawn in versions.tolist():
        version = min(version_drawn, 1)
        yield PageOutcome(
            SHOWN[version_drawn],
            click_preference=float(rng.choice((-0.5, 0.0, 0.5))) if version_drawn == 2 else 0.0,
            clicked=bool(rng.random() < clicked[version]),
            took_ms=float(took_ms[version] * np.exp(0.5 * rng.standard_normal())),
        )


def alarmed(guard: Guard, outcomes: Iterator[PageOutcome]) -> tuple[int, str]:
    """Return the number of pages until the alarm, and its reason ('' without an alarm)."""
    n = 0
    for n, page in enumerate(outcomes, start=1):
        alarm = guard.observe(page)
        if alarm is not None:
            return n, alarm.why
    return n, ""


@pytest.mark.parametrize("solo_share", [0.01, 0.5, 0.95])
def test_there_is_no_alarm_where_neither_version_is_better(solo_share: float) -> None:
    for seed in range(4):
        assert alarmed(Guard(solo_share), pages(20_000, solo_share, seed=seed))[1] == ""


def test_more_searches_without_a_click_raise_an_alarm() -> None:
    n, reason = alarmed(Guard(0.5), pages(60_000, 0.5, clicked=(0.4, 0.7)))
    assert "without a click" in reason
    assert n < 20_000


def test_more_slow_searches_raise_an_alarm() -> None:
    n, reason = alarmed(Guard(0.5), pages(60_000, 0.5, took_ms=(20.0, 5.0)))
    assert "slow" in reason
    assert n < 20_000


def test_carts_raise_an_alarm_by_themselves() -> None:
    guard = Guard(0.95)
    outcomes = (PageOutcome("both", first=False, click_preference=0.05, cart_preference=-0.6) for _ in range(300))
    n, reason = alarmed(guard, outcomes)
    assert "carts" in reason
    assert n < 60


def test_versions_that_are_not_displayed_as_drawn_raise_an_untrusted_alarm() -> None:
    new, old, both = display_shares(0.5)
    guard, n_lost = Guard(0.5), 0.1 * both
    total = 1.0 - n_lost
    outcomes = pages(30_000, 0.5, shown=(new / total, old / total, (both - n_lost) / total))
    for n, page in enumerate(outcomes, start=1):
        alarm = guard.observe(page)
        if alarm is not None:
            assert not alarm.trusted
            assert "cannot be compared" in alarm.why
            assert n < 25_000
            return
    pytest.fail("a tenth of the interleaved pages was lost, and there was no alarm")


def test_later_pages_of_a_user_do_not_count_where_one_version_is_shown_alone() -> None:
    guard = Guard(0.5)
    for page in pages(30_000, 0.5, clicked=(0.2, 0.9)):
        later = PageOutcome(page.shown, first=False, clicked=page.clicked, took_ms=page.took_ms)
        assert guard.observe(later) is None
    assert guard.value == 0.0


def test_a_new_rung_restarts_the_counts_and_keeps_the_evidence() -> None:
    guard, restored = Guard(0.1), Guard(0.5)
    alarmed(guard, pages(3000, 0.1, clicked=(0.3, 0.8)))
    before = guard.value
    assert before > 0.0
    guard.ramp(0.5)
    assert guard.value == before
    restored.restore(*guard.parts())
    for page in pages(500, 0.5, clicked=(0.3, 0.8), seed=1):
        assert guard.observe(page) == restored.observe(page)
    assert guard.value == pytest.approx(restored.value)
    assert guard.value > before
