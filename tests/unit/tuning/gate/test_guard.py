"""The guard's shares."""

from __future__ import annotations

from typing import get_args

import pytest

from tuning.gate.guard import SHOWN, Shown, display_shares


def test_display_shares_follow_the_ramp_and_always_include_a_holdout() -> None:
    assert get_args(Shown) == SHOWN
    for solo_share in (0.01, 0.1, 0.5, 0.95):
        new, old, both = display_shares(solo_share)
        assert new + old + both == pytest.approx(1.0)
        assert new == solo_share
        assert 0.0 < old < both
