"""The immutable serving state."""

from __future__ import annotations

from types import MappingProxyType

import pytest

from events.errors import Unavailable
from searchsvc.state.serving_state import IndexBehavior, ServingState


def test_an_index_without_a_snapshot_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="index shop is being built"):
        ServingState().snapshot("shop")


@pytest.mark.parametrize(("learnt", "allowed", "share"), [(0.01, 0.02, 0.01), (0.5, 0.02, 0.02), (None, 0.02, 0.02)])
def test_the_exploration_share_is_the_lower_of_learnt_and_allowed(
    learnt: float | None, allowed: float, share: float
) -> None:
    behavior = {"shop": IndexBehavior(exploration=learnt)} if learnt is not None else {}
    assert ServingState(behavior=MappingProxyType(behavior)).exploration_share("shop", allowed) == share
