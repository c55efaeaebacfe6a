"""The exploration share that serving follows."""

from __future__ import annotations

import asyncio

from events import control
from events.codec import encode
from events.log import Entry
from events.memory import MemoryEventLog
from events.streams import exploration_subject
from events.types import ExplorationLearnt, IndexConfigured
from searchsvc.state.serving import Serving
from searchsvc.state.signals_follower import SignalsFollower
from tests.factories import NOW, SETTINGS

HIGHEST = 0.02


def test_a_published_share_is_served_and_lowers_the_highest() -> None:
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
        assert serving.current.exploration_share("shop", HIGHEST) == 0.004
        assert serving.current.exploration_share("shop", 0.001) == 0.001
        assert serving.current.exploration_share("another", HIGHEST) == HIGHEST

    asyncio.run(run())
