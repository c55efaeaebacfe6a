"""What the serving state takes from SIGNALS."""

from __future__ import annotations

import asyncio

import pytest

from events import control
from events.codec import encode
from events.log import Entry
from events.memory import MemoryEventLog
from events.streams import exploration_subject
from events.types import ExplorationLearnt, IndexConfigured, SignalEvent
from searchsvc.state.serving import Serving
from searchsvc.state.signals_follower import SignalsFollower
from tests.factories import NOW, SETTINGS

MAX_SHARE = 0.02


async def followed(serving: Serving, *signals: SignalEvent) -> None:
    """Serve index `shop`, and everything that SIGNALS holds."""
    log = MemoryEventLog()
    event = IndexConfigured(id="1", timestamp=NOW, index="shop", settings=SETTINGS, default_weights={})
    await serving.set_control(control.fold(control.ControlState(), event, 1))
    for number, signal in enumerate(signals):
        await log.append("SIGNALS", Entry(exploration_subject("shop", number), encode(signal), f"s{number}"))
    served = asyncio.Event()
    following = asyncio.create_task(SignalsFollower(log, serving, served.set).run())
    await asyncio.wait_for(served.wait(), 60.0)
    following.cancel()


@pytest.mark.anyio
async def test_a_learnt_exploration_share_is_served_and_lowers_the_allowed_one() -> None:
    serving = Serving()
    learnt = ExplorationLearnt(
        index="shop", created_seq=1, share=0.004, uncertainty=0.2, votes_per_search=0.3, timestamp=NOW
    )
    await followed(serving, learnt)
    assert serving.current.exploration_share("shop", MAX_SHARE) == 0.004
    assert serving.current.exploration_share("shop", 0.001) == 0.001
    assert serving.current.exploration_share("another", MAX_SHARE) == MAX_SHARE
