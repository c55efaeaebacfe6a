"""How many searches explore."""

from __future__ import annotations

import numpy as np
import pytest

from tuning.curves import pieces
from tuning.learners.browsing import BrowsingLearner
from tuning.learners.exploration import MIN_SHARE, TARGET_VOTES, Exploration, order_uncertainty

HIGHEST = 0.02


@pytest.mark.parametrize(("votes", "share"), [(2, TARGET_VOTES / 2), (1, TARGET_VOTES), (0, HIGHEST)])
def test_the_fewer_votes_a_page_yields_the_more_searches_explore(votes: int, share: float) -> None:
    exploration = Exploration()
    for _ in range(5000):
        exploration.observe(votes)
    assert exploration.share(HIGHEST) == pytest.approx(share, rel=0.02)


def test_a_sure_learner_explores_little_and_never_not_at_all() -> None:
    exploration = Exploration(uncertainty=0.0)
    assert exploration.share(HIGHEST) == pytest.approx(MIN_SHARE * HIGHEST)
    assert exploration.share(0.0) == 0.0, "who allows none has none"


def test_a_share_is_published_where_it_changes() -> None:
    exploration = Exploration()
    first = exploration.publish(HIGHEST)
    assert first == exploration.share(HIGHEST)
    exploration.uncertainty = 0.95
    assert exploration.publish(HIGHEST) is None
    exploration.uncertainty = 0.5
    assert exploration.publish(HIGHEST) == pytest.approx(first * 0.5)


def test_uncertainty_is_full_where_no_neighbours_are_nearly_tied() -> None:
    learner = BrowsingLearner(np.array([1.0, 1.0]))
    far = pieces(np.array([[1.0, 1.0], [0.5, 0.5], [0.1, 0.1]]))
    assert order_uncertainty(learner, [far], np.array([1.0, 1.0, *[0.0] * 4])) == 1.0
