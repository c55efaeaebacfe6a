"""How much is left to chance: what is still worth finding out, and what clicks cost."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from events import control
from events.codec import encode
from events.log import Entry
from events.memory import MemoryEventLog
from events.streams import exploration_subject
from events.types import ExplorationLearnt, IndexConfigured
from searchsvc.state.serving import Serving
from searchsvc.state.signals_follower import SignalsFollower
from tests.factories import NOW, SETTINGS
from tuning.curves import pieces
from tuning.learners.browsing import BrowsingLearner
from tuning.learners.exploration import MIN_SHARE, WANTED_VOTES, Exploration, order_uncertainty
from tuning.learners.learner import Impression

MOST = 0.02


@pytest.mark.parametrize(("votes", "share"), [(2, WANTED_VOTES / 2), (1, WANTED_VOTES), (0, MOST)])
def test_the_fewer_votes_come_of_a_page_the_more_pages_are_left_to_chance(votes: int, share: float) -> None:
    exploration = Exploration()
    for _ in range(5000):
        exploration.observe(votes)
    assert exploration.share(MOST) == pytest.approx(share, rel=0.02)


def test_where_all_is_known_next_to_nothing_is_left_to_chance_and_never_nothing() -> None:
    exploration = Exploration(uncertainty=0.0)
    assert exploration.share(MOST) == pytest.approx(MIN_SHARE * MOST)
    assert exploration.share(0.0) == 0.0, "who allows none has none"


def test_a_share_is_told_where_it_is_another_by_now() -> None:
    exploration = Exploration()
    first = exploration.publish(MOST)
    assert first == exploration.share(MOST)
    exploration.uncertainty = 0.95
    assert exploration.publish(MOST) is None
    exploration.uncertainty = 0.5
    assert exploration.publish(MOST) == pytest.approx(first * 0.5)


def test_doubt_falls_as_clicks_tell_neighbours_apart_and_stays_where_nothing_does() -> None:
    """Shoppers like what has the second feature; of the third they know nothing."""
    rng = np.random.default_rng(3)
    weights = np.array([1.0, 0.1, 0.1])
    learner = BrowsingLearner(weights)

    def page() -> np.ndarray:
        features = rng.random((10, 3))
        features[:, 0] = 0.5
        return features

    def of(which: int) -> float:
        """How unsure it is of documents that differ by one feature alone."""
        pages = []
        for _ in range(20):
            features = np.full((10, 3), 0.5)
            features[:, which] = rng.random(10)
            pages.append(pieces(features))
        return order_uncertainty(learner, pages, np.append(weights, np.zeros(6)))

    before = of(1), of(2)
    for n in range(1500):
        features = page()
        clicked = rng.random(10) < 0.05 + 0.8 * features[:, 1]
        if clicked.sum() <= 5:
            learner.learn(Impression(features, clicked, f"user-{n}"))
    after = of(1), of(2)
    assert before[0] > 0.5
    assert after[0] < 0.2 * before[0]
    assert after[1] > 2.0 * after[0]


def test_of_pages_without_neighbours_that_might_change_places_nothing_is_known() -> None:
    learner = BrowsingLearner(np.array([1.0, 1.0]))
    far = pieces(np.array([[1.0, 1.0], [0.5, 0.5], [0.1, 0.1]]))
    assert order_uncertainty(learner, [far], np.array([1.0, 1.0, *[0.0] * 4])) == 1.0


def test_what_was_told_is_served_and_lowers_what_is_allowed() -> None:
    async def run() -> None:
        log, serving = MemoryEventLog(), Serving()
        event = IndexConfigured(id="1", timestamp=NOW, index="shop", settings=SETTINGS, default_weights={})
        await serving.set_control(control.fold(control.ControlState(), event, 1))
        told = ExplorationLearnt(
            index="shop", created_seq=1, share=0.004, uncertainty=0.2, votes_per_search=0.3, timestamp=NOW
        )
        await log.append("SIGNALS", Entry(exploration_subject("shop", 1), encode(told), "one"))
        served = asyncio.Event()
        following = asyncio.create_task(SignalsFollower(log, serving, served.set).run())
        await asyncio.wait_for(served.wait(), 5.0)
        following.cancel()
        assert serving.current.exploration_share("shop", MOST) == 0.004
        assert serving.current.exploration_share("shop", 0.001) == 0.001
        assert serving.current.exploration_share("another", MOST) == MOST

    asyncio.run(run())
