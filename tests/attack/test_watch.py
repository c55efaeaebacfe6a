"""What counts as a lie of health: the checker of the attacks is checked, too."""

from __future__ import annotations

import pytest

from tests.attack.arena import Fault
from tests.attack.watch import RESUME_S, HealthSample, ready_samples


def samples(states: str) -> list[HealthSample]:
    """Return samples, one a second: R for ready, anything else for not."""
    return [HealthSample(i, i + 0.1, "ready" if state == "R" else "degraded", []) for i, state in enumerate(states)]


@pytest.mark.parametrize(
    ("states", "faults", "counted"),
    [
        ("RRRR", [], [0, 1, 2, 3]),
        # Health that wavers without any attack lies each time.
        (".R.R.R", [], [1, 3, 5]),
        # Attacked again before what waited was tried again.
        ("..RR..RR", [3.5], [6, 7]),
        # It goes on saying so under the attack.
        ("..RRRRR", [3.5], [4, 5, 6]),
        # The attack came after there was time enough.
        ("..RRRRR", [2 + RESUME_S + 0.5], [2, 3, 4, 5, 6]),
    ],
)
def test_only_ready_just_before_an_early_attack_is_excused(
    states: str, faults: list[float], counted: list[int]
) -> None:
    attacks = [Fault("hang", started) for started in faults]
    assert [int(sample.asked) for sample in ready_samples(samples(states), attacks)] == counted
